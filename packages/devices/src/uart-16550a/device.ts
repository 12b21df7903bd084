import type { Device, DeviceContext, Shortcut, Width } from '@machinist/api'
import { extract, plainData, RegisterBlock } from '@machinist/registers'
import { Receiver } from './receiver.ts'
import { fcr, fifoSize, iir, triggerLevels, uartRegisters } from './registers.ts'
import { shortcut } from './shortcuts.ts'
import type { Uart16550aConfig, UartBackends } from './spec.ts'
import { Transmitter } from './transmitter.ts'

/** A UART's saved state. */
export interface Uart16550aState {
  readonly registers: Readonly<Record<string, number | readonly number[]>>
  readonly fcr: number
  readonly received: readonly number[]
  /** Input that a driver threw away while it did not listen, and that will come again. */
  readonly returned: readonly number[]
  /** The byte that the last access took, while it can go back; or −1. */
  readonly taken: number
  /** RTS has been on since the last reset. */
  readonly usesRts: boolean
  /** The shift register's byte first. */
  readonly sending: readonly number[]
  readonly holdingEmpty: boolean
  readonly timedOut: boolean
  /** Virtual nanoseconds until the character timeout; -1 for none. */
  readonly timeoutLeft: number
}

/** The modem lines of a terminal that is there: CTS, DSR and DCD are on. */
const connected = 0xb0

/** A 16550A with a host's byte stream at the other end of the line. */
export class Uart16550a implements Device<Uart16550aState> {
  readonly #config: Uart16550aConfig
  readonly #context: DeviceContext<'interrupt', UartBackends>
  readonly #registers: RegisterBlock<typeof uartRegisters>
  /** The storage of those registers that every access looks at. */
  readonly #ier: Uint32Array
  readonly #mcr: Uint32Array
  readonly #lsr: Uint32Array
  readonly #msr: Uint32Array
  readonly #receiver: Receiver
  readonly #transmitter: Transmitter
  readonly #shortcuts: readonly Shortcut[] | undefined
  #fcr = 0
  /** RTS has been on: the guest uses it. */
  #usesRts = false
  /** The transmitter interrupt: THRE became set, and nobody has read IIR since. */
  #holdingEmpty = false

  constructor(config: Uart16550aConfig, context: DeviceContext<'interrupt', UartBackends>) {
    const port = context.backends.console
    this.#config = config
    this.#context = context
    this.#shortcuts = context.shortcuts
    if (this.#shortcuts !== undefined) port.onShare?.(() => { this.#declare() })
    this.#receiver = new Receiver(port, context.clock.timer('timeout'))
    this.#transmitter = new Transmitter(port)
    this.#registers = new RegisterBlock(uartRegisters, {
      name: context.name,
      trace: context.trace,
      shift: config.regShift,
      read: {
        RBR: () => this.#readData(),
        IIR: () => this.#identify(),
        LSR: () => this.#readLineStatus(),
        MSR: (stored) => this.#readModemStatus(stored),
      },
      write: {
        THR: (byte) => { this.#writeData(byte) },
        IER: (value, old) => { this.#enableInterrupts(value, old) },
        FCR: (value) => { this.#controlFifos(value) },
        LCR: (value) => { this.#registers.bank = (value & 0x80) !== 0 ? 'dlab' : null },
        MCR: (value) => { this.#controlModem(value) },
      },
    })
    this.#ier = this.#registers.words('IER')
    this.#mcr = this.#registers.words('MCR')
    this.#lsr = this.#registers.words('LSR')
    this.#msr = this.#registers.words('MSR')
    port.listen({
      readable: () => {
        this.#receiver.readable()
        this.#receive(false)
        this.#update()
        this.#declare()
      },
      writable: () => {
        this.#transmitter.writable()
        this.#send()
        this.#update()
        this.#declare()
      },
    })
  }

  read(_region: number, offset: number, width: Width): number {
    const value = this.#registers.read(offset, width)
    if (offset >>> this.#config.regShift !== 0) this.#receiver.settle()
    this.#declare()
    return value
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#receiver.settle()
    this.#registers.write(offset, width, value)
    this.#declare()
  }

  /** The character timeout. */
  event(): void {
    this.#receiver.expire()
    this.#update()
    this.#declare()
  }

  reset(): void {
    this.#registers.reset()
    this.#registers.set('MSR', connected)
    this.#setFifoControl(0)
    this.#receiver.clear()
    this.#usesRts = false
    this.#transmitter.reset()
    this.#holdingEmpty = false
    this.#receive(false)
    this.#update()
    this.#declare()
  }

  save(): Uart16550aState {
    const { bytes, back, taken, timedOut, timeoutAt } = this.#receiver.save()
    return {
      registers: this.#registers.save(), fcr: this.#fcr, received: bytes, returned: back, taken, usesRts: this.#usesRts, sending: this.#transmitter.save(),
      holdingEmpty: this.#holdingEmpty, timedOut, timeoutLeft: timeoutAt < 0 ? -1 : Math.max(0, timeoutAt - this.#context.clock.now()),
    }
  }

  restore(state: Uart16550aState): void {
    const data = plainData(this.#context.name, state, 'state')
    const control = data.integer('fcr', 0, 0xff) & fcr.kept
    const received = data.bytes('received', (control & fcr.enable) !== 0 ? fifoSize : 1)
    const returned = data.bytes('returned', fifoSize)
    const taken = data.integer('taken', -1, 0xff, -1)
    const usesRts = data.boolean('usesRts')
    const sending = data.bytes('sending', (control & fcr.enable) !== 0 ? fifoSize + 1 : 2)
    const holdingEmpty = data.boolean('holdingEmpty')
    const timedOut = data.boolean('timedOut')
    const timeoutLeft = data.integer('timeoutLeft', -1, Number.MAX_SAFE_INTEGER)
    this.#registers.restore(data.unknown('registers'))
    this.#registers.bank = this.#registers.field('LCR', 'DLAB') === 1 ? 'dlab' : null
    this.#setFifoControl(control)
    this.#receiver.restore(received, returned, taken, timedOut, timeoutLeft < 0 ? -1 : this.#context.clock.now() + timeoutLeft)
    this.#usesRts = usesRts
    this.#transmitter.restore(sending)
    this.#holdingEmpty = holdingEmpty
    this.#send()
    this.#receive(false)
    this.#update()
    this.#declare()
  }

  get #loopback(): boolean {
    return ((this.#mcr[0] ?? 0) & 0x10) !== 0
  }

  /** A driver that listens: the receiver interrupt is on. */
  get #listening(): boolean {
    return ((this.#ier[0] ?? 0) & 0x01) !== 0
  }

  /** Flow control (section 8.8): a guest that has taken RTS back, DTR being on, is there but wants nothing more now. */
  get #throttled(): boolean {
    return this.#usesRts && ((this.#mcr[0] ?? 0) & 0x03) === 0x01
  }

  #readData(): number {
    const byte = this.#receiver.take(!this.#listening && !this.#loopback)
    this.#receiver.watch(this.#timeout())
    this.#receive(false)
    this.#update()
    return byte
  }

  /** In loopback a byte goes to the receiver at once, past those that still wait for the host. */
  #writeData(byte: number): void {
    if (this.#loopback) {
      if (!this.#receiver.loop(byte)) this.#registers.setField('LSR', 'OE', 1)
      this.#receiver.watch(this.#timeout())
    } else {
      this.#transmitter.put(byte)
      this.#transmitter.pump()
    }
    this.#holdingEmpty = this.#transmitter.holdingEmpty
    this.#update()
  }

  /**
   * Input from the host, unless the line is looped back. A guest that takes no receiver interrupts gets a byte when it
   * looks for one: what a driver throws away when it sets the UART up is then not sixteen bytes of somebody's typing.
   */
  #receive(polled: boolean): void {
    const interrupts = this.#listening
    if (this.#loopback || this.#throttled || !(interrupts || polled)) return
    if (this.#receiver.pull(interrupts ? fifoSize : 1)) {
      this.#receiver.watch(this.#timeout())
      this.#update()
    }
  }

  #send(): void {
    const waited = !this.#transmitter.holdingEmpty
    this.#transmitter.pump()
    if (waited && this.#transmitter.holdingEmpty) this.#holdingEmpty = true
  }

  /** Setting ETBEI while THRE is set interrupts at once. */
  #enableInterrupts(value: number, old: number): void {
    if ((value & ~old & 0x02) !== 0) this.#holdingEmpty = this.#transmitter.holdingEmpty
    this.#receive(false)
    this.#update()
  }

  /** Section 8.5: without the enable bit nothing else is programmed; changing it empties both FIFOs. */
  #controlFifos(value: number): void {
    const changed = ((value ^ this.#fcr) & fcr.enable) !== 0
    const enabled = (value & fcr.enable) !== 0
    if (changed || (enabled && (value & fcr.resetReceiver) !== 0)) this.#receiver.clear(!this.#loopback && (changed || !this.#listening))
    if (changed || (enabled && (value & fcr.resetTransmitter) !== 0)) {
      if (!this.#transmitter.holdingEmpty) this.#holdingEmpty = true
      this.#transmitter.clear()
    }
    this.#setFifoControl(enabled ? value & fcr.kept : 0)
    this.#receive(false)
    this.#update()
  }

  #setFifoControl(value: number): void {
    this.#fcr = value
    this.#receiver.fifos = this.#transmitter.fifos = (value & fcr.enable) !== 0
  }

  /** Section 8.8: in loopback the modem outputs drive the modem inputs. */
  #controlModem(value: number): void {
    const looped = (value & 0x10) !== 0
    if (!looped && (value & 0x02) !== 0) this.#usesRts = true
    const lines = looped ? ((value & 0x02) << 3) | ((value & 0x01) << 5) | ((value & 0x0c) << 4) : connected
    const before = this.#registers.get('MSR')
    const changed = (before ^ lines) >>> 4
    // TERI tells the trailing edge of RI alone; the others tell any change.
    const deltas = (changed & 0x0b) | (changed & before >>> 4 & 0x04)
    this.#registers.set('MSR', lines | (before & 0x0f) | deltas)
    this.#receive(false)
    this.#update()
  }

  #readLineStatus(): number {
    this.#receive(true)
    const errors = this.#errors
    if (errors !== 0) {
      this.#lsr[0] = 0
      this.#update()
    }
    return errors | this.#lineStatus
  }

  /** LSR, but for errors. */
  get #lineStatus(): number {
    return (this.#receiver.length > 0 ? 0x01 : 0) | (this.#transmitter.holdingEmpty ? 0x20 : 0) | (this.#transmitter.empty ? 0x40 : 0)
  }

  /** OE, PE, FE and BI: the part of LSR that is stored, and that a read clears. */
  get #errors(): number {
    return (this.#lsr[0] ?? 0) & 0x1e
  }

  #readModemStatus(status: number): number {
    this.#registers.set('MSR', status & 0xf0)
    this.#update()
    return status
  }

  /**
   * Reading IIR acknowledges the transmitter's interrupt, when that is the one it tells. A driver that has just read RBR with the receiver
   * interrupt off, and now reads this, clears what may be pending and wants no data: one that polls for data has no use for IIR.
   */
  #identify(): number {
    this.#receiver.untake()
    const source = this.#source()
    if (source === iir.holdingEmpty) {
      this.#holdingEmpty = false
      this.#update()
    }
    return source | ((this.#fcr & fcr.enable) !== 0 ? iir.fifos : 0)
  }

  /** The pending interrupt of highest priority (section 8.6, table IV). */
  #source(): number {
    const enabled = this.#ier[0] ?? 0
    if (enabled === 0) return iir.none
    const trigger = (this.#fcr & fcr.enable) !== 0 ? triggerLevels[extract(this.#fcr, fcr.trigger)] ?? 1 : 1
    if ((enabled & 0x04) !== 0 && this.#errors !== 0) return iir.lineStatus
    if ((enabled & 0x01) !== 0 && this.#receiver.length >= trigger) return iir.dataAvailable
    if ((enabled & 0x01) !== 0 && this.#receiver.timedOut) return iir.timeout
    if ((enabled & 0x02) !== 0 && this.#holdingEmpty) return iir.holdingEmpty
    if ((enabled & 0x08) !== 0 && ((this.#msr[0] ?? 0) & 0x0f) !== 0) return iir.modemStatus
    return iir.none
  }

  #update(): void {
    this.#context.irq.interrupt.set(this.#source() !== iir.none)
  }

  /**
   * What a host need not ask for now. A register is shadowed while a read of it would change nothing. Bytes for THR may come late while the host is sure to take them, so that LSR says the same
   * afterwards, and while they neither raise the transmitter's interrupt nor take it back.
   */
  #declare(): void {
    const shortcuts = this.#shortcuts
    if (shortcuts === undefined) return
    const settled = this.#receiver.settled
    const enabled = this.#ier[0] ?? 0
    const banked = this.#registers.bank !== null
    const source = this.#source()
    const looks = !this.#loopback && !this.#throttled && !this.#receiver.full(this.#listening ? fifoSize : 1)
    const modem = this.#msr[0] ?? 0
    const takes = settled && !banked && !this.#loopback && ((enabled & 0x02) === 0 || this.#holdingEmpty)
    shortcuts[shortcut.THR]?.set(takes ? this.#transmitter.room : 0)
    shortcuts[shortcut.IER]?.set(settled && !banked ? enabled : -1)
    shortcuts[shortcut.IIR]?.set(settled && source !== iir.holdingEmpty ? source | ((this.#fcr & fcr.enable) !== 0 ? iir.fifos : 0) : -1)
    shortcuts[shortcut.LSR]?.set(settled && this.#errors === 0 && !looks ? this.#lineStatus : -1)
    shortcuts[shortcut.MSR]?.set(settled && (modem & 0x0f) === 0 ? modem : -1)
  }

  /** Virtual time of the character timeout, four characters from now (section 8.5). */
  #timeout(): number {
    const field = this.#registers
    const divisor = Math.max(1, field.get('DLM') * 256 + field.get('DLL'))
    const bits = 1 + 5 + field.field('LCR', 'WLS') + field.field('LCR', 'PEN') + 1 + field.field('LCR', 'STB')
    return this.#context.clock.now() + Math.ceil(4 * bits * 16 * divisor * 1e9 / this.#config.clockFrequency)
  }
}
