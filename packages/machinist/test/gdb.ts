import { spawn } from 'node:child_process'

const PATIENCE = 200_000

/** Runs Debian's GDB at a target with commands, and returns what it said. */
export function askGdb(at: string, file: string, commands: readonly string[], interrupts: number = 0): Promise<string> {
  const all = ['set confirm off', 'set pagination off', 'set width 0', 'set print thread-events off', `file ${file}`, `target remote ${at}`, ...commands]
  const child = spawn('gdb-multiarch', ['-nx', '-batch', ...all.flatMap((command) => ['-ex', command])], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const from of [child.stdout, child.stderr]) from.on('data', (bytes: Buffer) => { said += bytes.toString() })
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE)
  // Each a while after GDB was told to let the machine go on.
  const interrupting = interrupts === 0 ? undefined : setInterval(() => { if (interrupts-- > 0) child.kill('SIGINT') }, 3000)
  return new Promise((resolve) => {
    child.on('close', (status) => {
      clearTimeout(timer)
      clearInterval(interrupting)
      resolve(status === 0 ? said : `${said}\n(gdb ended with ${String(status)})`)
    })
  })
}

export const gdbLines = (said: string): string[] => said.split('\n')

/** What was printed behind each `$N = `. */
export const gdbValues = (said: string): string[] => gdbLines(said).flatMap((line) => /^\$\d+ = (.*)$/.exec(line)?.slice(1) ?? [])
