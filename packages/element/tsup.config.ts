import { copyFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { type Build, library } from '../../tsup.base.ts'

const at = (path: string): string => join(import.meta.dirname, path)

/** The element as one file, with its terminal, beside the programs of its machines' workers: a page needs these three and nothing else. */
async function whole(): Promise<void> {
  await build({
    absWorkingDir: import.meta.dirname, entryPoints: [at('src/index.ts')], outfile: at('dist/index.js'), bundle: true, minify: true, platform: 'browser', format: 'esm', target: 'es2022',
    conditions: ['@machinist/source'], loader: { '.css': 'text' }, legalComments: 'linked', logLevel: 'warning',
  })
  rmSync(at('dist/index.js.map'), { force: true })
  for (const cpu of ['riscv', 'x86']) copyFileSync(at(`../host-browser/dist/${cpu}.worker.js`), at(`dist/${cpu}.worker.js`))
}

const packageBuild: Build = library({ 'index': 'src/index.ts' }, { onSuccess: whole })
export default packageBuild
