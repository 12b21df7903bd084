/**
 * `npm run metal [-- [PROGRAM] [QEMU OPTION…]]`: builds an image for bare metal with two Debian guests and starts it in QEMU, in this terminal. PROGRAM is a file of TypeScript that
 * runs in the place of the hypervisor.
 */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureDebianPackages } from './debian.mjs'
import { run } from './lib/run.mjs'
import { say, script } from './lib/say.mjs'
import { checkNode, ensureDependencies, root } from './lib/workspace.mjs'

/** What builds images, from the sources: seconds, where a build of all packages takes minutes. */
async function tools() {
  const { build } = await import('esbuild')
  // Beside the package, whose native sources it looks for from there.
  const outfile = join(root, 'packages/host-metal/node_modules/.cache/metal.mjs')
  const contents = [
    "export { virt } from './packages/boards/src/index.ts'",
    "export { buildImage } from './packages/host-metal/src/build/index.ts'",
    "export { prepareEngine } from './packages/machinist/src/metal/engine.ts'",
    "export { prepareGuest } from './packages/machinist/src/guest/debian.ts'",
    "export { terminalProgress } from './packages/machinist/src/guest/progress.ts'",
  ].join('\n')
  await build({ stdin: { contents, resolveDir: root }, bundle: true, platform: 'node', format: 'esm', conditions: ['@machinist/source'], external: ['esbuild'], outfile, logLevel: 'warning' })
  return import(pathToFileURL(outfile).href)
}

await script(async () => {
  const [first = '', ...rest] = process.argv.slice(2)
  const own = /\.[jt]s$/.test(first)
  const options = own || first === '' ? rest : [first, ...rest]
  checkNode()
  await ensureDependencies()
  ensureDebianPackages('metal')
  const { buildImage, prepareEngine, prepareGuest, terminalProgress, virt } = await tools()
  const { progress, done } = terminalProgress(process.stderr)
  const engine = await prepareEngine({ progress })
  let program = resolve(first)
  /** @type {Record<string, Uint8Array>} */
  let files = {}
  if (!own) {
    program = join(root, 'packages/machinist/src/metal/program.ts')
    const { kernel, initrd } = await prepareGuest({ progress })
    const machines = ['guest1', 'guest2'].map((name) => ({
      name, group: 'all',
      machine: virt({ memory: 256 * 2 ** 20, console: 'console', kernel: { file: 'kernel' }, initrd: { file: 'initrd' }, append: 'console=ttyS0 earlycon=sbi' }).definition,
    }))
    files = { 'plan.json': new TextEncoder().encode(JSON.stringify({ pools: [], machines })), kernel: await readFile(kernel), initrd: await readFile(initrd) }
  }
  progress('Building the image')
  const image = await buildImage({ engine, program, root, files, output: join(root, 'node_modules/.cache/machinist/metal/image') })
  done()
  say(`The image has ${Math.round(image.size / 2 ** 20 * 10) / 10} MiB, of which ${Math.round(image.programSize / 1024)} KiB are the program. Ctrl-A X leads to the monitor; to leave QEMU, press Ctrl-], then X.`)
  return run('qemu-system-riscv64', ['-machine', 'virt', '-cpu', 'rv64,h=true', '-smp', '2', '-m', '1G', '-nographic', '-echr', '0x1d', '-bios', 'default', '-kernel', image.path,
    '-global', 'virtio-mmio.force-legacy=false', '-netdev', 'user,id=net', '-device', 'virtio-net-device,netdev=net', ...options], { stdin: 'inherit', stdout: 'inherit' })
})
