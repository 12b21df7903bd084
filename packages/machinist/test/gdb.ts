import { spawn } from 'node:child_process'
import type { Machine } from '@machinist/machine'

const PATIENCE = 20 * 60_000

/** Runs Debian's GDB at a target with commands, and returns what it said. Each of so many times that it has a machine go on, it is interrupted. */
export function askGdb(at: string, file: string, commands: readonly string[], interrupts?: { readonly machine: Machine; readonly times: number }): Promise<string> {
  const all = ['set confirm off', 'set pagination off', 'set width 0', 'set print thread-events off', `file ${file}`, `target remote ${at}`, ...commands]
  const child = spawn('gdb-multiarch', ['-nx', '-batch', ...all.flatMap((command) => ['-ex', command])], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const from of [child.stdout, child.stderr]) from.on('data', (bytes: Buffer) => { said += bytes.toString() })
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
  // A while after the machine went on, since GDB has first to begin to wait for it; before GDB came, it runs too.
  let stops = 0
  const stopped = interrupts?.machine.on('state', ({ to }) => {
    if (to === 'paused') stops++
    else if (to === 'running' && stops <= interrupts.times) setTimeout(() => child.kill('SIGINT'), 2000)
  })
  return new Promise((resolve) => {
    child.on('close', (status) => {
      clearTimeout(timer)
      stopped?.()
      resolve(status === 0 ? said : `${said}\n(gdb ended with ${String(status)})`)
    })
  })
}

export const gdbLines = (said: string): string[] => said.split('\n')

/** What was printed behind each `$N = `. */
export const gdbValues = (said: string): string[] => gdbLines(said).flatMap((line) => /^\$\d+ = (.*)$/.exec(line)?.slice(1) ?? [])
