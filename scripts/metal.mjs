/**
 * `npm run metal [-- [PROGRAM] [QEMU OPTION…]]`: builds the image for bare metal and starts it in QEMU, in this terminal. PROGRAM is a file of TypeScript that runs in the place of
 * the package's own.
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
    "export { terminalProgress } from './packages/machinist/src/guest/progress.ts'",
  ].join('\n')
  await build({ stdin: { contents, resolveDir: root }, bundle: true, platform: 'node', format: 'esm', conditions: ['@machinist/source'], external: ['esbuild'], outfile, logLevel: 'warning' })
  return import(pathToFileURL(outfile).href)
}

await script(async () => {
  const [first = '', ...rest] = process.argv.slice(2)
  const own = /\.[jt]s$/.test(first)
  const program = own ? resolve(first) : join(root, 'packages/host-metal/src/main.ts')
  const options = own || first === '' ? rest : [first, ...rest]
  checkNode()
  await ensureDependencies()
  ensureDebianPackages('metal')
  const { buildImage, prepareEngine, terminalProgress } = await tools()
  const { progress, done } = terminalProgress(process.stderr)
  const engine = await prepareEngine({ progress })
  progress('Building the image')
  const image = await buildImage({ engine, program, root, output: join(root, 'node_modules/.cache/machinist/metal/image') })
  done()
  say(`The image has ${Math.round(image.size / 1024)} KiB, of which ${Math.round(image.programSize / 1024)} KiB are the program. To leave QEMU, press Ctrl-A, then X.`)
  return run('qemu-system-riscv64', ['-machine', 'virt', '-cpu', 'rv64,h=true', '-smp', '2', '-m', '1G', '-nographic', '-bios', 'default', '-kernel', image.path, ...options], { stdin: 'inherit', stdout: 'inherit' })
})
