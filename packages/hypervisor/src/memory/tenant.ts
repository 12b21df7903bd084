import type { Machine } from '@machinist/machine'
import { countPages, type GuestMemory, PAGE_SIZE, type PageCounts } from '@machinist/memory'
import type { Grant } from '../contract/controller.ts'
import type { MachineReport, MachineSpec, MemoryMeans } from '../contract/machines.ts'
import type { Usage } from '../contract/resources.ts'
import { termsOf } from '../table/terms.ts'
import { Chances } from './chances.ts'

/** What the controller needs of the control of a balloon: the backend that `balloonControl` of `@machinist/virtio` makes. */
export interface BalloonHandle {
  /** Bytes that the guest is asked to give up. */
  target: number
  /** Bytes that it has given up. */
  readonly size: number
  readonly statistics: { readonly available?: number; readonly total?: number }
  askStats(): void
}

/** Whether a backend is the control of a balloon. */
export function isBalloon(backend: object): backend is BalloonHandle {
  return 'target' in backend && 'size' in backend && 'statistics' in backend && 'askStats' in backend
}

/** A machine whose memory is shared out. Numbers are pages. */
export class Tenant {
  readonly machine: Machine
  readonly memory: GuestMemory
  readonly chance: Chances
  readonly balloon: BalloonHandle | null
  /** Its terms, in bytes; what it is entitled to is what it wants until it is told. */
  #grant: Grant
  #curbed = false
  /** What the balloon was to hold before anybody was short, in bytes. */
  readonly balloonBefore: number
  /** When its pages were last aged. */
  agedAt: number = -Infinity
  /** Frames that it had when targets were worked out. */
  before = 0
  /** What it may have. */
  target: number = Infinity
  /** Bytes that it said it would take when it was asked last. */
  #demand = 0
  #counts: PageCounts = { touched: 0, own: 0, shared: 0, part: 0, compressed: 0, swapped: 0 }
  #countedAt = -1
  #touchedAt = 0

  constructor(machine: Machine, spec: MachineSpec, balloon: BalloonHandle | null) {
    this.machine = machine
    this.memory = machine.memory
    this.chance = new Chances(machine.memory)
    this.balloon = balloon
    this.balloonBefore = balloon?.target ?? 0
    this.#grant = { ...termsOf(spec.resources, 'memory'), entitled: Infinity }
  }

  /** Counts its pages, if any have come or gone. */
  count(): PageCounts {
    const { pieces, touchedPages } = this.memory
    const changes = pieces.reduce((sum, { pager }) => sum + pager.changes, 0)
    if (changes !== this.#countedAt) {
      this.#countedAt = changes
      this.#touchedAt = touchedPages
      this.#counts = countPages(this.memory)
    }
    return this.#counts
  }

  /** Frames that it has: its own, and its part of those that others have, too. As of the last count, and what came and went since. */
  get resident(): number {
    const { own, part } = this.#counts
    return Math.max(0, own + part + this.memory.touchedPages - this.#touchedAt)
  }

  /** Pages that it would have in frames of its own if there were room: those that it has, those that are elsewhere, and what it gave up when it was asked. */
  get wanted(): number {
    const { compressed, swapped } = this.#counts
    return this.resident + compressed + swapped + this.ballooned
  }

  get ballooned(): number {
    return Math.floor((this.balloon?.size ?? 0) / PAGE_SIZE)
  }

  get reserved(): number {
    return this.#grant.reservation / PAGE_SIZE
  }

  get grant(): Grant {
    return this.#grant
  }

  set grant(grant: Grant) {
    this.#grant = grant
    // What it asks for since then has not been answered yet.
    this.#curbed = grant.entitled < (grant.demand ?? this.#demand) - PAGE_SIZE
  }

  /** Whether the hypervisor entitles it to less than it asked for: then the host has no more. */
  get curbed(): boolean {
    return this.#curbed
  }

  /** The most that it may have, whatever others do. */
  get limit(): number {
    return Math.max(1, Math.min(this.#grant.limit, this.#grant.ceiling ?? Infinity) / PAGE_SIZE)
  }

  /** @param perCompressed - pages that a compressed one takes */
  usage(perCompressed: number): Usage {
    const { compressed } = this.count()
    this.#demand = this.wanted * PAGE_SIZE
    const used = (this.resident + compressed * perCompressed) * PAGE_SIZE
    return { demand: this.#demand, used, idle: used * (1 - this.chance.active) }
  }

  report(): Pick<MachineReport, 'memory'> {
    const { touched, own, shared, compressed, swapped } = this.count()
    const memory: MemoryMeans = { touched, own, shared, merged: this.memory.pieces.reduce((sum, { pager }) => sum + pager.merged, 0), ballooned: this.ballooned, compressed, swapped }
    return { memory }
  }
}
