import { terminal } from '@machinist/host-node'
import type { Hypervisor } from '@machinist/hypervisor'
import { plain } from '@machinist/hypervisor/text'

/** What users are shown for Ctrl-A H. */
const HELP: string = [
  'Ctrl-A X, Ctrl-A D  leave; the machine goes on',
  'Ctrl-A H            this help',
  'Ctrl-A A            send Ctrl-A to the guest',
  'Everything else, Ctrl-C included, goes to the guest.',
].map((line) => `${line}\r\n`).join('')

/** Most bytes of typed input that are handed on at once. */
const PIECE = 4096

/** Where a console is shown and typed: this process' terminal unless given. */
export type ConsoleTerminal = Pick<NonNullable<Parameters<typeof terminal>[0]>, 'input' | 'output'>

/**
 * Connects a terminal with the console of a machine, until its user leaves, or the machine is forgotten. Where input is no terminal, it ends when
 * the machine is off.
 *
 * @throws typed errors, before anything is connected
 */
export async function runConsole(hypervisor: Hypervisor, name: string, where: ConsoleTerminal = {}): Promise<void> {
  const { input = process.stdin, output = process.stdout } = where
  const interactive = input.isTTY === true
  const notes = interactive ? output : process.stderr
  const known = (await hypervisor.machines()).find((machine) => machine.name === name)
  let leave: () => void = () => {}
  const left = new Promise<void>((resolve) => { leave = resolve })
  const shown = terminal({
    ...where,
    onLeave() { leave() },
    onCommand(key) {
      if (key === 'd') leave()
      else if (key === 'h') output.write(HELP)
      else return false
      return true
    },
  })
  /** What the terminal has not taken yet. */
  let waiting: Uint8Array[] = []
  const port = shown.connect((callback) => { callback() })
  const show = (): void => {
    while (waiting[0] !== undefined) {
      const [first] = waiting
      const taken = port.write(first)
      if (taken < first.length) {
        waiting[0] = first.subarray(taken)
        return
      }
      waiting.shift()
    }
  }
  const note = (text: string): void => {
    shown.flush()
    notes.write(`\r\n[${text}]\r\n`)
  }
  const stop = hypervisor.on((event) => {
    if (event.name !== name || (event.kind !== 'off' && event.kind !== 'failed' && event.kind !== 'lost')) return
    note(plain(`${name}: ${event.kind}${event.text === '' ? '' : `, ${event.text}`}`))
    if (!interactive) leave()
  })
  try {
    const connection = await hypervisor.console(name, {
      output(bytes) {
        waiting = [...waiting, bytes]
        show()
      },
      closed() {
        note(`the console of ${name} was closed`)
        leave()
      },
    })
    const buffer = new Uint8Array(PIECE)
    port.listen({
      readable() {
        for (let count = port.read(buffer); count > 0; count = port.read(buffer)) connection.write(buffer.slice(0, count))
      },
      writable: show,
    })
    if (interactive) note(`${name}${known?.state === 'running' ? '' : `, which is ${known?.state ?? 'unknown'}`}. Ctrl-A X leaves, Ctrl-A H shows help`)
    await left
    connection.close()
  } finally {
    stop()
    shown.flush()
    shown.close()
    if (interactive) output.write('\r\n')
  }
}

/**
 * Shows the last output of a machine's console; with `follow`, what comes then, until the machine is forgotten or `ended` resolves.
 *
 * @throws typed errors
 */
export async function runLogs(hypervisor: Hypervisor, name: string, follow: boolean, write: (bytes: Uint8Array) => void, ended: Promise<void>): Promise<void> {
  let close: () => void = () => {}
  const closed = new Promise<void>((resolve) => { close = resolve })
  // The last output comes before the answer.
  const connection = await hypervisor.console(name, { output: write, closed: close })
  if (follow) await Promise.race([closed, ended])
  connection.close()
}
