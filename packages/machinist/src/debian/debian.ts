import { terminalProgress } from '../guest/index.ts'
import type { DebianOptions } from './arguments.ts'
import { buildDebian } from './build.ts'

/** `machinist debian build`. Returns the exit status. */
export async function debian(options: DebianOptions): Promise<number> {
  const { progress, done } = terminalProgress(process.stderr)
  const disk = await buildDebian({ ...options, ...(!options.quiet && { progress }) }).finally(done)
  if (!options.quiet) process.stderr.write(`${disk.path}: Debian with ${Object.keys(disk.packages).length} packages. Boot it with: machinist ${disk.path}\n`)
  return 0
}
