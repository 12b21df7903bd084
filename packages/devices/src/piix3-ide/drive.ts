import { type BlockPort, type BlockStatus, machinistError } from '@machinist/api'
import type { PlainData } from '@machinist/registers'
import type { Position } from './identify.ts'
import { Control, Fault, PACKET, PIECE, SECTOR, Select, Status } from './registers.ts'

/** What a drive does. */
export const phases = ['idle', 'to-host', 'from-host', 'packet', 'fetch', 'store', 'flush', 'dma-to-host', 'dma-from-host'] as const
export type Phase = (typeof phases)[number]
/** Those in which the disk does something, which is done again after a restore. */
const atDisk: readonly Phase[] = ['fetch', 'store', 'flush']

/** What is to be moved between the host and the medium. */
export interface Transfer {
  /** Where the next byte is on the medium. */
  offset: number
  /** Bytes that have yet to be moved, without those in the buffer. */
  left: number
  /** Bytes that are moved before the host is told again. */
  block: number
  /** Bytes of a buffer after which the host is told of more; all when 0. An even number. */
  readonly window: number
  readonly dma: boolean
  readonly write: boolean
  /** Whether they are on stable storage before it ends. */
  readonly flush: boolean
  /** Whether its command has addresses of 48 bits. */
  readonly wide: boolean
  /** Whether the last byte of the buffer only fills a word. */
  readonly odd: boolean
}

/** Saved state of a drive. */
export interface DriveState {
  /** The command block: features, count, low, mid, high, then what these were before, device, error, status, control. */
  readonly registers: readonly number[]
  readonly interrupt: boolean
  readonly phase: Phase
  readonly transfer: readonly number[]
  readonly buffer: Uint8Array
  readonly at: number
  /** What commands have set: numbers that mean something to its kind. */
  readonly settings: readonly number[]
}

/** What a drive needs of its channel. */
export interface Channel {
  /** An interrupt may have come or gone. */
  changed(): void
  /** It waits for the bus master. */
  wantsDma(): void
  /** A command by the bus master has come to its end. */
  endedDma(): void
  /** Where on the cable a drive is. */
  position(drive: Drive): Position
}

/** Bytes of a buffer, at most. */
export const BUFFER: number = PIECE * SECTOR
const EMPTY = new Uint8Array(0)
const SETTINGS = 12
const NO_TRANSFER: Transfer = { offset: 0, left: 0, block: 0, window: 0, dma: false, write: false, flush: false, wide: false, odd: false }

/** The command block of a device on a cable, and how it moves data: what is common to disks and packet devices. */
export abstract class Drive {
  readonly port: BlockPort
  protected readonly channel: Channel
  /** Features, count, low, mid, high; and what was there before a write, for commands with addresses of 48 bits (ATA/ATAPI-6, 6.20). */
  protected readonly now: Uint8Array = new Uint8Array(5)
  protected readonly before: Uint8Array = new Uint8Array(5)
  protected device = 0
  protected error = 0
  protected control = 0
  protected phase: Phase = 'idle'
  protected transfer: Transfer = NO_TRANSFER
  protected buffer: Uint8Array = EMPTY
  protected at = 0
  protected readonly settings: number[] = new Array<number>(SETTINGS).fill(0)
  status = 0
  interrupt = false
  /** Changes when what is under way is given up. */
  #life = 0
  /** The medium has a request, perhaps one that was given up; and the one that waits for its end. There is never more than one. */
  #asked = false
  #next: (() => void) | null = null

  constructor(port: BlockPort, channel: Channel) {
    this.port = port
    this.channel = channel
  }

  /** Carries out a command. */
  protected abstract command(code: number): void
  /** What it says of itself after a reset (9.12). */
  protected abstract signature(): void
  /** The host has taken a buffer, and nothing is left. */
  protected abstract taken(): void
  /** The host has given a packet. */
  protected abstract packet(bytes: Uint8Array): void
  /** The medium failed. */
  protected abstract failed(status: BlockStatus): void
  /** All is done. */
  protected abstract finished(): void
  /** A block of data waits for the host, or is wanted of it. */
  protected abstract announce(): void
  /** Whether a command is obeyed while another is under way. */
  protected abstract takesWhileBusy(code: number): boolean

  get waitsForDma(): boolean {
    return this.phase === 'dma-to-host' || this.phase === 'dma-from-host'
  }

  get second(): boolean {
    return (this.device & Select.second) !== 0
  }

  readRegister(offset: number): number {
    if (offset === 6) return this.device | 0xa0
    if (offset === 7) return this.status
    if (offset === 1) return this.error
    return ((this.control & Control.previous) !== 0 ? this.before : this.now)[offset - 1] ?? 0
  }

  writeRegister(offset: number, value: number): void {
    // While it is busy, or data waits, the block is not the host's (7.2).
    if ((this.status & (Status.busy | Status.drq)) !== 0 && offset !== 6) return
    this.control &= ~Control.previous
    if (offset === 6) {
      this.device = value
      return
    }
    this.before[offset - 1] = this.now[offset - 1] ?? 0
    this.now[offset - 1] = value
  }

  /** The command register. One that comes in between is left out, but for DEVICE RESET of a packet device (9.1). */
  begin(code: number): void {
    if (!this.takesCommands && !this.takesWhileBusy(code)) return
    this.interrupt = false
    // The line falls, so that the bus master sees it rise if the command is done at once.
    this.channel.changed()
    this.error = 0
    this.status = Status.ready | Status.seek
    this.control &= ~Control.previous
    this.command(code)
    this.channel.changed()
  }

  /** Whether a command is begun that is given now (9.1). */
  get takesCommands(): boolean {
    return (this.status & (Status.busy | Status.drq)) === 0
  }

  /** EXECUTE DEVICE DIAGNOSTIC (8.11), which a drive obeys whatever it was at, since the other one of the cable may be given it. */
  diagnose(): void {
    if ((this.control & Control.reset) !== 0) return
    this.#abandon()
    this.status = Status.ready | Status.seek
    this.begin(0x90)
  }

  writeControl(value: number): void {
    const was = this.control
    this.control = value
    if ((value & Control.reset) !== 0) {
      this.#abandon()
      this.interrupt = false
      this.status = Status.busy
    } else if ((was & Control.reset) !== 0) this.reset()
  }

  get interruptsHost(): boolean {
    return this.interrupt && (this.control & Control.noInterrupt) === 0
  }

  reset(): void {
    this.#abandon()
    this.now.fill(0)
    this.before.fill(0)
    this.device = 0
    this.error = 1
    this.interrupt = false
    this.signature()
  }

  powerOn(): void {
    this.settings.fill(0)
    this.control = 0
    this.reset()
  }

  /** The data register. */
  readData(): number {
    if (this.phase !== 'to-host') return 0
    const { buffer, at } = this
    const value = (buffer[at] ?? 0) | (buffer[at + 1] ?? 0) << 8
    this.at = at + 2
    const { window } = this.transfer
    if (this.at >= buffer.length) this.#blockTaken()
    else if (window > 0 && this.at % window === 0) {
      this.announce()
      this.channel.changed()
    }
    return value
  }

  writeData(value: number): void {
    if (this.phase !== 'from-host' && this.phase !== 'packet') return
    this.buffer[this.at++] = value & 0xff
    this.buffer[this.at++] = value >>> 8
    if (this.at < this.buffer.length) return
    const bytes = this.buffer
    if (this.phase === 'packet') {
      this.#idle()
      this.packet(bytes)
    } else this.#store()
    this.channel.changed()
  }

  /** The bus master takes the buffer, or fills it. */
  get dmaBuffer(): { readonly bytes: Uint8Array; readonly toHost: boolean } {
    return { bytes: this.buffer, toHost: this.phase === 'dma-to-host' }
  }

  /** It has. */
  dmaMoved(): void {
    if (this.phase === 'dma-from-host') this.#store()
    else this.#blockTaken()
    this.channel.changed()
  }

  /** It could not, or was told to stop. */
  dmaFailed(interrupts: boolean): void {
    this.#idle()
    this.abort(Fault.abort)
    this.interrupt = interrupts
    this.channel.changed()
  }

  /** The bus master was told to stop: what it was to move is given up. */
  stopDma(): void {
    if (!this.waitsForDma && !(this.transfer.dma && (this.phase === 'fetch' || this.phase === 'store'))) return
    this.#abandon()
    this.dmaFailed(false)
  }

  /** After a restore: what the disk was asked for is asked for again. */
  again(): void {
    if (this.phase === 'fetch') this.#fetch()
    else if (this.phase === 'store') this.#store()
    else if (this.phase === 'flush') this.flush()
  }

  get asks(): boolean {
    return atDisk.includes(this.phase)
  }

  save(): DriveState {
    const { offset, left, block, window, dma, write, flush, wide, odd } = this.transfer
    return {
      registers: [...this.now, ...this.before, this.device, this.error, this.status, this.control],
      interrupt: this.interrupt, phase: this.phase, transfer: [offset, left, block, window, ...[dma, write, flush, wide, odd].map(Number)],
      buffer: this.buffer.slice(), at: this.at, settings: [...this.settings],
    }
  }

  restore({ registers, interrupt, phase, transfer: [offset = 0, left = 0, block = 0, window = 0, dma, write, flush, wide, odd], buffer, at, settings }: DriveState): void {
    this.#forget()
    this.now.set(registers.slice(0, 5))
    this.before.set(registers.slice(5, 10))
    ;[this.device = 0, this.error = 0, this.status = 0, this.control = 0] = registers.slice(10)
    this.interrupt = interrupt
    this.phase = phase
    this.transfer = { offset, left, block, window, dma: dma === 1, write: write === 1, flush: flush === 1, wide: wide === 1, odd: odd === 1 }
    this.buffer = buffer.slice()
    this.at = at
    settings.forEach((value, index) => { this.settings[index] = value })
  }

  /** Ends a command with an error. */
  protected abort(error: number): void {
    this.error = error
    this.status = Status.ready | Status.seek | Status.err
    this.interrupt = true
  }

  /** Ends a command. */
  protected done(): void {
    this.status = Status.ready | Status.seek
    this.interrupt = true
  }

  /** Gives bytes to the host, by PIO or by the bus master, a word at a time, which are then {@link taken}. */
  protected give(bytes: Uint8Array, dma: boolean = false, window: number = 0): void {
    const odd = bytes.length % 2 === 1
    this.transfer = { ...NO_TRANSFER, dma, window, odd }
    this.#offer(odd ? Uint8Array.from([...bytes, 0]) : bytes)
  }

  /** Moves what a transfer says. */
  protected move(transfer: Transfer): void {
    this.transfer = transfer
    if (transfer.write) this.#want(true)
    else this.#fetch()
  }

  /** Wants a packet. */
  protected wantPacket(): void {
    this.buffer = new Uint8Array(PACKET)
    this.at = 0
    this.phase = 'packet'
    this.status = Status.ready | Status.drq
  }

  /** Has the medium write what it keeps, and ends the command. */
  protected flush(): void {
    this.phase = 'flush'
    this.status = Status.busy | Status.ready
    this.#ask((done) => { this.port.flush(done) }, () => {
      this.#idle()
      this.finished()
    })
  }

  #idle(): void {
    this.phase = 'idle'
    this.buffer = EMPTY
    this.at = 0
  }

  #forget(): void {
    this.#life++
    this.#next = null
  }

  #abandon(): void {
    this.#forget()
    this.#idle()
    this.transfer = NO_TRANSFER
  }

  /** Asks the medium, when what was given up has come back: a host that gives up and begins again has no more of the machine's memory. */
  #ask(request: (done: (status: BlockStatus) => void) => void, done: () => void): void {
    const life = ++this.#life
    const begin = (): void => {
      this.#asked = true
      request((status) => {
        this.#asked = false
        if (life !== this.#life) {
          const next = this.#next
          this.#next = null
          next?.()
          return
        }
        if (status === 'ok') done()
        else {
          this.#idle()
          this.failed(status)
        }
        this.channel.changed()
      })
    }
    if (this.#asked) this.#next = begin
    else begin()
  }

  #fetch(): void {
    const { offset, left, block } = this.transfer
    const bytes = new Uint8Array(Math.min(left, block))
    this.phase = 'fetch'
    this.status = Status.busy | Status.ready
    this.#ask((done) => { this.port.read(offset, [bytes], done) }, () => {
      this.transfer.offset += bytes.length
      this.transfer.left -= bytes.length
      this.#offer(bytes)
    })
  }

  #offer(bytes: Uint8Array): void {
    this.buffer = bytes
    this.at = 0
    if (this.transfer.dma) {
      this.phase = 'dma-to-host'
      this.status = Status.ready | Status.seek | Status.drq
      this.channel.wantsDma()
      return
    }
    this.phase = 'to-host'
    this.status = Status.ready | Status.seek | Status.drq
    this.announce()
  }

  #want(first: boolean): void {
    const { left, block, dma } = this.transfer
    this.buffer = new Uint8Array(Math.min(left, block))
    this.at = 0
    this.status = Status.ready | Status.seek | Status.drq
    if (dma) {
      this.phase = 'dma-from-host'
      this.channel.wantsDma()
      return
    }
    this.phase = 'from-host'
    if (!first) this.announce()
  }

  #blockTaken(): void {
    this.#idle()
    if (this.transfer.left > 0) {
      this.#fetch()
      return
    }
    const { dma } = this.transfer
    this.status = Status.ready | Status.seek
    if (dma) this.channel.endedDma()
    this.taken()
    this.channel.changed()
  }

  #store(): void {
    const { buffer: bytes } = this
    const { offset } = this.transfer
    this.phase = 'store'
    this.status = Status.busy | Status.ready
    this.#ask((done) => { this.port.write(offset, [bytes.slice()], done) }, () => {
      this.transfer.offset += bytes.length
      this.transfer.left -= bytes.length
      this.#idle()
      if (this.transfer.left > 0) this.#want(false)
      else {
        if (this.transfer.dma) this.channel.endedDma()
        if (this.transfer.flush) this.flush()
        else this.finished()
      }
    })
  }
}

/** Checks what {@link Drive.save} gave, for a medium of so many bytes. */
export function driveState(data: PlainData, part: string, size: number): DriveState {
  const registers = data.integers('registers', 14, 0, 255)
  const interrupt = data.boolean('interrupt')
  const phase = data.oneOf('phase', phases)
  const transfer = data.integers('transfer', 9, 0, Number.MAX_SAFE_INTEGER)
  const buffer = data.unknown('buffer')
  const at = data.integer('at', 0, BUFFER)
  const settings = data.integers('settings', SETTINGS, 0, 0xffff_ffff)
  const [offset = 0, left = 0, block = 0, window = 0] = transfer
  const needsBuffer = ['to-host', 'from-host', 'packet', 'store', 'dma-to-host', 'dma-from-host'].includes(phase)
  const good = buffer instanceof Uint8Array && buffer.length <= BUFFER && buffer.length % 2 === 0 && (at === 0 || at < buffer.length || phase === 'store') && (!needsBuffer || buffer.length > 0) && (phase !== 'packet' || buffer.length === PACKET) && at % 2 === 0 &&
    offset + left <= size && window % 2 === 0 && block <= BUFFER && offset % SECTOR === 0 && left % SECTOR === 0 && (left === 0 || (block > 0 && block % SECTOR === 0)) && (phase !== 'fetch' || left > 0) &&
    (!['store', 'from-host', 'dma-from-host'].includes(phase) || (buffer.length <= left && buffer.length % SECTOR === 0))
  if (!good) throw machinistError({ code: 'state', part, remedy: 'Restore a state saved by this version of this device.' }, 'not the state of a drive')
  return { registers, interrupt, phase, transfer, buffer, at, settings }
}
