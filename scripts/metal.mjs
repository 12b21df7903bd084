/**
 * `npm run metal [-- [PROGRAM] [QEMU OPTION…]]`: builds the image for bare metal and starts it in QEMU, in this terminal. PROGRAM is a file of TypeScript that runs in the place of
 * the package's own.
 */
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ensureDebianPackages } from './debian.mjs'
import { run } from './lib/run.mjs'
import { say, script } from './lib/say.mjs'
import { checkNode, ensureBuild, ensureDependencies, root } from './lib/workspace.mjs'

await script(async () => {
  const [first = '', ...rest] = process.argv.slice(2)
  const own = /\.[jt]s$/.test(first)
  const program = own ? resolve(first) : join(root, 'packages/host-metal/src/main.ts')
  const options = own || first === '' ? rest : [first, ...rest]
  checkNode()
  await ensureDependencies()
  ensureDebianPackages('metal')
  await ensureBuild('@machinist/machinist', 'packages/machinist/dist/cli.cjs')
  const load = (/** @type {string} */ path) => import(pathToFileURL(join(root, 'packages', path)).href)
  const { prepareEngine, terminalProgress } = await load('machinist/dist/index.js')
  const { buildImage } = await load('host-metal/dist/build/index.js')
  const { progress, done } = terminalProgress(process.stderr)
  const engine = await prepareEngine({ progress })
  progress('Building the image')
  const image = await buildImage({ engine, program, root, output: join(root, 'node_modules/.cache/machinist/metal/image') })
  done()
  say(`The image has ${Math.round(image.size / 1024)} KiB, of which ${Math.round(image.programSize / 1024)} KiB are the program. To leave QEMU, press Ctrl-A, then X.`)
  return run('qemu-system-riscv64', ['-machine', 'virt', '-cpu', 'rv64,h=true', '-smp', '2', '-m', '1G', '-nographic', '-bios', 'default', '-kernel', image.path, ...options], { stdin: 'inherit', stdout: 'inherit' })
})
