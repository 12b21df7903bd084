import { writeFileSync } from 'node:fs'
import { fileError, readWhole } from '@machinist/host-node'
import type { Machine } from '@machinist/machine'
import type { ProfileOptions, RunOptions } from '../arguments.ts'
import { run } from '../run.ts'
import { ProfileBuilder } from './cpu-profile.ts'
import { SymbolTable } from './symbols.ts'
import { topText } from './top.ts'

const SECOND = 1e9
/** Functions that are shown at the end. */
const SHOWN = 10
/** What shells report of a program that SIGINT ended: 128 and its number. */
const INTERRUPTED = 130

/**
 * Runs a machine to its end, as {@link run} does, and writes a profile of it. A SIGINT ends it too.
 *
 * @returns the exit status
 * @throws typed errors, before the machine starts, and when the file cannot be written
 */
export async function profile(options: RunOptions, { out, symbols, rate }: ProfileOptions): Promise<number> {
  const table = new SymbolTable()
  for (const { path, offset } of symbols) table.add(path, readWhole(path, '--symbols'), offset)
  // A file that cannot be written is found now, not when all is over.
  write(out, '', 'a')
  return await run(options, (machine) => observe(machine, table, out, rate, options.quiet))
}

function observe(machine: Machine, table: SymbolTable, out: string, rate: number, quiet: boolean): () => void {
  const builder = new ProfileBuilder(table, machine.vcpus.length)
  machine.on('sample', (sample) => { builder.add(sample) })
  machine.sample({ interval: SECOND / rate })
  const interrupt = (): void => { machine.powerOff(INTERRUPTED) }
  process.once('SIGINT', interrupt)
  return () => {
    process.off('SIGINT', interrupt)
    machine.sample(null)
    const result = builder.build()
    write(out, JSON.stringify(result))
    if (quiet) return
    const more = builder.full ? ', which is as many as it holds: use a lower --rate' : ''
    process.stderr.write(`machinist: ${out}: ${((result.endTime - result.startTime) / 1e6).toFixed(2)} s, ${builder.length} samples${more}\n${topText(result, SHOWN)}`)
  }
}

function write(path: string, text: string, flag: 'a' | 'w' = 'w'): void {
  try {
    writeFileSync(path, text, { flag })
  } catch (error) {
    throw fileError(error, '--out', path)
  }
}
