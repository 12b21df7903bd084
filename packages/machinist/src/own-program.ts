import { fileURLToPath } from 'node:url'
import type { DaemonChoice } from './daemon/arguments.ts'

/** What starts this program as the hypervisor in the background. */
export function daemonProgram({ atEnd }: DaemonChoice = {}): [string, ...string[]] {
  // Beside the package's entry, from sources and from what is built.
  const program = fileURLToPath(new URL('../bin/machinist.cjs', import.meta.url))
  return [process.execPath, program, 'daemon', 'run', ...(atEnd === undefined ? [] : ['--at-end', atEnd])]
}
