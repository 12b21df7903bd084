import type { CharPort, Deliver } from '@machinist/api'
import { type AddressRange, type Hardware, hardwareError, type Registers, registersAt, type RegisterWidth } from './hardware.ts'
import type { HardwareNode } from './probe.ts'

/** `compatible` of what is driven. */
export const UART_COMPATIBLE: readonly string[] = ['ns16550a', 'ns16550', 'snps,dw-apb-uart']

/** PC16550D, table II: numbers of registers. */
const REGISTER = { data: 0, ier: 1, iir: 2, fcr: 2, lcr: 3, mcr: 4, lsr: 5, msr: 6 } as const
/** 8.7: received data, and transmitter holding register empty. */
const IER = { received: 1, empty: 2 } as const
/** 8.5: FIFOs on and empty, interrupt at 8 bytes. */
const FCR = 0x87
const IIR_NONE = 1
/** 8.1: divisor latch access. */
const DLAB = 0x80
/** 8.4 */
const LSR = { data: 1, empty: 0x20 } as const
/** 8.8: DTR, RTS, and OUT2, which lets a PC's UART interrupt. */
const MCR = 0x0b
const FIFO = 16
/** Bytes that wait on either side. */
const ROOM = 65536
/** Bytes that are taken from the FIFO before somebody else has a turn: a line that never says that it is empty is broken. */
const TURN = 4096

/** Bytes that wait: first in, first out, at most {@link ROOM}. */
class ByteRing {
  readonly #bytes = new Uint8Array(ROOM)
  #start = 0
  #count = 0

  get count(): number {
    return this.#count
  }

  push(byte: number): boolean {
    if (this.#count === ROOM) return false
    this.#bytes[(this.#start + this.#count++) % ROOM] = byte
    return true
  }

  shift(): number {
    const byte = this.#bytes[this.#start] ?? 0
    this.#start = (this.#start + 1) % ROOM
    this.#count--
    return byte
  }
}

/**
 * A 16550A as a terminal's line: input comes by interrupt, output goes by interrupt, 16 bytes at a time, and nobody ever waits for it. The speed is left as firmware set it.
 */
export class Uart16550a {
  readonly name: string
  readonly #registers: Registers
  readonly #shift: number
  readonly #width: RegisterWidth
  readonly #input = new ByteRing()
  readonly #output = new ByteRing()
  #ier: number = IER.received
  #lost = 0
  #deliver: Deliver | null = null
  #listener: Parameters<CharPort['listen']>[0] | null = null
  /** Output was refused: `writable` is due. */
  #refused = false

  /**
   * @param shift - registers are 2^`shift` bytes apart
   * @param width - bytes of an access
   * @throws a typed error `'hardware-unsupported'` for registers that cannot be so
   */
  constructor(hardware: Hardware, range: AddressRange, name: string, shift: number = 0, width: number = 1) {
    if (!(shift >= 0 && shift <= 4 && (width === 1 || width === 2 || width === 4))) throw hardwareError('hardware-unsupported', name, 'has registers of an unknown kind', `reg-shift ${shift}, reg-io-width ${width}`)
    this.name = name
    this.#registers = registersAt(hardware, range)
    this.#shift = shift
    this.#width = width
    this.#write(REGISTER.lcr, this.#read(REGISTER.lcr) & ~DLAB)
    this.#write(REGISTER.ier, 0)
    this.#write(REGISTER.fcr, FCR)
    this.#write(REGISTER.mcr, MCR)
    this.#write(REGISTER.ier, this.#ier)
  }

  /** As the device tree describes it. @throws as the constructor, and for one without registers */
  static at(hardware: Hardware, node: HardwareNode): Uart16550a {
    const [range] = node.ranges
    if (range === undefined) throw hardwareError('hardware-unsupported', node.path, 'has no registers')
    const offset = node.cell('reg-offset', 0)
    return new Uart16550a(hardware, { address: range.address + offset, length: range.length - offset }, node.path, node.cell('reg-shift', 0), node.cell('reg-io-width', 1))
  }

  /** Bytes that came while nobody took them, and are lost. */
  get lost(): number {
    return this.#lost
  }

  /** The line's other end. Connected anew, it is the new one's. */
  connect(deliver: Deliver): CharPort {
    this.#deliver = deliver
    this.#listener = null
    return {
      write: (bytes) => this.#send(bytes),
      read: (into) => {
        const count = Math.min(into.length, this.#input.count)
        for (let index = 0; index < count; index++) into[index] = this.#input.shift()
        return count
      },
      listen: (listener) => {
        this.#listener = listener
        if (this.#input.count > 0) this.#call(() => this.#listener?.readable())
      },
    }
  }

  /** Serves its interrupt. @returns whether it had one */
  interrupt(): boolean {
    const had = (this.#read(REGISTER.iir) & IIR_NONE) === 0
    this.poll()
    return had
  }

  /** Moves what can be moved, also without an interrupt. */
  poll(): void {
    let came = false
    let status = this.#read(REGISTER.lsr)
    for (let count = 0; count < TURN && (status & LSR.data) !== 0; count++) {
      if (this.#input.push(this.#read(REGISTER.data))) came = true
      else this.#lost++
      status = this.#read(REGISTER.lsr)
    }
    if ((status & LSR.empty) !== 0) this.#fill()
    if (came) this.#call(() => this.#listener?.readable())
    if (this.#refused && this.#output.count <= ROOM / 2) {
      this.#refused = false
      this.#call(() => this.#listener?.writable())
    }
  }

  #send(bytes: Uint8Array): number {
    let taken = 0
    while (taken < bytes.length && this.#output.push(bytes[taken] ?? 0)) taken++
    if (taken < bytes.length) this.#refused = true
    if ((this.#ier & IER.empty) === 0) this.#fillIfEmpty()
    return taken
  }

  #fillIfEmpty(): void {
    if ((this.#read(REGISTER.lsr) & LSR.empty) !== 0) this.#fill()
    else this.#interrupts(IER.received | IER.empty)
  }

  /** The transmitter is empty: its FIFO takes 16 bytes. */
  #fill(): void {
    for (let count = 0; count < FIFO && this.#output.count > 0; count++) this.#write(REGISTER.data, this.#output.shift())
    this.#interrupts(this.#output.count > 0 ? IER.received | IER.empty : IER.received)
  }

  #interrupts(ier: number): void {
    if (ier === this.#ier) return
    this.#ier = ier
    this.#write(REGISTER.ier, ier)
  }

  #call(what: () => void): void {
    const deliver = this.#deliver
    deliver?.(() => { if (this.#deliver === deliver) what() })
  }

  #read(register: number): number {
    return this.#registers.read(register << this.#shift, this.#width) & 0xff
  }

  #write(register: number, value: number): void {
    this.#registers.write(register << this.#shift, value, this.#width)
  }
}
