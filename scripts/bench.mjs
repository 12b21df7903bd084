/** `npm run bench`: installs and builds what is missing, then runs the benchmark with the given arguments. */
import { ensureDebianPackages } from './debian.mjs'
import { script } from './lib/say.mjs'
import { checkNode, ensureBuild, ensureDependencies } from './lib/workspace.mjs'

await script(async () => {
  checkNode()
  const { parseOptions } = await import('../bench/options.mjs')
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) return 0
  ensureDebianPackages('bench')
  if (options.sides.includes('ours') || options.kernel === undefined) {
    await ensureDependencies()
    await ensureBuild('@machinist/machinist', 'packages/machinist/dist/cli.cjs')
  }
  const { bench } = await import('../bench/bench.mjs')
  return bench(options)
})
