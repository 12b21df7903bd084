/** `npm start`: installs and builds what is missing, then becomes the `machinist` command with the given arguments. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { script } from './lib/say.mjs'
import { checkNode, ensureBuild, ensureDependencies, root } from './lib/workspace.mjs'

const cli = 'packages/machinist/dist/cli.cjs'

await script(async () => {
  checkNode()
  await ensureDependencies()
  await ensureBuild('@machinist/machinist', cli)
  // In this very process: the terminal, signals and the exit status need nobody between.
  process.argv[1] = join(root, cli)
  await import(pathToFileURL(process.argv[1]).href)
  return undefined
})
