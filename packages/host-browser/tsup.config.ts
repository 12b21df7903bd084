import { join } from 'node:path'
import { build } from 'esbuild'
import { type Build, library } from '../../tsup.base.ts'

/** The programs of workers: each one file, with all that its machines need and nothing else. */
async function workers(): Promise<void> {
  await build({
    absWorkingDir: import.meta.dirname, entryPoints: ['src/riscv.worker.ts', 'src/x86.worker.ts'].map((path) => join(import.meta.dirname, path)), outdir: 'dist',
    bundle: true, minify: true, platform: 'browser', format: 'esm', target: 'es2022', conditions: ['@machinist/source'], legalComments: 'none', logLevel: 'warning',
  })
}

const packageBuild: Build = library({ 'index': 'src/index.ts' }, { onSuccess: workers })
export default packageBuild
