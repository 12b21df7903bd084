import { Arena, GuestMemory, PAGE_CODE, ramTable } from '@machinist/memory'
import { Access, tlbLayout } from '@machinist/mmu'
import { compileNow, createMemory, instantiate, ModuleBuilder } from '@machinist/wasm'
import { State, STATE_SIZE, x86Layout } from '../../src/emit/layout.ts'
import { outsideNames } from '../../src/emit/system/outside.ts'
import { emitShared } from '../../src/emit/system/functions.ts'
import { BANKS_PER_HART } from '../../src/emit/tlb.ts'
import { becomeModel } from '../../src/model/power-on.ts'
import { models } from '../../src/model/models.ts'
import { resetState } from '../../src/reset.ts'

interface Shared {
  place(linear: bigint, bytes: number, access: number, system: number): number
  commit(): void
  writeControl(number: number, value: bigint): number
  writeMsr(number: number, value: bigint): number
  startBanks(first: number): void
  flushAll(): void
  flushPrivate(): void
  flushContext(pcid: number): void
  flushAddress(linear: bigint, pcid: number): void
}

const { offset } = x86Layout
const EFER = 0xc000_0080
const MAX_ARENA = 2 ** 27

/** A processor's memory over a machine's RAM, in pages of an arena, without instructions: what it reads and writes is told by TypeScript. */
export class Paged {
  readonly guest: GuestMemory
  /** Accesses to devices, which read as ones. */
  devices = 0
  /** Stores to pages with code that were told. */
  readonly codeStores: number[] = []
  readonly #arena: Arena
  readonly #at: number
  readonly #shared: Shared
  readonly #banks: number

  constructor(regions: readonly (readonly [base: number, size: number])[]) {
    const linear = createMemory({ initial: 1, maximum: MAX_ARENA / 65536 })
    this.#arena = new Arena(linear, MAX_ARENA)
    this.guest = new GuestMemory(this.#arena)
    regions.forEach(([base, size], i) => this.guest.addRam(`ram${i}`, base, size))
    const at = this.#arena.allocate(STATE_SIZE)
    this.#at = at
    this.#banks = this.#arena.allocate(BANKS_PER_HART * tlbLayout.size)
    const m = new ModuleBuilder()
    m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: MAX_ARENA / 65536 })
    emitShared(m, new State(at), { physicalBits: 40 })
    const nothing = (): number => 0
    const device = (): number => {
      this.devices++
      return 1
    }
    this.#shared = instantiate<Shared & Record<string, unknown>>(compileNow(m.toBytes()), {
      host: {
        memory: linear,
        readFault: (entry: number) => this.guest.fault(entry >>> 0, 'read'),
        writeFault: (entry: number, from: number, bytes: number) => this.#writeFault(entry >>> 0, from, bytes),
        codePage: nothing, ...Object.fromEntries(outsideNames.map((name) => [name, nothing])), entropy: () => 0n,
        mmioRead: device, mmioWrite: device, localRead: device, localWrite: device,
      },
    })
    this.reset()
  }

  #writeFault(entry: number, from: number, bytes: number): number {
    const now = this.guest.fault(entry, 'write')
    if ((now & PAGE_CODE) !== 0 && bytes > 0) this.codeStores.push(from)
    return now
  }

  get #view(): DataView {
    return this.#arena.data
  }

  /** As at power-on, in real-address mode, with RAM as it is. */
  reset(): void {
    const state = new State(this.#at)
    resetState(this.#view, state, 'cold')
    becomeModel(this.#view, this.#at, models.max)
    // No local APIC.
    this.#view.setBigUint64(this.#at + offset.apicBase, 0n, true)
    this.#arena.u8.copyWithin(this.#at + offset.ramTable, this.guest.table, this.guest.table + ramTable.size)
    this.#shared.startBanks(this.#banks)
  }

  /** Sets a control register or EFER; whether that is #GP. */
  control(register: 0 | 3 | 4 | 'efer', value: bigint): boolean {
    return (register === 'efer' ? this.#shared.writeMsr(EFER | 0, value) : this.#shared.writeControl(register, value)) === 0
  }

  level(cpl: number, alignment: boolean): void {
    this.#view.setUint32(this.#at + offset.cpl, cpl, true)
    this.#view.setUint32(this.#at + offset.system, alignment ? 0x4_0000 : 0, true)
    this.#view.setUint32(this.#at + offset.mode, 64, true)
  }

  get flush(): Pick<Shared, 'flushAll' | 'flushPrivate' | 'flushContext' | 'flushAddress'> {
    return this.#shared
  }

  /** Accesses that the TLB did not have. */
  get misses(): number {
    return Number(this.#view.getBigUint64(this.#at + offset.tlbMisses, true))
  }

  /** Reads, or writes `value`; what was read, or the fault with its error code and address, in words. */
  access(linear: bigint, bytes: number, what: keyof typeof Access, system: boolean, value?: Uint8Array): string {
    this.#view.setUint32(this.#at + offset.fault, 0, true)
    const place = this.#shared.place(linear, bytes, Access[what], system ? 1 : 0) >>> 0
    const fault = this.#view.getUint32(this.#at + offset.fault, true)
    if (place === 0) return `vector ${fault - 1}, error ${this.#view.getUint32(this.#at + offset.error, true)} at ${this.#view.getBigUint64(this.#at + offset.faultAddress, true).toString(16)}`
    if (value === undefined) return Buffer.from(this.#arena.u8.subarray(place, place + bytes)).toString('hex')
    this.#arena.u8.set(value.subarray(0, bytes), place)
    if (place === this.#at + offset.bounce) this.#shared.commit()
    return 'stored'
  }
}
