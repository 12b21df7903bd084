import type { CharPort } from '@machinist/api'
import type { ConsoleConnection, Hypervisor, HypervisorEvent } from '@machinist/hypervisor'
import { plain } from '@machinist/hypervisor/text'
import type { DatastoreImage } from '../datastore/datastore.ts'
import { errorText, type CommandHost, type HardwareFigures, runLine } from './commands.ts'
import { LineEditor } from './line-editor.ts'
import { Screen } from './screen.ts'

/** What the monitor is given. */
export interface MonitorOptions {
  readonly hypervisor: Hypervisor
  /** The console of the hardware. */
  readonly console: CharPort
  /** Nanoseconds, of a clock that never goes back. */
  now(): number
  /** Calls back once after so many nanoseconds; returns what cancels that. */
  after(duration: number, call: () => void): () => void
  /** Images on disks of the hardware; those that are found later may be added. */
  readonly images?: readonly DatastoreImage[]
  /** What the hardware has, and what the hypervisor takes of it. */
  readonly hardware?: () => HardwareFigures
  /** Ends the hardware. */
  readonly powerOff?: () => void
  /** Letters in a line of the terminal; 80 unless given. */
  readonly width?: number
  /** The machine whose console is shown first. */
  readonly first?: string
}

/** The monitor on the console of the hardware. */
export interface Monitor {
  /** Shows an error that nobody handled, with its place in the sources. */
  report(error: unknown): void
  /** Writes a line of its own. */
  note(text: string): void
  close(): void
}

const PROMPT = 'machinist> '
const CTRL_A = 0x01
const CTRL_C = 0x03
const PIECE = 256
/** Keys that wait while a command is busy. */
const MOST_KEYS = 1024
const HELP = ['Ctrl-A X, Ctrl-A D  back to the monitor; the machine goes on', 'Ctrl-A N            the console of the next machine', 'Ctrl-A H            this help', 'Ctrl-A A            send Ctrl-A to the guest', 'Everything else, Ctrl-C included, goes to the guest.']
/** Kinds of events that people are told of. */
const TOLD: readonly string[] = ['off', 'failed', 'lost', 'restarted', 'warning', 'memory-short', 'datastore-full', 'processor-lost']

/** A console that is shown. */
interface Attached {
  readonly name: string
  readonly connection: ConsoleConnection
  /** Ctrl-A was pressed. */
  escaped: boolean
  leave(next: string | null): void
}

/** Begins to listen to the console of the hardware: commands about machines, and their consoles, one at a time. */
export function startMonitor(options: MonitorOptions): Monitor {
  const { hypervisor, console: port, hardware, now, after, images = [], powerOff, width = 80, first } = options
  const screen = new Screen(port)
  const keys: number[] = []
  let attached: Attached | null = null
  /** A command is at work. */
  let busy = false
  /** Told of a key while a command waits. */
  let onKey: (() => void) | null = null
  let open = true

  const host: CommandHost = {
    hypervisor, width, images, ...(hardware !== undefined && { hardware }), now,
    write: (text) => { screen.text(text) },
    pause: (duration) => new Promise((resolve) => {
      const end = (whole: boolean): void => {
        cancel()
        onKey = null
        resolve(whole)
      }
      const cancel = after(duration, () => { end(true) })
      onKey = () => { end(false) }
    }),
    async attach(name) { for (let next: string | null = name; next !== null;) next = await show(next) },
    ...(powerOff !== undefined && { powerOff }),
  }
  const editor = new LineEditor(PROMPT, (text) => { screen.text(text) }, (line) => { void work(line) })

  /** Shows a console until its user leaves. @returns the machine whose console comes next */
  async function show(name: string): Promise<string | null> {
    let leave: (next: string | null) => void = () => {}
    const left = new Promise<string | null>((resolve) => { leave = resolve })
    screen.line(`[${name}. Ctrl-A X comes back, Ctrl-A H shows help]`)
    const connection = await hypervisor.console(name, {
      output: (bytes) => { screen.bytes(bytes) },
      closed() {
        screen.line(`[the console of ${name} was closed]`)
        leave(null)
      },
    })
    const mine: Attached = { name, connection, escaped: false, leave }
    attached = mine
    const early = keys.splice(0)
    if (early.length > 0) typed(mine, early)
    const next = await left
    attached = null
    connection.close()
    screen.fresh()
    return next
  }

  async function nextOf(name: string): Promise<string> {
    const names = (await hypervisor.machines()).map((machine) => machine.name)
    return names[(names.indexOf(name) + 1) % names.length] ?? name
  }

  /** Keys for a guest, and what follows Ctrl-A. */
  function typed(to: Attached, bytes: readonly number[]): void {
    const out: number[] = []
    for (const [index, byte] of bytes.entries()) {
      if (!to.escaped) {
        if (byte === CTRL_A) to.escaped = true
        else out.push(byte)
        continue
      }
      to.escaped = false
      const key = String.fromCharCode(byte).toLowerCase()
      if (byte === CTRL_A || key === 'a') out.push(CTRL_A)
      else if (key === 'h' || key === '?') for (const line of HELP) screen.line(line)
      else if (key === 'x' || key === 'd' || key === 'n') {
        if (out.length > 0) to.connection.write(Uint8Array.from(out))
        keys.push(...bytes.slice(index + 1))
        attached = null
        if (key !== 'n') to.leave(null)
        else nextOf(to.name).then(to.leave, (error: unknown) => {
          screen.text(errorText(error))
          to.leave(null)
        })
        return
      } else out.push(CTRL_A, byte)
    }
    if (out.length > 0) to.connection.write(Uint8Array.from(out))
  }

  async function work(line: string): Promise<void> {
    busy = true
    await runLine(host, line)
    busy = false
    if (!open) return
    screen.fresh()
    editor.show()
    for (const byte of keys.splice(0)) key(byte)
  }

  function key(byte: number): void {
    if (!busy) editor.key(byte)
    else if (onKey !== null) onKey()
    else if (byte === CTRL_C) keys.length = 0
    else if (keys.length < MOST_KEYS) keys.push(byte)
  }

  const listen = (): void => {
    const buffer = new Uint8Array(PIECE)
    for (let count = port.read(buffer); count > 0; count = port.read(buffer)) {
      const bytes = [...buffer.subarray(0, count)]
      if (attached !== null) typed(attached, bytes)
      else for (const byte of bytes) key(byte)
    }
  }

  /** Writes something while a line is being typed. */
  const aside = (write: () => void): void => {
    if (!open) return
    const prompting = !busy
    if (prompting) screen.text('\r\u001b[K')
    else screen.fresh()
    write()
    if (prompting) editor.show()
  }
  const stop = hypervisor.on(({ kind, name, text }: HypervisorEvent) => {
    if (TOLD.includes(kind)) aside(() => { screen.text(`[${plain([name, kind].filter((word) => word !== '').join(': '))}${text === '' ? '' : `, ${plain(text)}`}]\n`) })
  })

  port.listen({ readable: listen, writable: () => { screen.flush() } })
  screen.line('This is the monitor; help lists its commands.')
  editor.show()
  if (first !== undefined) {
    screen.text(`console ${first}\n`)
    void work(`console ${first}`)
  }
  listen()
  return {
    report(error) { aside(() => { screen.text(`An error that nobody handled: ${errorText(error)}`) }) },
    note(text) { aside(() => { screen.text(`${plain(text)}\n`) }) },
    close() {
      open = false
      stop()
      attached?.leave(null)
    },
  }
}
