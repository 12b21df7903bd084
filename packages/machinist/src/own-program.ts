import { fileURLToPath } from 'node:url'
import type { DaemonChoice } from './daemon/arguments.ts'

/** A file of this package. What asks for it stands beside the package's entry, in sources and in what is built. */
function ownFile(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url))
}

/** Whether this runs from what was built, not from sources. */
function isBuilt(): boolean {
  return /[\\/]dist[\\/][^\\/]+$/.test(fileURLToPath(import.meta.url))
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
  return isBuilt() ? ownFile('dist/processor.cjs') : null
}

/** The program of images for bare metal: a module, and what it imports is found from there. */
export function metalProgram(): string {
  return ownFile(isBuilt() ? 'dist/metal/program.js' : 'src/metal/program.ts')
}

/** The folder from which exceptions on bare metal tell where sources are: that of all packages. */
export function packagesFolder(): string {
  return ownFile('../..')
}
