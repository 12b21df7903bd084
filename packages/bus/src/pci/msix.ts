import type { MsiPort, Trace, Width } from '@machinist/api'
import { RegisterBlock, type RegisterState } from '@machinist/registers'
import type { BarTarget } from './bars.ts'

/** Capability ID of MSI-X (PCI 3.0, 6.8.2). */
export const MSIX = 0x11

/** The capability, from its ID on (6.8.2). ID and next pointer are the list's. */
const capabilityRegisters = {
  Header: { offset: 0, width: 2, access: 'rw', writable: 0, widths: 'any', section: '6.7' },
  Control: { offset: 2, width: 2, access: 'rw', writable: 0xc000, widths: 'any', fields: { mask: 14, enable: 15 }, section: '6.8.2.3' },
  Table: { offset: 4, access: 'rw', writable: 0, widths: 'any', section: '6.8.2.4' },
  PBA: { offset: 8, access: 'rw', writable: 0, widths: 'any', section: '6.8.2.5' },
} as const

/** Bytes of the capability. */
export const MSIX_LENGTH = 12

const ENTRY = 16
const MASKED = 1

/** Vectors and pending bits have half of the BAR each, which is a page or more. */
function halfOf(vectors: number): number {
  let half = 2048
  while (half < vectors * ENTRY) half *= 2
  return half
}

/** Bytes that the BAR of a function with so many vectors has. */
export function msixSize(vectors: number): number {
  return 2 * halfOf(vectors)
}

/** Saved state of a function's MSI-X. */
export interface MsixState {
  readonly capability: RegisterState
  readonly table: RegisterState
}

/** What MSI-X needs of its function. */
export interface MsixHost {
  readonly name: string
  readonly trace: Trace
  /** Sends a message, if the function is a bus master. */
  message(address: number, data: number): void
  /** MSI-X was switched on or off. */
  changed(): void
}

/** MSI-X of a function: capability, table and pending bits (PCI 3.0, 6.8.2). */
export class Msix implements MsiPort, BarTarget {
  readonly vectors: number
  readonly #host: MsixHost
  readonly #capability: RegisterBlock<typeof capabilityRegisters>
  readonly #table: RegisterBlock<ReturnType<typeof tableRegisters>>
  readonly #pending: Uint32Array

  constructor(vectors: number, bar: number, host: MsixHost) {
    this.vectors = vectors
    this.#host = host
    const { name, trace } = host
    this.#capability = new RegisterBlock(capabilityRegisters, {
      name: `${name}.msix`, trace,
      reset: { Control: vectors - 1, Table: bar, PBA: halfOf(vectors) | bar },
      write: {
        Control: () => {
          this.#host.changed()
          this.#flush()
        },
      },
    })
    this.#table = new RegisterBlock(tableRegisters(vectors), {
      name: `${name}.msix`, trace, write: { VectorControl: (_, _old, index) => { this.#flushOne(index) } },
    })
    this.#pending = this.#table.words('Pending')
  }

  /** Whether the guest uses MSI-X: then its interrupt pin is silent. */
  get enabled(): boolean {
    return this.#capability.field('Control', 'enable') === 1
  }

  send(index: number): void {
    if (!this.enabled || !Number.isInteger(index) || index < 0 || index >= this.vectors) return
    if (this.#masked(index)) this.#setPending(index, true)
    else this.#host.message(this.#table.get('AddressLow', index) + this.#table.get('AddressHigh', index) * 2 ** 32, this.#table.get('Data', index))
  }

  /** Accesses to the BAR: four bytes wide, as 6.8.2 wants them. */
  read(offset: number, width: Width): number {
    return this.#table.read(offset, width)
  }

  write(offset: number, width: Width, value: number): void {
    this.#table.write(offset, width, value)
  }

  readCapability(offset: number, width: Width): number {
    return this.#capability.read(offset, width)
  }

  writeCapability(offset: number, width: Width, value: number): void {
    this.#capability.write(offset, width, value)
  }

  reset(): void {
    this.#capability.reset()
    this.#table.reset()
  }

  save(): MsixState {
    return { capability: this.#capability.save(), table: this.#table.save() }
  }

  restore({ capability, table }: MsixState): void {
    const before = this.#capability.save()
    this.#capability.restore(capability)
    try {
      this.#table.restore(table)
    } catch (error) {
      this.#capability.restore(before)
      throw error
    }
    // What a guest cannot change is not the state's to say.
    const { Header = 0, Table = 0, PBA = 0 } = before
    for (const [name, value] of [['Header', Header], ['Table', Table], ['PBA', PBA]] as const) if (typeof value === 'number') this.#capability.set(name, value)
    this.#capability.set('Control', (this.#capability.get('Control') & 0xc000) | (this.vectors - 1))
    for (let index = 0; index < this.vectors; index++) {
      this.#table.set('AddressLow', this.#table.get('AddressLow', index) & -4, index)
      this.#table.set('VectorControl', this.#table.get('VectorControl', index) & MASKED, index)
    }
    for (const [word, bits] of this.#pending.entries()) {
      const there = Math.min(32, Math.max(0, this.vectors - word * 32))
      this.#pending[word] = bits % 2 ** there
    }
  }

  #masked(index: number): boolean {
    return this.#capability.field('Control', 'mask') === 1 || (this.#table.get('VectorControl', index) & MASKED) !== 0
  }

  #setPending(index: number, pending: boolean): void {
    const bit = 1 << (index & 31)
    const word = this.#pending[index >>> 5] ?? 0
    this.#pending[index >>> 5] = pending ? word | bit : word & ~bit
  }

  /** Sends what waited for a mask that is gone (6.8.2.9). */
  #flushOne(index: number): void {
    if (!this.enabled || this.#masked(index) || ((this.#pending[index >>> 5] ?? 0) >>> (index & 31) & 1) === 0) return
    this.#setPending(index, false)
    this.send(index)
  }

  #flush(): void {
    for (const [word, bits] of this.#pending.entries()) {
      for (let bit = 0; bits !== 0 && bit < 32; bit++) this.#flushOne(word * 32 + bit)
    }
  }
}

/** Table (6.8.2.6 to 6.8.2.9) and pending bits (6.8.2.10), all of 32 bits. */
function tableRegisters(vectors: number): {
  readonly AddressLow: RegisterLayout, readonly AddressHigh: RegisterLayout, readonly Data: RegisterLayout, readonly VectorControl: RegisterLayout, readonly Pending: RegisterLayout
} {
  const column = { access: 'rw', count: vectors, stride: ENTRY } as const
  return {
    AddressLow: { ...column, offset: 0, writable: 0xffff_fffc },
    AddressHigh: { ...column, offset: 4 },
    Data: { ...column, offset: 8 },
    VectorControl: { ...column, offset: 12, reset: MASKED, writable: MASKED },
    Pending: { access: 'rw', writable: 0, offset: halfOf(vectors), count: 2 * Math.ceil(vectors / 64) },
  }
}

/** One of them. */
interface RegisterLayout {
  readonly offset: number
  readonly access: 'rw'
  readonly count: number
  readonly stride?: number
  readonly writable?: number
  readonly reset?: number
}
