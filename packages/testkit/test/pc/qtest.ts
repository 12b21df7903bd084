/** Devices of a PC as QEMU has them: registers and inputs by its `qtest` protocol. The processor stands still, and so does time. */
import { spawn, spawnSync } from 'node:child_process'

const QEMU = 'qemu-system-x86_64'
const MACHINE = ['-machine', 'pc', '-nodefaults', '-display', 'none', '-S'] as const

/** The version of QEMU for x86, or null without one. */
export function x86QemuVersion(): string | null {
  const { stdout, status } = spawnSync(QEMU, ['--version'], { encoding: 'utf8' })
  return status === 0 ? (/version (\S+)/.exec(stdout)?.[1] ?? 'unknown') : null
}

/** Paths of devices of a QOM type, in the order in which they were made. */
export function qomPaths(type: string): string[] {
  const { stdout } = spawnSync(QEMU, [...MACHINE, '-monitor', 'stdio'], { encoding: 'utf8', input: 'info qom-tree\nquit\n' })
  const path: string[] = []
  const found: string[] = []
  for (const line of stdout.split(/\r?\n/)) {
    const [, indent, name, kind] = /^( *)\/(\S*) \((.*)\)$/.exec(line) ?? []
    if (indent === undefined || name === undefined) continue
    path.length = indent.length / 2
    path.push(name)
    if (kind === type) found.push(path.join('/').replace(/^\/*/, '/'))
  }
  return found
}

/** What came of one command: the value of a read (0 for others), and how intercepted interrupts changed meanwhile. */
export interface Answer {
  readonly value: number
  readonly interrupts: readonly { readonly line: number; readonly level: boolean }[]
}

/** Has QEMU do commands in their order. @throws when it refuses one or ends */
export async function qtest(commands: readonly string[]): Promise<Answer[]> {
  const child = spawn(QEMU, [...MACHINE, '-qtest', 'stdio', '-qtest-log', '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers: Answer[] = []
  let interrupts: Answer['interrupts'][number][] = []
  let rest = ''
  try {
    child.stdin.on('error', () => undefined)
    child.stdin.write(`${commands.join('\n')}\n`)
    for await (const chunk of child.stdout) {
      rest += String(chunk)
      for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
        const [word, first, second] = rest.slice(0, end).trim().split(' ')
        rest = rest.slice(end + 1)
        if (word === 'IRQ') interrupts.push({ line: Number(second), level: first === 'raise' })
        else if (word === 'OK') {
          answers.push({ value: Number(first ?? 0), interrupts })
          interrupts = []
        } else throw new Error(`${commands[answers.length] ?? 'a command'}: ${[word, first, second].join(' ')}`)
      }
      if (answers.length === commands.length) return answers
    }
    throw new Error(`QEMU ended after ${answers.length} of ${commands.length} commands`)
  } finally {
    child.kill('SIGKILL')
  }
}
