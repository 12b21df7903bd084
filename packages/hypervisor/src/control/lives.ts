import { machinistError } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import type { Fault, Order, ProcessorChannel } from '../channel/messages.ts'
import { Fleet } from './fleet.ts'
import type { Journal } from './journal.ts'
import type { Link, Said } from './link.ts'
import { Moving } from './moving.ts'
import type { MachineRecord } from './record.ts'
import { Restarts } from './restarts.ts'
import { endOf } from './stopping.ts'

/** Machines on processors: how they come to live there, what is heard of them, and how they end. */
export class Lives {
  readonly fleet: Fleet
  readonly restarts: Restarts
  readonly moving: Moving
  readonly #loop: HostLoop
  readonly #records: ReadonlyMap<string, MachineRecord>
  readonly #journal: Journal
  readonly #tellTree: (link: Link) => void

  /**
   * @param open - opens a processor
   * @param tellTree - tells a processor the terms of its machines
   * @throws what opening a processor throws
   */
  constructor(loop: HostLoop, records: ReadonlyMap<string, MachineRecord>, journal: Journal, processors: { readonly count: number; readonly width: number }, open: (index: number) => ProcessorChannel, tellTree: (link: Link) => void) {
    this.#loop = loop
    this.#records = records
    this.#journal = journal
    this.#tellTree = tellTree
    this.moving = new Moving(tellTree)
    this.restarts = new Restarts(loop, (record) => record.serially(async () => {
      if (record.removed || record.alive || record.ending) return
      await this.make(record)
      journal.tell('restarted', record.spec.name, `restarted on processor ${String(record.home)}`)
    }))
    this.fleet = new Fleet(processors, loop, open, records, {
      said: (link, message) => { this.#said(link, message) },
      lost: (link, reason) => { this.#lost(link, reason) },
      missing: (index, reason) => { journal.tell('processor-lost', `processor ${String(index)}`, `it cannot be opened: ${reason}`) },
    })
  }

  /** Has a processor do something with a machine. @throws what it answers, or a typed error `'machine-off'` */
  ask(record: MachineRecord, order: Order): Promise<void> {
    return record.link === null ? Promise.reject(off(record.spec.name)) : record.link.ask(order)
  }

  /** Makes a machine where it is to live, and starts it. */
  async make(record: MachineRecord, snapshot?: string): Promise<void> {
    const { fleet } = this
    if (!record.chosen || !fleet.fits(record, record.home)) record.home = fleet.choose(record)
    record.chosen = false
    const link = fleet.link(record.home)
    record.error = null
    record.status = null
    record.pressed = false
    this.settle(record, link)
    try {
      await link.ask({ do: 'make', spec: record.spec, ...(snapshot !== undefined && { snapshot }) })
    } catch (error) {
      if (record.link === link) this.ended(record, 1, { message: error instanceof Error ? error.message : String(error) })
      throw error
    }
  }

  /** A machine is going to live on a processor, which is told its terms first. */
  settle(record: MachineRecord, link: Link): void {
    record.home = link.index
    record.link = link
    record.startedAt = this.#loop.now()
    this.#tellTree(link)
  }

  /** Takes a machine to another processor, or, of one that is off, says where it is to start. */
  async move(record: MachineRecord, processor: number): Promise<void> {
    const target = this.fleet.link(processor)
    if (!this.fleet.fits(record, processor)) throw machinistError({ code: 'not-admitted', part: record.spec.name, value: processor, remedy: 'Reserve less, or move others.' }, 'the processor has not so much left to promise')
    record.movedAt = this.#loop.now()
    if (record.link !== null) {
      await this.moving.move(record, record.link, target)
      return
    }
    record.home = processor
    record.chosen = true
  }

  /**
   * Pulls the plug of a machine, if it is on.
   *
   * @param why - what the event tells besides
   */
  async pull(record: MachineRecord, why: string = ''): Promise<void> {
    record.ending = true
    record.pulled = why
    this.restarts.cancel(record)
    if (record.link === null) return
    const gone = record.whenOff()
    await record.link.ask({ do: 'off', name: record.spec.name }).catch((error: unknown) => {
      // It may have come to its end of itself.
      if (record.alive) throw error
    })
    await gone
  }

  /** It lives nowhere any more. */
  ended(record: MachineRecord, status: number, error: Fault | null): void {
    record.state = 'off'
    record.status = status
    record.error = error?.message ?? null
    record.left()
  }

  close(): void {
    this.restarts.close()
    this.fleet.close()
    for (const record of this.#records.values()) {
      this.restarts.cancel(record)
      if (record.alive) this.ended(record, 0, null)
    }
  }

  #said(link: Link, message: Said): void {
    if (message.type === 'report') {
      link.room = message.room ?? null
      for (const measured of message.machines) {
        const record = this.#records.get(measured.name)
        if (record?.link === link) record.measured = measured
      }
      return
    }
    const { name } = message
    if (message.type === 'event') {
      this.#journal.tell(message.kind, name === '' ? `processor ${String(link.index)}` : name, message.text)
      return
    }
    if (message.type === 'handed') {
      this.moving.handed(link, message)
      return
    }
    const record = this.#records.get(name)
    if (record?.link !== link) return
    if (message.type === 'output') {
      record.console.output(message.bytes)
      link.tell({ type: 'taken', name, count: message.bytes.length })
      return
    }
    const { state, status, error, by = 'guest' } = message
    if (state === 'off') {
      this.ended(record, status ?? 0, error)
      this.#journal.tell(error === null ? 'off' : 'failed', name, error === null ? endOf(record, by, status ?? 0) : error.message)
      this.restarts.after(record, error !== null || (status ?? 0) !== 0)
      return
    }
    const before = record.state
    record.state = state
    if (before === state) return
    if (state === 'paused') this.#journal.tell('paused', name, 'paused')
    else if (before === 'paused') this.#journal.tell('resumed', name, 'goes on')
  }

  #lost(link: Link, reason: string): void {
    this.#journal.tell('processor-lost', `processor ${String(link.index)}`, reason)
    for (const record of this.#records.values()) {
      if (record.link !== link) continue
      this.ended(record, 1, { message: `its processor has gone: ${reason}` })
      this.#journal.tell('lost', record.spec.name, `its processor has gone: ${reason}`)
      this.restarts.after(record, true)
    }
  }
}

/** An error about a machine that does not run. */
export function off(name: string): Error {
  return machinistError({ code: 'machine-off', part: name, remedy: 'Start it first.' }, 'the machine does not run')
}
