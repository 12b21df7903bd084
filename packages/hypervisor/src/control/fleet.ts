import { machinistError } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import type { ProcessorChannel } from '../channel/messages.ts'
import type { Room } from '../contract/controller.ts'
import { termsOf } from '../table/terms.ts'
import { PROCESSOR_RESERVABLE } from '../table/tree.ts'
import { Link, type Said } from './link.ts'
import type { MachineRecord } from './record.ts'

/** A processor that lived for less than this died of how it began, in nanoseconds. */
const SHORT_LIFE = 1_000_000_000
/** Longest wait before a processor is opened again. */
const LONGEST_WAIT = 30_000_000_000
/** The sum of what is reserved may be off by rounding. */
const NEARLY = 1e-9

/** What the fleet tells the control. */
export interface FleetEvents {
  said(link: Link, message: Said): void
  lost(link: Link, reason: string): void
  /** A processor cannot be opened now; it is tried again. */
  missing(index: number, reason: string): void
}

/** The processors, and who goes to which. One that has gone is replaced. */
export class Fleet {
  readonly count: number
  /** What may be promised of each. */
  readonly #promisable: number
  readonly #loop: HostLoop
  readonly #open: (index: number) => ProcessorChannel
  readonly #events: FleetEvents
  readonly #records: ReadonlyMap<string, MachineRecord>
  readonly #links: (Link | null)[]
  readonly #openedAt: number[]
  /** How many in a row had short lives. */
  readonly #short: number[]
  readonly #cancels = new Set<() => void>()
  #closed = false

  constructor({ count, width }: { readonly count: number; readonly width: number }, loop: HostLoop, open: (index: number) => ProcessorChannel, records: ReadonlyMap<string, MachineRecord>, events: FleetEvents) {
    this.count = count
    this.#promisable = PROCESSOR_RESERVABLE * width
    this.#loop = loop
    this.#open = open
    this.#records = records
    this.#events = events
    this.#links = Array<null>(count).fill(null)
    this.#openedAt = Array<number>(count).fill(0)
    this.#short = Array<number>(count).fill(0)
    try {
      for (let index = 0; index < count; index++) this.#links[index] = this.#opened(index)
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Those that are there. */
  get links(): readonly Link[] {
    return this.#links.filter((link): link is Link => link !== null)
  }

  /** What each processor has of memory by itself; null where that is not known, or it has gone. */
  get rooms(): readonly (Room | null)[] {
    return this.#links.map((link) => link?.room ?? null)
  }

  /** @throws a typed error `'parameter'`, or `'processor-lost'` for one that is not there now */
  link(index: number): Link {
    const link = this.#links[index]
    if (link === undefined) throw machinistError({ code: 'parameter', part: 'processor', value: index, remedy: `Use a number from 0 to ${String(this.count - 1)}.` }, 'there is no such processor')
    if (link === null) throw machinistError({ code: 'processor-lost', part: `processor ${String(index)}`, remedy: 'Try again later.' }, 'the processor has gone')
    return link
  }

  /** Whether what a machine reserves can be kept on a processor. */
  fits(record: MachineRecord, index: number, reservation: number = termsOf(record.spec.resources, 'cpu').reservation): boolean {
    let sum = reservation
    for (const each of this.#records.values()) if (each !== record && each.home === index) sum += termsOf(each.spec.resources, 'cpu').reservation
    return sum <= this.#promisable + NEARLY
  }

  /**
   * Where a machine is to live: where its reservation can be kept, and others want least.
   *
   * @throws a typed error `'not-admitted'`
   */
  choose(record: MachineRecord): number {
    let best = -1
    let least = Infinity
    for (let index = 0; index < this.count; index++) {
      const load = this.#load(record, index)
      if (load < least && this.fits(record, index)) [best, least] = [index, load]
    }
    if (best < 0) throw machinistError({ code: 'not-admitted', part: record.spec.name, value: termsOf(record.spec.resources, 'cpu').reservation, remedy: 'Reserve less, or move others.' }, 'no processor has so much left to promise')
    return best
  }

  #load(but: MachineRecord, index: number): number {
    // Better late than on one that is not there.
    let load = this.#links[index] === null ? 1e6 : 0
    // Of one that sleeps or is off it is only known that it is there.
    for (const each of this.#records.values()) if (each !== but && each.home === index) load += each.alive ? Math.max(0.01, each.measured?.usage.cpu?.demand ?? 1) : 0.001
    return load
  }

  close(): void {
    this.#closed = true
    for (const cancel of this.#cancels) cancel()
    for (const link of this.links) link.close()
  }

  #opened(index: number): Link {
    this.#openedAt[index] = this.#loop.now()
    const link: Link = new Link(index, this.#open(index), (message) => { this.#events.said(link, message) }, (reason) => { this.#lost(link, reason) })
    return link
  }

  #fill(index: number): void {
    if (this.#closed) return
    try {
      this.#links[index] = this.#opened(index)
    } catch (error) {
      this.#short[index] = (this.#short[index] ?? 0) + 1
      this.#fillLater(index)
      this.#events.missing(index, error instanceof Error ? error.message : String(error))
    }
  }

  /** After a wait that grows with how many in a row had short lives. */
  #fillLater(index: number): void {
    const cancel = this.#loop.after(Math.min(LONGEST_WAIT, SHORT_LIFE * 2 ** Math.max(0, (this.#short[index] ?? 0) - 2)), () => {
      this.#cancels.delete(cancel)
      this.#fill(index)
    })
    this.#cancels.add(cancel)
  }

  #lost(link: Link, reason: string): void {
    if (this.#closed) return
    const { index } = link
    this.#links[index] = null
    const lived = this.#loop.now() - (this.#openedAt[index] ?? 0)
    const short = lived < SHORT_LIFE ? (this.#short[index] ?? 0) + 1 : 0
    this.#short[index] = short
    if (short <= 1) this.#fill(index)
    else this.#fillLater(index)
    this.#events.lost(link, reason)
  }
}
