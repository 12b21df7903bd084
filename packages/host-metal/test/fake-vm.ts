import type { CpuContext, TimeCounter } from '@machinist/api'
import { AddressSpace } from '@machinist/bus'
import { type Hart, RiscvCpu } from '@machinist/cpu-riscv'
import { type Arena, frameOf, GuestMemory, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED } from '@machinist/memory'
import { Access, peekSv } from '@machinist/mmu'

const PAGE = 4096
const PTE = { v: 1, r: 2, w: 4, x: 8, a: 64, d: 128 } as const
/** Most guest-physical memory of a fake machine, from {@link RAM_BASE}. */
const RAM_SIZE = 2 ** 30
const RAM_BASE = 0x8000_0000

/** An access that is not mapped: its guest-physical address, and what it wants; implicit, when it is one to a page table. */
export interface Miss {
  readonly address: number
  readonly access: number
  readonly implicit: boolean
}

/** A machine of the fake: the software core's harts, over a page map that has what is mapped and nothing else. */
export class FakeVm {
  readonly memory: GuestMemory
  readonly #arena: Arena
  readonly #now: () => number
  readonly #offsets: bigint[] = []
  #cpu: RiscvCpu | null = null
  harts = 0
  /** Of its harts' interrupt files, or 0. */
  identities = 0

  constructor(arena: Arena, now: () => number) {
    this.#arena = arena
    this.#now = now
    this.memory = new GuestMemory(arena, false)
    this.memory.addRam('all', RAM_BASE, RAM_SIZE)
  }

  hart(index: number): Hart {
    this.#cpu ??= this.#make()
    const hart = this.#cpu.vcpus[index]
    if (hart === undefined) throw new RangeError('no such hart')
    return hart
  }

  /** The guest's time at time 0, of all harts: the software core has one counter. */
  setTimeOffset(offset: bigint): void {
    this.#offsets[0] = offset
    for (const hart of this.#cpu?.vcpus ?? []) hart.updateTimeBase()
  }

  #make(): RiscvCpu {
    const ticks = (): number => Math.floor(this.#now() / 100)
    const offsets = this.#offsets
    const counter: TimeCounter = {
      frequency: 10_000_000,
      get base() { return offsets[0] ?? 0n },
      elapsed: ticks,
      read: () => BigInt.asUintN(64, (offsets[0] ?? 0n) + BigInt(ticks())),
      write: () => undefined,
      onWrite: () => undefined,
      timeOf: (at) => {
        const left = BigInt.asIntN(64, at - (offsets[0] ?? 0n))
        return left > 2n ** 46n ? Infinity : Number(left) * 100
      },
    }
    const context: CpuContext<GuestMemory, AddressSpace, { readonly power: 'power'; readonly console: 'char' }> = {
      name: 'cpu', memory: this.memory, bus: new AddressSpace('nothing'), counter,
      clock: { now: this.#now, timer: () => ({ arm: () => undefined, cancel: () => undefined }) },
      backends: { power: { off: () => undefined, reset: () => undefined }, console: { write: () => 0, send: () => undefined, more: () => undefined, read: () => 0, listen: () => undefined } },
      trace: { enabled: false, warn: () => undefined, event: () => undefined },
      wake: () => undefined,
    }
    const cpu = new RiscvCpu({ harts: Math.max(1, this.harts), firmware: 'none', translate: 'off', identities: this.identities }, context)
    cpu.reset('cold', { pc: RAM_BASE, args: [] })
    return cpu
  }

  map(guest: number, offset: number, length: number, writable: boolean): void {
    const { u32 } = this.#arena
    for (let done = 0; done < length; done += PAGE) {
      const at = this.#entryOf(guest + done)
      const entry = (offset + done) | PAGE_PRESENT | (writable ? PAGE_DIRTY : PAGE_SHARED)
      if ((u32[at] ?? 0) !== 0 && frameOf(u32[at] ?? 0) !== offset + done) this.#changed = true
      u32[at] = entry >>> 0
    }
    this.#flush()
  }

  #changed = false

  unmap(guest: number, length: number): void {
    const { u32 } = this.#arena
    const from = Math.max(guest, RAM_BASE)
    for (let page = from; page < Math.min(guest + length, RAM_BASE + RAM_SIZE); page += PAGE) u32[this.#entryOf(page)] = 0
    this.#changed = true
    this.#flush()
  }

  /** What the core has in its TLBs is dropped, where it may be wrong. */
  #flush(): void {
    if (!this.#changed || this.#cpu === null) return
    this.#changed = false
    this.memory.onProtect?.()
  }

  #entryOf(guest: number): number {
    const at = this.memory.entryAddress(guest)
    if (at === 0) throw new RangeError(`the fake has no guest-physical address 0x${guest.toString(16)}`)
    return at >>> 2
  }

  #entry(guest: number): number {
    const at = this.memory.entryAddress(guest)
    return at === 0 ? 0 : this.#arena.u32[at >>> 2] ?? 0
  }

  isMapped(guest: number, write: boolean): boolean {
    const entry = this.#entry(guest)
    return (entry & PAGE_PRESENT) !== 0 && (!write || (entry & PAGE_SHARED) === 0)
  }

  /** What is mapped, as runs of pages: for tests that look for what should not be. */
  *mappings(): Generator<{ readonly guest: number; readonly offset: number; readonly writable: boolean }> {
    const [region] = this.memory.regions
    if (region === undefined) return
    for (let page = 0; page < RAM_SIZE / PAGE; page++) {
      const entry = this.#arena.u32[(region.map >>> 2) + page] ?? 0
      if (entry !== 0) yield { guest: RAM_BASE + page * PAGE, offset: frameOf(entry), writable: (entry & PAGE_SHARED) === 0 }
    }
  }

  /** What an access misses; null when all of it is mapped, or the guest's own page tables do not let it. */
  look(hart: Hart, va: bigint, access: number): Miss | null {
    let missing = -1
    let leafAt = -1
    const tables = {
      read: (address: number, into: Uint8Array): boolean => {
        leafAt = address
        if (this.isMapped(address, false)) return this.memory.read(address, into)
        missing = address
        return false
      },
    }
    const satp = hart.record.get64('satp')
    const pa = peekSv(tables, va, satp)
    if (missing >= 0) return { address: missing, access: Access.read, implicit: true }
    if (pa < 0) return null
    const write = access === Access.write
    if (leafAt >= 0) {
      const leaf = new Uint8Array(8)
      this.memory.read(leafAt, leaf)
      const flags = leaf[0] ?? 0
      const sets = (flags & PTE.a) === 0 || (write && (flags & PTE.d) === 0 && (flags & PTE.w) !== 0)
      if (sets && !this.isMapped(leafAt, true)) return { address: leafAt, access: Access.write, implicit: true }
      // The guest's own page tables do not let it: that is the guest's to hear first.
      if ((flags & (write ? PTE.w : access === Access.fetch ? PTE.x : PTE.r | PTE.x)) === 0) return null
    }
    return this.isMapped(pa, write) ? null : { address: pa, access, implicit: false }
  }

  /** The instruction at a virtual address; 0 when not all of it is mapped. */
  instruction(hart: Hart, pc: bigint): number {
    let bits = 0
    for (const half of [0, 2]) {
      const va = BigInt.asUintN(64, pc + BigInt(half))
      if (this.look(hart, va, Access.fetch) !== null) return 0
      const bytes = new Uint8Array(2)
      if (!this.memory.read(peekSv(this.memory, va, hart.record.get64('satp')), bytes)) return 0
      bits |= ((bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8)) << (8 * half)
      if (half === 0 && (bits & 3) !== 3) return bits
    }
    return bits >>> 0
  }

  dispose(): void {
    this.unmap(RAM_BASE, RAM_SIZE)
    this.#cpu?.dispose()
    this.memory.dispose()
  }
}
