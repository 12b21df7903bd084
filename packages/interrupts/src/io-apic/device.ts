import type { Device, DeviceContext, IrqLine, Width } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import type { NoBackends } from '../harts.ts'
import { REFUSED } from '../local-apic/registers.ts'
import { Entry, Index, ioApicRegisters, PINS } from './registers.ts'
import type { IoApicConfig } from './spec.ts'

/** Saved state of an I/O APIC. The levels of its inputs are among it, for edges are told by them. */
export interface IoApicState {
  readonly select: number
  readonly id: number
  /** Lower and upper words of the redirection table. */
  readonly low: readonly number[]
  readonly high: readonly number[]
  /** Bit n: input n is asserted. */
  readonly levels: number
}

/** An I/O APIC: a table that makes messages to local APICs of its inputs. */
export class IoApic implements Device<IoApicState> {
  readonly #name: string
  readonly #version: number
  readonly #output: IrqLine
  readonly #registers: RegisterBlock<typeof ioApicRegisters>
  readonly #low = new Uint32Array(PINS)
  readonly #high = new Uint32Array(PINS)
  #id = 0
  #levels = 0
  /** Nobody took the last message. */
  #refused = false

  constructor(config: IoApicConfig, { name, trace, irq }: DeviceContext<'apic', NoBackends>) {
    this.#name = name
    this.#version = config.version
    this.#output = irq.apic
    this.#registers = new RegisterBlock(ioApicRegisters, {
      name, trace,
      read: { IOWIN: () => this.#read(this.#registers.get('IOREGSEL')) },
      write: {
        IOWIN: (value) => {
          this.#registers.set('IOWIN', 0)
          this.#write(this.#registers.get('IOREGSEL'), value)
        },
        EOIR: (value) => { if (this.#version >= 0x20) this.#end(value & Entry.vector) },
      },
    })
    this.reset('cold')
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#registers.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(offset, width, value)
  }

  /** An input is asserted or not, which polarity it may have: bit 13 of entries tells what wires are like, and these have none. */
  input(line: number, level: boolean): void {
    if (line >= PINS) return
    const bit = 1 << line
    if (((this.#levels & bit) !== 0) === level) return
    this.#levels = (level ? this.#levels | bit : this.#levels & ~bit) >>> 0
    if (!level) return
    const entry = this.#low[line] ?? 0
    if ((entry & Entry.level) !== 0) this.#sample(line)
    // An edge that comes while it is masked is lost (3.2.4, interrupt mask).
    else if ((entry & Entry.mask) === 0) this.#send(line)
  }

  /** A local APIC tells the end of a level-triggered interrupt; or that nobody takes the message that was just sent. */
  receive(line: number, what: number): void {
    if (line !== PINS) return
    if (what === REFUSED) this.#refused = true
    else this.#end(what & Entry.vector)
  }

  reset(kind: 'cold' | 'warm'): void {
    this.#registers.reset()
    this.#id = 0
    this.#low.fill(Entry.mask)
    this.#high.fill(0)
    if (kind === 'cold') this.#levels = 0
  }

  save(): IoApicState {
    return { select: this.#registers.get('IOREGSEL'), id: this.#id, low: [...this.#low], high: [...this.#high], levels: this.#levels }
  }

  restore(state: IoApicState): void {
    const data = plainData(this.#name, state, 'state')
    const select = data.integer('select', 0, 0xff)
    const id = data.integer('id', 0, 15)
    const low = data.integers('low', PINS, 0, 0xffff_ffff)
    const high = data.integers('high', PINS, 0, 0xffff_ffff)
    const levels = data.integer('levels', 0, 2 ** PINS - 1)
    data.done()
    this.#registers.set('IOREGSEL', select)
    this.#id = id
    this.#low.set(low.map((entry) => legal(entry & (Entry.writable | Entry.remoteIrr))))
    this.#high.set(high.map((entry) => entry & Entry.destination))
    this.#levels = levels
  }

  #read(index: number): number {
    switch (index) {
      case Index.id:
      case Index.arbitration: return this.#id << 24
      case Index.version: return (PINS - 1) << 16 | this.#version
      default: {
        const pin = (index - Index.table) >>> 1
        return ((index & 1) === 0 ? this.#low[pin] : this.#high[pin]) ?? 0
      }
    }
  }

  #write(index: number, value: number): void {
    if (index === Index.id) this.#id = value >>> 24 & 15
    const pin = (index - Index.table) >>> 1
    const entry = this.#low[pin]
    if (index < Index.table || entry === undefined) return
    if ((index & 1) === 1) this.#high[pin] = value & Entry.destination
    else this.#low[pin] = legal((value & Entry.writable) | (entry & Entry.remoteIrr))
    this.#sample(pin)
  }

  /** A level that is there is sent, once until its end; remote IRR is set when a local APIC has it (3.2.4), and who has none gets it when its entry is mended. */
  #sample(pin: number): void {
    const entry = this.#low[pin] ?? 0
    if ((entry & (Entry.level | Entry.mask | Entry.remoteIrr)) !== Entry.level || (this.#levels >>> pin & 1) === 0) return
    // Set before, for the end may come at once.
    this.#low[pin] = entry | Entry.remoteIrr
    this.#refused = false
    this.#send(pin)
    if (this.#refused) this.#low[pin] = entry
  }

  #end(vector: number): void {
    for (const [pin, entry] of this.#low.entries()) {
      if ((entry & Entry.vector) !== vector || (entry & Entry.remoteIrr) === 0) continue
      this.#low[pin] = entry & ~Entry.remoteIrr
      this.#sample(pin)
    }
  }

  #send(pin: number): void {
    this.#output.send((((this.#low[pin] ?? 0) & Entry.message) | ((this.#high[pin] ?? 0) & Entry.destination)) >>> 0)
  }
}

/** Edges have no remote IRR. */
function legal(entry: number): number {
  return ((entry & Entry.level) !== 0 ? entry : entry & ~Entry.remoteIrr) >>> 0
}
