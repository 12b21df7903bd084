import type { Collector } from '@machinist/host-node'

const PERIOD = 10
const PATIENCE = 600_000 / PERIOD

/**
 * Types a command at the shell of a guest, and gives what it says, however long that takes on a busy host.
 * What comes before the command itself begins is not its own: a shell tells of jobs that ended, and a kernel of what it saw.
 */
export async function ask({ name }: { readonly name: string }, console: Collector, command: string): Promise<string> {
  const before = console.text().length
  console.type(`echo '[be''gin]'; ${command}; echo '[do''ne]'\n`)
  for (let n = 0; n < PATIENCE; n++) {
    const said = console.text().slice(before)
    const begin = said.indexOf('[begin]')
    const end = said.indexOf('[done]', begin)
    if (begin >= 0 && end >= 0) return said.slice(begin + '[begin]'.length, end).replaceAll('\r', '').trim()
    await new Promise((resolve) => { setTimeout(resolve, PERIOD) })
  }
  throw new Error(`no answer of ${name}: ${console.text().slice(before)}`)
}
