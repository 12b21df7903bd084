import type { Backend, BackendClock, BackendKind } from '@machinist/api'
import type { HostLoop, Machine, MachineHost } from '@machinist/machine'
import type { Grant, ResourceController } from '../contract/controller.ts'
import type { MachineReport, MachineSpec } from '../contract/machines.ts'
import type { ResourceKind, Terms, Usage } from '../contract/resources.ts'
import { apportion, type Taker } from './apportion.ts'
import { Attachments } from './attachments.ts'
import { hostClock } from './host-clock.ts'

/** Options of {@link diskController} and {@link networkController}. */
export interface IoControllerOptions {
  /**
   * What the machines of this processor may take together, in bytes a second, where grants have no `ceiling`: that of the host, when it has one processor. `Infinity` unless given: then grants and limits
   * count alone.
   */
  readonly capacity?: number
}

/** A backend of a machine behind limits. */
export interface Limiter<Flow> {
  readonly flow: Flow
  /** Bytes a second, and at once; no limit for `Infinity`. */
  limit(rate: number, burst: number): void
}

/** What every flow says. */
export interface AnyFlow {
  readonly countedBytes: number
  readonly heldTime: number
}

/** What is particular to a kind of resource. */
export interface RateKind<Flow extends AnyFlow> {
  readonly kind: ResourceKind
  readonly backend: BackendKind
  /** Puts a limiter before a backend. */
  limiter(backend: Backend<unknown>, clock: BackendClock, onHeld: () => void): { readonly backend: Backend<unknown>; readonly limiter: Limiter<Flow> }
  /** Bytes that wait. */
  waiting(flow: Flow): number
  report(flows: readonly Flow[]): Partial<MachineReport>
}

/** Nanoseconds between two looks at who takes what, while rates are shared out. */
const LOOK = 10e6
/** The least between two, when somebody has to wait meanwhile. */
const SOON = 2e6
/** What a limiter lets pass at once after a pause: so much of a second's, and at least so many bytes. */
const BURST = 0.02
const LEAST_BURST = 4096
/** Of what is found at a look, so much counts for what somebody takes. */
const LEARNING = 1 / 4
/** Looks without anything that passed or waited, after which there are no more until somebody has to wait or is asked for its usage. */
const REST = 100
/** Of the time between two looks, for so much somebody has to wait to count as held. */
const HELD = 1 / 4
/** How many times what it takes somebody who always has to wait is said to want: the next time it may be found to want more. */
const GROWTH = 8
/** Seconds within which a pool has what it lacked or had too much, since what its machines would take was not foreseen; and so much at most is owed. */
const SETTLE = 0.05
/** Of a second: waits that are shorter do not say that somebody wanted more. */
const SHORT = 0.02

const second = 1e9

/** One backend of a machine, and what was seen of it at the last look. */
class Outlet<Flow extends AnyFlow> {
  readonly limiter: Limiter<Flow>
  taken = 0
  held = false
  #counted = 0
  #heldTime = 0

  constructor(limiter: Limiter<Flow>) {
    this.limiter = limiter
    ;({ countedBytes: this.#counted, heldTime: this.#heldTime } = limiter.flow)
  }

  /** Looks at it again after so many nanoseconds. @returns bytes that passed */
  look(passed: number, waiting: number): number {
    const { countedBytes, heldTime } = this.limiter.flow
    const bytes = countedBytes - this.#counted
    const held = heldTime - this.#heldTime
    this.#counted = countedBytes
    this.#heldTime = heldTime
    this.held = waiting > 0 && held > 0 || held > passed * HELD
    if (passed > 0) this.taken += ((bytes * second) / passed - this.taken) * Math.min(1, LEARNING * Math.max(1, passed / LOOK))
    if (this.taken < 1) this.taken = 0
    return bytes
  }
}

interface Entry<Flow extends AnyFlow> extends Required<Terms> {
  readonly name: string
  readonly outlets: readonly Outlet<Flow>[]
  pool: string
  /** Null before the first grant. */
  grant: Grant | null
  /** It was found to want more than it was granted. */
  lacking: boolean
  /** At the last report: when, bytes, and for how long it had waited. */
  reported: { readonly at: number; readonly counted: number; readonly held: number; readonly demand: number }
}

/**
 * Shares out a rate of bytes among the machines of a processor. What machines of one pool are entitled to on this processor, and what nobody wants, goes to those of them that want something now, by
 * their shares, reservations and limits; to those of other pools with the next grants.
 */
export class RateController<Flow extends AnyFlow> implements ResourceController {
  readonly kind: ResourceKind
  readonly #of: RateKind<Flow>
  readonly #capacity: number
  readonly #attachments = new Attachments<Limiter<Flow>>()
  readonly #entries = new Map<string, Entry<Flow>>()
  #loop: HostLoop | null = null
  /** What pools on this processor may take in a second, and bytes that they took less. */
  readonly #pools = new Map<string, { readonly total: number; readonly owed: number }>()
  #looked = 0
  #quiet = 0
  #cancel: (() => void) | null = null
  #next = Infinity

  constructor(of: RateKind<Flow>, { capacity = Infinity }: IoControllerOptions) {
    this.kind = of.kind
    this.#of = of
    this.#capacity = capacity
  }

  host(spec: MachineSpec, host: MachineHost): MachineHost {
    this.#loop = host.loop
    const clock = hostClock(host.loop)
    return this.#attachments.host(spec.name, host, this.#of.backend, (found) => {
      const { backend, limiter } = this.#of.limiter(found, clock, () => { this.#hurry() })
      return { backend, item: limiter }
    })
  }

  add(name: string, _machine: Machine, spec: MachineSpec): void {
    const { shares = 1000, reservation = 0, limit } = spec.resources?.[this.kind] ?? {}
    const outlets = this.#attachments.claim(name).map((limiter) => new Outlet(limiter))
    this.#entries.set(name, {
      // JSON has null for no limit.
      name, outlets, shares, reservation, limit: limit ?? Infinity, pool: spec.pool ?? '', grant: null, lacking: false, reported: { at: this.#now, counted: 0, held: 0, demand: 0 },
    })
    this.#look()
  }

  remove(name: string): void {
    this.#entries.delete(name)
    this.#look()
  }

  usage(name: string): Usage {
    const entry = this.#entries.get(name)
    if (entry === undefined) return { demand: 0, used: 0 }
    const flows = entry.outlets.map(({ limiter }) => limiter.flow)
    const counted = flows.reduce((sum, flow) => sum + flow.countedBytes, 0)
    const held = flows.reduce((most, flow) => Math.max(most, flow.heldTime), 0)
    const { at, ...before } = entry.reported
    const passed = this.#now - at
    if (passed <= 0) return { demand: before.demand, used: 0 }
    const used = ((counted - before.counted) * second) / passed
    const waited = Math.min(1, Math.max(0, held - before.held) / passed)
    // While it waited it could not say what it wants: what it takes when it may, and what waits.
    const waiting = flows.reduce((sum, flow) => sum + this.#of.waiting(flow), 0)
    const demand = waited < SHORT ? used : Math.min(entry.limit, used / Math.max(1 - waited, 1 / GROWTH) + (waiting * second) / passed)
    entry.reported = { at: this.#now, counted, held, demand }
    if (used > 0 || waiting > 0) this.#watch()
    return { demand: Math.max(demand, used), used }
  }

  grant(name: string, grant: Grant): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    const { shares, reservation, limit, pool = entry.pool } = grant
    Object.assign(entry, { shares, reservation, limit: limit as number | null ?? Infinity, pool, grant, lacking: grant.entitled < entry.reported.demand * (1 - SHORT) })
    this.#hurry()
  }

  report(name: string): Partial<MachineReport> {
    const entry = this.#entries.get(name)
    return entry === undefined ? {} : this.#of.report(entry.outlets.map(({ limiter }) => limiter.flow))
  }

  dispose(): void {
    this.#cancel?.()
    this.#cancel = null
    this.#entries.clear()
  }

  get #now(): number {
    return this.#loop?.now() ?? 0
  }

  /** Somebody has to wait, or terms have changed: rates are shared out anew, now or in a moment. */
  #hurry(): void {
    this.#quiet = 0
    const at = this.#looked + SOON
    if (this.#now >= at) this.#look()
    else this.#arm(at)
  }

  #watch(): void {
    this.#quiet = 0
    if (this.#next === Infinity && this.#scarce) this.#arm(this.#now + LOOK)
  }

  #arm(at: number): void {
    if (at >= this.#next) return
    this.#cancel?.()
    this.#next = at
    this.#cancel = this.#loop?.after(Math.max(0, at - this.#now), () => {
      this.#cancel = null
      this.#next = Infinity
      this.#look()
    }) ?? null
  }

  /** Whether anything has to be shared out at all. */
  get #scarce(): boolean {
    return this.#capacity < Infinity || [...this.#entries.values()].some(({ grant, limit, outlets }) => (grant?.ceiling ?? Infinity) < Infinity || (grant !== null && grant.entitled < Infinity) || (limit < Infinity && outlets.length > 1))
  }

  /** Nobody takes anything or waits, and nobody is owed or owes anything: another look would find the same. */
  get #settled(): boolean {
    for (const { outlets } of this.#entries.values()) for (const { taken, held } of outlets) if (taken > 0 || held) return false
    for (const { owed } of this.#pools.values()) if (owed !== 0) return false
    return true
  }

  /** Looks at what everybody takes, and sets the rates. */
  #look(): void {
    const now = this.#now
    const passed = now - this.#looked
    this.#looked = now
    let busy = false
    const pools = new Map<string, Entry<Flow>[]>()
    const took = new Map<string, number>()
    for (const entry of this.#entries.values()) {
      for (const outlet of entry.outlets) {
        const bytes = outlet.look(passed, this.#of.waiting(outlet.limiter.flow))
        took.set(entry.pool, (took.get(entry.pool) ?? 0) + bytes)
        busy ||= bytes > 0 || outlet.held
      }
      if (entry.outlets.length > 0) pools.set(entry.pool, [...pools.get(entry.pool) ?? [], entry])
    }
    const entitled = [...this.#entries.values()].reduce((sum, { grant }) => sum + (grant?.entitled ?? 0), 0)
    for (const pool of this.#pools.keys()) if (!pools.has(pool)) this.#pools.delete(pool)
    for (const [pool, members] of pools) {
      const total = this.#together(pool, members, this.#capacity === Infinity ? Infinity : Math.max(0, this.#capacity - entitled))
      const takers = members.map((entry) => takerOf(entry))
      const owed = owing(this.#pools.get(pool), passed / second, took.get(pool) ?? 0, takers.some(({ held }) => held))
      this.#pools.set(pool, { total, owed })
      const rates = apportion(total + owed / SETTLE, takers)
      members.forEach((entry, index) => { setRates(entry.outlets, rates[index] ?? Infinity) })
    }
    this.#quiet = busy ? 0 : this.#quiet + 1
    if (this.#quiet < REST && !this.#settled && this.#scarce && this.#entries.size > 0) this.#arm(now + LOOK)
  }

  /** What the machines of a pool may take on this processor. */
  #together(pool: string, members: readonly Entry<Flow>[], unknown: number): number {
    const given = members.flatMap(({ grant }) => (grant === null ? [] : [grant]))
    // Without a grant everybody has what there is.
    if (given.length === 0) return this.#capacity
    const due = given.reduce((sum, { entitled }) => sum + entitled, 0)
    const spare = given.map(({ ceiling, entitled }) => (ceiling === undefined || entitled === Infinity ? null : Math.max(0, ceiling - entitled)))
    const told = spare.filter((each) => each !== null)
    if (told.length > 0) return due + Math.max(...told)
    // A pool that lacks something has come to its limit, as far as is known here.
    return members.some(({ lacking }) => lacking) && (pool !== '' || this.#capacity === Infinity) ? due : due + unknown
  }
}

/** What a pool is owed after some seconds in which it took so much; less than nothing when that was too much. Where nobody waits, nobody lacks anything. */
function owing(before: { readonly total: number; readonly owed: number } | undefined, seconds: number, took: number, held: boolean): number {
  if (before === undefined || before.total === Infinity) return 0
  const most = before.total * SETTLE
  return Math.max(-most / 2, Math.min(held ? most : 0, before.owed + before.total * seconds - took))
}

function takerOf<Flow extends AnyFlow>({ shares, reservation, limit, outlets }: Entry<Flow>): Taker {
  return { shares, reservation, limit, held: outlets.some(({ held }) => held), taken: outlets.reduce((sum, { taken }) => sum + taken, 0) }
}

/** Shares out the rate of a machine among its backends. Where there is nothing for it now, it may take the least there is until it is found to want something: no limit is 0. */
function setRates<Flow extends AnyFlow>(outlets: readonly Outlet<Flow>[], due: number): void {
  const rate = Math.max(1, due)
  const rates = apportion(rate, outlets.map(({ held, taken }) => ({ shares: 1, reservation: 0, limit: rate, held, taken })))
  outlets.forEach(({ limiter }, index) => {
    const own = Math.max(1, rates[index] ?? rate)
    limiter.limit(own, Math.max(LEAST_BURST, own * BURST))
  })
}
