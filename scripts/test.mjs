/** `npm test`: installs what is missing, then runs the quick tests; arguments go to vitest. */
import { join } from 'node:path'
import { ensureDebianPackages } from './debian.mjs'
import { run } from './lib/run.mjs'
import { script } from './lib/say.mjs'
import { checkNode, ensureDependencies, root } from './lib/workspace.mjs'

await script(async () => {
  checkNode()
  ensureDebianPackages('test')
  await ensureDependencies()
  return run(process.execPath, [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...process.argv.slice(2)], { cwd: root, stdout: 'inherit', stdin: 'inherit' })
})
