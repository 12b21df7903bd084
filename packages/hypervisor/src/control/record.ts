import type { MachineState } from '@machinist/machine'
import type { Measured } from '../channel/messages.ts'
import type { MachineReport, MachineSpec } from '../contract/machines.ts'
import type { ConsoleLog } from './console-log.ts'
import type { Link } from './link.ts'

const NOTHING: Measured['report'] = {
  cpu: { used: 0, ready: 0, held: 0 },
  memory: { touched: 0, own: 0, shared: 0, merged: 0, ballooned: 0, compressed: 0, swapped: 0 },
  disk: { readBytes: 0, writtenBytes: 0, requests: 0 },
  network: { sentBytes: 0, receivedBytes: 0, frames: 0 },
  retired: 0,
}

/** What the control knows of a machine. */
export class MachineRecord {
  spec: MachineSpec
  readonly console: ConsoleLog
  state: MachineState = 'created'
  status: number | null = null
  error: string | null = null
  /** The processor that keeps what it reserves: where it lives, lived last, or will. */
  home: number = 0
  /** Somebody said where it is to start next. */
  chosen = false
  /** Where it lives, while it does. */
  link: Link | null = null
  /** What was last measured of it where it lives. */
  measured: Measured | null = null
  /** Somebody asked for its end: it is not restarted. */
  ending = false
  /** Its power button was pressed since it was started. */
  pressed = false
  /** Why its plug is pulled, if there is more to say of it. */
  pulled = ''
  /** Restarts, one soon after the other, and when it was last started. */
  restarts = 0
  startedAt = 0
  cancelRestart: () => void = () => {}
  removed = false
  /** When it was moved last, by the clock of the host. */
  movedAt: number = -Infinity
  /** What is typed while it moves. */
  typed: Uint8Array[] | null = null
  /** Told when it has come to its end. */
  #whenOff: (() => void)[] = []
  /** What it did where it lived before. */
  #before: Measured['report'] = NOTHING
  #turn: Promise<unknown> = Promise.resolve()

  constructor(spec: MachineSpec, console: ConsoleLog) {
    this.spec = spec
    this.console = console
  }

  get alive(): boolean {
    return this.link !== null
  }

  /** Does one thing after the other with the machine. */
  serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }

  /** Resolves when it lives nowhere. */
  whenOff(): Promise<void> {
    return this.link === null ? Promise.resolve() : new Promise((resolve) => { this.#whenOff.push(resolve) })
  }

  /** It lives elsewhere from now on. */
  moved(link: Link, measured: Measured): void {
    this.measured = measured
    this.#before = this.#total
    // Until it has been measured there, it is taken to want as much as before.
    this.measured = { ...measured, report: { ...NOTHING, memory: measured.report.memory } }
    this.link = link
    this.home = link.index
  }

  /** Somebody typed. */
  type(bytes: Uint8Array): void {
    if (this.typed !== null) this.typed.push(bytes)
    else this.link?.tell({ type: 'input', name: this.spec.name, bytes })
  }

  /** It lives nowhere any more. */
  left(): void {
    this.#before = this.#total
    this.measured = null
    this.link = null
    for (const told of this.#whenOff.splice(0)) told()
  }

  get report(): MachineReport {
    const { spec: { name, pool = '', group = '', snapshots }, state, link, status, error } = this
    return { name, pool, group, ...(snapshots !== undefined && { snapshots }), state, processor: link?.index ?? -1, status, error, ...this.#total }
  }

  get #total(): Measured['report'] {
    const now = this.measured?.report ?? NOTHING
    const before = this.#before
    const add = <Counts extends Readonly<Record<string, number>>>(one: Counts, other: Counts): Counts => Object.fromEntries(Object.entries(one).map(([key, value]) => [key, value + (other[key] ?? 0)])) as Counts
    // Memory is what it has, not what it had.
    return { cpu: add(before.cpu, now.cpu), memory: now.memory, disk: add(before.disk, now.disk), network: add(before.network, now.network), retired: before.retired + now.retired }
  }
}
