/**
 * `npm run metal [-- [PROGRAM] [QEMU OPTION…]]`: builds an image for bare metal with two Debian guests and starts it in QEMU, in this terminal. PROGRAM is a file of TypeScript that
 * runs in the place of the hypervisor.
 */
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
    "export { buildImage } from './packages/host-metal/src/build/index.ts'",
    "export { prepareEngine } from './packages/machinist/src/metal/engine.ts'",
    "export { fleetOf } from './packages/machinist/src/fleet/file/fleet.ts'",
    "export { guestCommandLine, prepareGuest } from './packages/machinist/src/guest/index.ts'",
    "export { imageFiles } from './packages/machinist/src/metal/plan.ts'",
    "export { terminalProgress } from './packages/machinist/src/guest/progress.ts'",
  ].join('\n')
  await build({ stdin: { contents, resolveDir: root }, bundle: true, platform: 'node', format: 'esm', conditions: ['@machinist/source'], external: ['esbuild', 'koffi'], outfile, logLevel: 'warning',
    // Some libraries of the bundle are CommonJS.
    banner: { js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url)" },
  })
  return import(pathToFileURL(outfile).href)
}

await script(async () => {
  const [first = '', ...rest] = process.argv.slice(2)
  const own = /\.[jt]s$/.test(first)
  const options = own || first === '' ? rest : [first, ...rest]
  checkNode()
  await ensureDependencies()
  ensureDebianPackages('metal')
  const { buildImage, fleetOf, guestCommandLine, imageFiles, prepareEngine, prepareGuest, terminalProgress } = await tools()
  const { progress, done } = terminalProgress(process.stderr)
  const engine = await prepareEngine({ progress })
  let program = resolve(first)
  /** @type {Record<string, Uint8Array>} */
  let files = {}
  if (!own) {
    program = join(root, 'packages/machinist/src/metal/program.ts')
    const { kernel, initrd } = await prepareGuest({ progress })
    const guest = { kernel, initrd, append: guestCommandLine({ console: 'ttyS0', quiet: true }), memory: '256M', net: 'nat,switch=lan' }
    files = imageFiles(await fleetOf({ machines: { guest1: guest, guest2: guest } }, join(root, 'machines.json')))
  }
  progress('Building the image')
  const image = await buildImage({ engine, program, root, files, output: join(root, 'node_modules/.cache/machinist/metal/image') })
  done()
  say(`The image has ${Math.round(image.size / 2 ** 20 * 10) / 10} MiB, of which ${Math.round(image.programSize / 1024)} KiB are the program. Ctrl-A X leads to the monitor; to leave QEMU, press Ctrl-], then X.`)
  return run('qemu-system-riscv64', ['-machine', 'virt', '-cpu', 'rv64,h=true', '-smp', '2', '-m', '1G', '-nographic', '-echr', '0x1d', '-bios', 'default', '-kernel', image.path,
    '-global', 'virtio-mmio.force-legacy=false', '-netdev', 'user,id=net,net=192.168.76.0/24', '-device', 'virtio-net-device,netdev=net', ...options], { stdin: 'inherit', stdout: 'inherit' })
})
