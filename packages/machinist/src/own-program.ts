import { fileURLToPath } from 'node:url'
import type { DaemonChoice } from './daemon/arguments.ts'

/** A file of this package. What asks for it stands beside the package's entry, in sources and in what is built. */
function ownFile(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url))
}

/** What starts this program as the hypervisor in the background. */
export function daemonProgram({ atEnd, processors, memory }: DaemonChoice = {}): [string, ...string[]] {
  return [
    process.execPath, ownFile('bin/machinist.cjs'), 'daemon', 'run', ...(processors === undefined ? [] : ['--processors', String(processors)]), ...(memory === undefined ? [] : ['--memory', String(memory)]),
    ...(atEnd === undefined ? [] : ['--at-end', atEnd]),
  ]
}

/** The script of a thread in which machines live; null from sources. */
export function processorScript(): string | null {
  return /[\\/]dist[\\/][^\\/]+$/.test(fileURLToPath(import.meta.url)) ? ownFile('dist/processor.cjs') : null
}
