import type { Collector } from '@machinist/host-node'
import type { Machine } from '@machinist/machine'

/** Types a command at the shell of a guest, and gives what it says. */
export async function ask(machine: Machine, console: Collector, command: string): Promise<string> {
  const before = console.text().length
  console.type(`${command}; echo '[do''ne]'\n`)
  for (let i = 0; i < 3000; i++) {
    const said = console.text().slice(before)
    const end = said.indexOf('[done]')
    if (end >= 0) return said.slice(0, end).replaceAll('\r', '').trim()
    await new Promise((resolve) => { setTimeout(resolve, 5) })
  }
  throw new Error(`no answer of ${machine.name}: ${console.text().slice(before)}`)
}
