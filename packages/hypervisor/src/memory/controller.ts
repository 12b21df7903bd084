import type { Machine, MachineHost } from '@machinist/machine'
import { CompressedPool, FrameBudget, lzCodec, PAGE_SIZE, type PageCodec, ParkedPages, type SwapFile, SwapSpace } from '@machinist/memory'
import type { Grant, ResourceController, Room } from '../contract/controller.ts'
import type { MachineReport, MachineSpec } from '../contract/machines.ts'
import type { Usage } from '../contract/resources.ts'
import { Arenas } from './arenas.ts'
import { Balloons } from './balloons.ts'
import { Merging } from './merging.ts'
import { memoryTargets } from './targets.ts'
import { type BalloonHandle, isBalloon, Tenant } from './tenant.ts'

/** What a memory controller may be told. */
export interface MemoryControllerOptions {
  /** Bytes of the host that its machines may have in all, for their RAM; no end unless given. It may be changed: {@link MemoryController.budget}. */
  readonly budget?: number
  /** Compresses pages; `lzCodec` unless given, null for not at all. */
  readonly codec?: PageCodec | null
  /** The part of the budget that compressed pages may take, from 0 to 1; 0.25 unless given. */
  readonly compressed?: number
  /** Where pages go that cannot stay. None unless given: then what cannot be compressed stays. It is closed with the controller. */
  readonly swap?: SwapFile
}

/**
 * Where means begin, as parts of the budget. Below the first all is as if there were no budget; then equal pages are merged, and pages age; balloons are inflated; and pages are taken, until there is room again.
 */
const LEVEL = { merge: 0.6, balloon: 0.85, take: 0.95, room: 0.92 } as const
/** Frames that are taken at once when somebody needs one. */
const BATCH = 64
/** Entries of page maps that are looked at for that, at most. */
const LOOK = 8192
/** Pages that are taken in one piece of work: about 30 µs each. */
const AT_ONCE = 16
/** Free frames that the host does not get back, and those that it gets in one piece of work. */
const FREE = 512
const DISCARD = 256
/** Between pieces of work, in nanoseconds: when nothing is short, when something may soon be, and when it is. */
const PAUSE = { idle: 250e6, near: 10e6, busy: 3e6, short: 0 } as const
/** A memory ages no more often than so, in nanoseconds: its translations are dropped each time. */
const AGE = 100e6
/** Targets are worked out before that when so many frames were taken since. */
const GROWN = 256
/** How much more somebody who needs memory is taken to want, in pages. */
const MARGIN = 4096
/** How often targets are worked out anew, in nanoseconds. */
const RETHINK = 250e6
/** For how long the hand takes once round a memory, while pages age: what was not used for so long is idle. */
const ROUND = 10e9

/** Shares out the memory of a processor. */
export interface MemoryController extends ResourceController {
  /** Bytes that its machines may have in all. */
  budget: number
  /** What happened so far, in pages: taken from machines, and of those in the middle of what others did; brought back; taken beyond the budget, as there was nothing to take. */
  readonly counts: { readonly taken: number; readonly urgent: number; readonly merged: number; readonly discarded: number; readonly beyond: number }
  /** Frames in use by all machines, and what compressed pages take. */
  readonly frames: number
}

/**
 * A controller for `'memory'`: machines of a group live in one arena, and have more memory in all than there is. When it gets short, machines give way in the order that costs them least: pages of zeros and equal pages are merged, balloons are
 * inflated (free pages that guests report come back by themselves), cold pages are compressed, and what is left goes to a swap file; from whoever has most beyond his due, which is by shares, where idle memory counts four times. Nobody
 * goes below his reservation. A machine that needs memory gets it at once: others give it in the middle of what it does; and memory that is not short comes back by being used, and by deflating balloons.
 */
export function memoryController(options: MemoryControllerOptions = {}): MemoryController {
  return new Controller(options)
}

class Controller implements MemoryController {
  readonly kind = 'memory'
  readonly #tenants = new Map<string, Tenant>()
  readonly #frames = new FrameBudget()
  readonly #pool: CompressedPool | null
  readonly #parked: ParkedPages
  readonly #arenas: Arenas
  readonly #merging: Merging
  readonly #balloons = new Balloons()
  readonly #swap: SwapFile | undefined
  readonly #compressed: number
  /** Balloons of machines that are being made, by name; and of a copy, which is made by the host of its parent. */
  readonly #found = new Map<string, BalloonHandle>()
  #ofCopy: BalloonHandle | null = null
  #budget: number
  #thought = -Infinity
  /** Pages are being taken until there is room. */
  #taking = false
  /** Who is told that there is too little, and whether he was, since there last was enough. */
  #tell: (kind: string, name: string, text: string) => void = () => {}
  #told = false
  /** Frames in use when targets were worked out. */
  #thoughtAt = 0
  readonly counts = { taken: 0, urgent: 0, merged: 0, discarded: 0, beyond: 0 }

  constructor({ budget = Infinity, codec = lzCodec, compressed = 0.25, swap }: MemoryControllerOptions) {
    this.#swap = swap
    this.#compressed = compressed
    this.#pool = codec === null ? null : new CompressedPool(codec, this.#frames, 0)
    this.#parked = new ParkedPages(this.#pool, swap === undefined ? null : new SwapSpace(swap))
    this.#arenas = new Arenas(this.#frames, this.#parked)
    this.#merging = new Merging(this.#arenas)
    this.#frames.onShort = (frames, memory) => { this.#makeRoom(frames, memory) }
    this.#budget = budget
    this.#limit()
  }

  get budget(): number {
    return this.#budget
  }

  set budget(bytes: number) {
    this.#budget = bytes
    this.#limit()
    this.#thought = -Infinity
  }

  get frames(): number {
    return this.#frames.used
  }

  host(spec: MachineSpec, host: MachineHost): MachineHost {
    const own = this.#arenas.host(spec, host)
    return {
      ...own,
      attach: (backend, kind, part) => {
        if (kind === 'balloon' && isBalloon(backend)) {
          if (this.#tenants.has(spec.name)) this.#ofCopy = backend
          else this.#found.set(spec.name, backend)
        }
        return own.attach?.(backend, kind, part) ?? backend
      },
    }
  }

  add(name: string, machine: Machine, spec: MachineSpec): void {
    const found = this.#found.get(name)
    this.#tenants.set(name, new Tenant(machine, spec, found ?? this.#ofCopy))
    this.#arenas.add(machine.memory, spec)
    this.#found.delete(name)
    if (found === undefined) this.#ofCopy = null
    this.#thought = -Infinity
  }

  remove(name: string): void {
    this.#tenants.delete(name)
    this.#thought = -Infinity
  }

  grant(name: string, grant: Grant): void {
    const tenant = this.#tenants.get(name)
    if (tenant === undefined) return
    tenant.grant = grant
    this.#thought = -Infinity
  }

  usage(name: string): Usage {
    const { compressed } = this.#parked.counts
    return this.#tenants.get(name)?.usage(compressed === 0 ? 0 : (this.#pool?.bytes ?? 0) / PAGE_SIZE / compressed) ?? { demand: 0, used: 0 }
  }

  room(): Room {
    return { all: this.#budget, group: this.#arenas.most }
  }

  report(name: string): Partial<MachineReport> {
    return this.#tenants.get(name)?.report() ?? {}
  }

  listen(tell: (kind: string, name: string, text: string) => void): void {
    this.#tell = tell
  }

  dispose(): void {
    this.#frames.onShort = null
    this.#swap?.close()
  }

  work(now: number): number {
    for (const arena of this.#arenas.all) this.counts.discarded += arena.discardFree(FREE, DISCARD)
    if (now - this.#thought >= RETHINK) {
      this.#thought = now
      this.#think(null)
    }
    const level = this.#frames.used / this.#frames.limit
    if (level < LEVEL.room) this.#told = false
    this.#balloons.work(now, level >= LEVEL.balloon, [...this.#tenants.values()])
    const curbed = this.#curb()
    if (level < LEVEL.merge) {
      this.#taking = false
      return now + (curbed ? PAUSE.near : PAUSE.idle)
    }
    this.#age(now)
    this.counts.merged += this.#merging.work(now, level >= LEVEL.balloon)
    this.#taking = level >= LEVEL.take || (this.#taking && level > LEVEL.room)
    // As long as there is much to merge, that is cheaper.
    const taken = this.#taking && (level > 1 || !this.#merging.busy) ? this.#take(AT_ONCE * (level > 1 ? 4 : 1), null) : 0
    if (level > 1 && taken === 0) this.#complain()
    // What cannot be had is not asked for again at once.
    return now + (level >= LEVEL.balloon && (taken > 0 || this.#merging.busy) ? PAUSE.short : this.#merging.busy ? PAUSE.busy : PAUSE.near)
  }

  /** Says once that there is nothing to take, though there is too little. */
  #complain(): void {
    if (this.#told) return
    this.#told = true
    const beyond = ({ resident, target }: Tenant): number => resident - target
    const [greatest] = [...this.#tenants].sort(([, one], [, other]) => beyond(other) - beyond(one))
    const mib = Math.ceil(((this.#frames.used - this.#frames.limit) * PAGE_SIZE) / 2 ** 20)
    this.#tell('memory-short', greatest?.[0] ?? '', `machines have ${String(mib)} MiB more than their processor has for them, and nothing can be swapped out`)
  }

  /** Lets pages of one memory age, whose turn it is. */
  #age(now: number): void {
    let oldest: Tenant | undefined
    for (const tenant of this.#tenants.values()) if (tenant.agedAt < (oldest?.agedAt ?? Infinity)) oldest = tenant
    if (oldest === undefined || now - oldest.agedAt < AGE) return
    const pages = oldest.memory.regions.reduce((sum, { size }) => sum + size / PAGE_SIZE, 0)
    oldest.chance.age(Math.ceil(pages * Math.min(1, (now - oldest.agedAt) / ROUND)))
    oldest.agedAt = now
  }

  /**
   * Works out how much there may be, and who may have how much.
   *
   * @param needy - whose machine needs more at this moment
   */
  #think(needy: object | null): void {
    this.#thoughtAt = this.#frames.used
    const tenants = [...this.#tenants.values()]
    for (const tenant of tenants) tenant.count()
    this.#limit()
    // What nobody can be asked to give: memory of what was saved, and what compressed pages take.
    const resident = tenants.reduce((sum, tenant) => sum + tenant.resident, 0)
    const others = Math.max(0, this.#frames.used - resident)
    if (this.#frames.limit === Infinity) {
      for (const tenant of tenants) tenant.target = tenant.limit
      return
    }
    // What the hypervisor says when the host is short is by the shares of all pools above, too, and what lies idle has been taxed.
    const told = tenants.some(({ curbed }) => curbed)
    const targets = memoryTargets(Math.max(0, this.#frames.limit * LEVEL.room - others), tenants.map((tenant) => ({
      shares: tenant.grant.entitled < Infinity ? Math.max(1, tenant.grant.entitled) : tenant.grant.shares,
      reservation: tenant.reserved,
      limit: tenant.limit,
      wanted: tenant.wanted + Math.max(0, 2 * (tenant.resident - tenant.before)) + (tenant.memory === needy ? MARGIN : 0),
      active: told && tenant.grant.entitled < Infinity ? 1 : tenant.chance.active,
    })))
    tenants.forEach((tenant, index) => {
      tenant.target = targets[index] ?? Infinity
      tenant.before = tenant.resident
    })
  }

  /** Its own budget; and where the hypervisor gives machines less than they want, the host has no more. */
  #limit(): void {
    const tenants = [...this.#tenants.values()]
    const allowed = ({ curbed, grant: { entitled }, resident }: Tenant): number => curbed ? entitled / PAGE_SIZE : Math.max(resident, entitled < Infinity ? entitled / PAGE_SIZE : 0)
    const sum = tenants.reduce((before, tenant) => before + allowed(tenant), 0)
    // What nobody wants, any of them may take before the hypervisor has looked again.
    const spare = tenants.map(({ grant: { entitled, ceiling = Infinity } }) => ceiling - Math.min(entitled, ceiling)).filter((more) => more < Infinity)
    const curbed = tenants.some((tenant) => tenant.curbed)
    const granted = spare.length > 0 ? sum + Math.max(...spare) / PAGE_SIZE : curbed ? sum : Infinity
    this.#frames.limit = Math.min(this.#budget / PAGE_SIZE, granted)
    if (this.#pool !== null) this.#pool.limit = this.#frames.limit * this.#compressed * PAGE_SIZE
  }

  /** Takes from machines what is beyond their own limits; whether there was any. */
  #curb(): boolean {
    let any = false
    for (const tenant of this.#tenants.values()) {
      const excess = tenant.resident - Math.max(tenant.limit, tenant.reserved)
      if (excess < 1) continue
      any = true
      this.counts.taken += tenant.chance.take(Math.min(AT_ONCE, excess), LOOK, (page) => this.#parked.put(page))
    }
    return any
  }

  /** Somebody takes frames beyond the budget, in the middle of what a guest does. */
  #makeRoom(frames: number, memory: object): void {
    const before = this.#frames.used
    const want = Math.max(frames, BATCH)
    let taken = this.#take(want, memory)
    if (taken < want && Math.abs(before - this.#thoughtAt) >= GROWN) {
      this.#think(memory)
      taken += this.#take(want - taken, memory)
    }
    this.counts.urgent += taken
    if (this.#frames.used + frames <= this.#frames.limit) return
    this.counts.beyond += Math.min(frames, this.#frames.used + frames - this.#frames.limit)
    if (taken > 0) return
    // Its own pages stay where they are while it runs. The slice ends, and then it gives as much as it took.
    for (const { machine, memory: own } of this.#tenants.values()) if (own === memory) machine.preempt()
  }

  /**
   * Takes frames from machines, first from who has most beyond his target.
   *
   * @param except - the memory that nothing must be taken from
   * @returns how many came free
   */
  #take(want: number, except: object | null): number {
    const givers = [...this.#tenants.values()]
      .filter(({ memory }) => memory !== except)
      .map((tenant) => ({ tenant, excess: tenant.resident - Math.max(tenant.target, tenant.reserved) }))
      .filter(({ excess }) => excess >= 1)
      .sort((one, other) => other.excess - one.excess)
    let taken = 0
    for (const { tenant, excess } of givers) {
      taken += tenant.chance.take(Math.min(want - taken, Math.ceil(excess)), LOOK, (page) => this.#parked.put(page))
      if (taken >= want) break
    }
    this.counts.taken += taken
    return taken
  }
}
