import type { BlockPort, BlockStatus } from '@machinist/api'
import { BUFFER, type Channel, Drive } from './drive.ts'
import { identifyCd } from './identify.ts'
import { BLOCK, Fault, Reason, Select, Status } from './registers.ts'

/** Places in the settings of a drive. */
const Setting = { key: 0, code: 1, qualifier: 2, attention: 3, multiword: 4, ultra: 5, stopped: 6, locked: 7, event: 8 } as const
/** Sense: key, additional code and its qualifier (SPC-2, 7.20; MMC-3, annex B). */
type Sense = readonly [key: number, code: number, qualifier: number]
const sense = {
  none: [0, 0, 0], notReady: [2, 0x04, 0x02], noMedium: [2, 0x3a, 0], medium: [3, 0x11, 0], code: [5, 0x20, 0], range: [5, 0x21, 0], field: [5, 0x24, 0], reset: [6, 0x29, 0],
} as const satisfies Record<string, Sense>
/** Commands of packets (MMC-3, and SPC-2). */
const Op = {
  testUnitReady: 0x00, requestSense: 0x03, inquiry: 0x12, modeSense6: 0x1a, startStop: 0x1b, preventAllow: 0x1e, readCapacity: 0x25, read10: 0x28, seek10: 0x2b, readToc: 0x43,
  getConfiguration: 0x46, getEvent: 0x4a, discInformation: 0x51, trackInformation: 0x52, modeSense10: 0x5a, read12: 0xa8, setSpeed: 0xbb, mechanismStatus: 0xbd, readCd: 0xbe,
} as const
/** Those for which a pending unit attention is no reason to fail (SPC-2, 5.6.5). */
const always: readonly number[] = [Op.inquiry, Op.requestSense, Op.getConfiguration, Op.getEvent]
const LEAD_OUT = 0xaa
/** Frames of two seconds that come before the first block, and in a second. */
const [PREGAP, FRAMES] = [150, 75]
const CD_ROM_PROFILE = 8

/** A CD-ROM drive: a packet device (ATA/ATAPI-6, 6.11) that speaks MMC. Without a medium its port has no bytes. */
export class CdRom extends Drive {
  readonly #serial: string
  readonly #blocks: number

  constructor(port: BlockPort, channel: Channel, serial: string) {
    super(port, channel)
    this.#serial = serial
    this.#blocks = Math.floor(port.size / BLOCK)
  }

  override powerOn(): void {
    super.powerOn()
    this.settings[Setting.attention] = 1
    this.settings[Setting.event] = this.#blocks > 0 ? 1 : 0
  }

  protected signature(): void {
    this.now.set([0, 1, 1, 0x14, 0xeb])
    this.status = 0
  }

  protected command(code: number): void {
    switch (code) {
      case 0x08: { // DEVICE RESET: without an interrupt, and the drive is meant as before (8.7)
        const { device } = this
        this.reset()
        this.device = device & Select.second
        return
      }
      case 0x90: // EXECUTE DEVICE DIAGNOSTIC
        this.signature()
        this.device = 0
        this.error = 1
        this.interrupt = true
        return
      case 0xa0:
        this.now[1] = Reason.command
        return this.wantPacket()
      case 0xa1:
        return this.give(identifyCd(this.#serial, { multiword: this.settings[Setting.multiword] ?? 0, ultra: this.settings[Setting.ultra] ?? 0 }, this.channel.position(this)))
      case 0xef:
        return this.#features()
      case 0xe0: case 0xe1: case 0xe6:
        return this.done()
      case 0xe5:
        this.now[1] = 0xff
        return this.done()
      case 0x20: case 0xec: // READ SECTOR(S) and IDENTIFY DEVICE are refused with the signature (9.12)
        this.signature()
        return this.abort(Fault.abort)
      default:
        return this.abort(Fault.abort)
    }
  }

  protected packet(bytes: Uint8Array): void {
    const [code = 0] = bytes
    if (this.settings[Setting.attention] === 1 && !always.includes(code)) {
      this.settings[Setting.attention] = 0
      return this.#check(sense.reset)
    }
    if (code !== Op.requestSense) this.#keep(sense.none)
    this.#obey(code, bytes)
  }

  protected taken(): void {
    // That of IDENTIFY has no such end.
    if (this.#packeted) this.finished()
  }

  protected finished(): void {
    this.now[1] = Reason.command | Reason.toHost
    this.done()
  }

  protected announce(): void {
    const { window } = this.transfer
    if (window > 0) {
      const count = Math.min(window, this.buffer.length - Number(this.transfer.odd) - this.at)
      this.now.set([count & 0xff, count >>> 8], 3)
      this.now[1] = Reason.toHost
    }
    this.interrupt = true
  }

  protected takesWhileBusy(code: number): boolean {
    return code === 0x08
  }

  protected failed(status: BlockStatus): void {
    if (this.transfer.dma) this.channel.endedDma()
    this.#check(status === 'out-of-range' ? sense.range : sense.medium)
  }

  /** Whether what is given to the host is for a packet. */
  get #packeted(): boolean {
    return this.transfer.window > 0 || this.transfer.dma
  }

  #obey(code: number, packet: Uint8Array): void {
    const view = new DataView(packet.buffer)
    switch (code) {
      case Op.testUnitReady: case Op.seek10:
        return this.#ready() ? this.finished() : undefined
      case Op.requestSense:
        // When there is nothing else to tell, a unit attention is told, and that ends it (SPC-2, 7.20).
        if (this.settings[Setting.attention] === 1 && this.settings[Setting.key] === 0) {
          this.settings[Setting.attention] = 0
          this.#keep(sense.reset)
        }
        this.#answer(this.#sense(), packet[4] ?? 0)
        return this.#keep(sense.none)
      case Op.inquiry:
        return (packet[1] ?? 0) !== 0 ? this.#check(sense.field) : this.#answer(inquiry(), view.getUint16(3))
      case Op.modeSense6:
        return this.#modeSense(packet, packet[4] ?? 0, 4)
      case Op.modeSense10:
        return this.#modeSense(packet, view.getUint16(7), 8)
      case Op.startStop:
        this.settings[Setting.stopped] = (packet[4] ?? 0) & 1 ? 0 : 1
        return this.finished()
      case Op.preventAllow:
        this.settings[Setting.locked] = (packet[4] ?? 0) & 1
        return this.finished()
      case Op.setSpeed:
        return this.finished()
      case Op.readCapacity:
        return this.#ready() ? this.#answer(words(this.#blocks - 1, BLOCK), 8) : undefined
      case Op.read10:
        return this.#read(view.getUint32(2), view.getUint16(7))
      case Op.read12:
        return this.#read(view.getUint32(2), view.getUint32(6))
      case Op.readCd:
        return this.#readCd(packet, view)
      case Op.readToc:
        return this.#ready() ? this.#toc(packet, view) : undefined
      case Op.getConfiguration:
        return this.#configuration(packet, view)
      case Op.getEvent:
        return this.#event(packet, view.getUint16(7))
      case Op.discInformation:
        return this.#ready() ? this.#answer(discInformation(), view.getUint16(7)) : undefined
      case Op.trackInformation:
        return this.#ready() ? this.#answer(trackInformation(this.#blocks), view.getUint16(7)) : undefined
      case Op.mechanismStatus:
        return this.#answer(Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0]), view.getUint16(8))
      default:
        return this.#check(sense.code)
    }
  }

  #read(first: number, count: number): void {
    if (!this.#ready()) return
    if (first + count > this.#blocks) return this.#check(sense.range)
    if (count === 0) return this.finished()
    this.move({ offset: first * BLOCK, left: count * BLOCK, block: BUFFER, window: this.#window, dma: this.#dma, write: false, flush: false, wide: false, odd: false })
  }

  /** READ CD (MMC-3, 5.1.15): of the sector, its data or nothing. */
  #readCd(packet: Uint8Array, view: DataView): void {
    const type = (packet[1] ?? 0) >>> 2 & 7
    const parts = (packet[9] ?? 0) & 0xf8
    if (![0, 2].includes(type) || ![0, 0x10].includes(parts) || ((packet[10] ?? 0) & 7) !== 0) return this.#check(sense.field)
    this.#read(view.getUint32(2), parts === 0 ? 0 : view.getUint32(5) & 0xff_ffff)
  }

  /** READ TOC/PMA/ATIP (MMC-3, 5.1.20): one session with one track of data. */
  #toc(packet: Uint8Array, view: DataView): void {
    const minutes = ((packet[1] ?? 0) & 2) !== 0
    const format = (packet[2] ?? 0) & 15 || (packet[9] ?? 0) >>> 6
    const track = packet[6] ?? 0
    const place = (block: number): number[] => minutes ? time(block) : [...words(block)]
    if (format === 0 && (track <= 1 || track === LEAD_OUT)) {
      const tracks = [...track <= 1 ? [[0, 0x14, 1, 0, ...place(0)]] : [], [0, 0x14, LEAD_OUT, 0, ...place(this.#blocks)]]
      return this.#answer(counted([1, 1, ...tracks.flat()]), view.getUint16(7))
    }
    if (format === 1) return this.#answer(counted([1, 1, 0, 0x14, 1, 0, ...place(0)]), view.getUint16(7))
    if (format === 2) {
      const entry = (point: number, ...rest: number[]): number[] => [1, 0x14, 0, point, 0, 0, 0, 0, ...rest]
      return this.#answer(counted([1, 1, ...entry(0xa0, 1, 0, 0), ...entry(0xa1, 1, 0, 0), ...entry(0xa2, ...time(this.#blocks).slice(1)), ...entry(1, ...time(0).slice(1))]), view.getUint16(7))
    }
    this.#check(sense.field)
  }

  #configuration(packet: Uint8Array, view: DataView): void {
    const [type, start] = [(packet[1] ?? 0) & 3, view.getUint16(2)]
    if (type === 3) return this.#check(sense.field)
    this.#answer(configuration(this.#blocks > 0, (code, current) => type === 2 ? code === start : code >= start && (type === 0 || current)), view.getUint16(7))
  }

  #event(packet: Uint8Array, room: number): void {
    // Without polling there would be somebody to tell later: nobody is.
    if (((packet[1] ?? 0) & 1) === 0) return this.#check(sense.field)
    const media = ((packet[4] ?? 0) & 0x10) !== 0
    if (!media) return this.#answer(Uint8Array.from([0, 2, 0x80, 0x10]), room)
    // Media: new medium, once; present or not.
    const news = (this.settings[Setting.event] ?? 0) === 1 ? 2 : 0
    this.settings[Setting.event] = 0
    this.#answer(Uint8Array.from([0, 6, 4, 0x10, news, this.#blocks > 0 ? 2 : 0, 0, 0]), room)
  }

  #modeSense(packet: Uint8Array, room: number, header: 4 | 8): void {
    const page = (packet[2] ?? 0) & 0x3f
    const [control, changeable] = [(packet[2] ?? 0) >>> 6, 1]
    if (control === 3) return this.#check([5, 0x39, 0])
    const wanted = page === 0x3f ? pages : pages.filter(([code]) => code === page)
    if (wanted.length === 0) return this.#check(sense.field)
    const body = wanted.flatMap((each) => control === changeable ? [...each.slice(0, 2), ...each.slice(2).fill(0)] : each)
    const length = body.length + header
    // Medium type: a data disc of 120 mm, or none.
    const medium = this.#blocks > 0 ? 1 : 0x70
    this.#answer(Uint8Array.from([...header === 4 ? [length - 1, medium, 0, 0] : [length - 2 >>> 8, length - 2 & 0xff, medium, 0, 0, 0, 0, 0], ...body]), room)
  }

  #ready(): boolean {
    if (this.#blocks === 0) this.#check(sense.noMedium)
    else if (this.settings[Setting.stopped] === 1) {
      // What wants the medium starts it.
      this.settings[Setting.stopped] = 0
      return true
    }
    return this.#blocks > 0
  }

  #answer(bytes: Uint8Array, room: number): void {
    const length = Math.min(bytes.length, room)
    if (length === 0) return this.finished()
    this.give(bytes.slice(0, length), this.#dma, this.#window)
  }

  #check(why: Sense): void {
    this.#keep(why)
    this.now[1] = Reason.command | Reason.toHost
    this.abort(why[0] << 4 | Fault.abort)
    this.status = Status.ready | Status.err
  }

  #keep(why: Sense): void {
    why.forEach((value, index) => { this.settings[index] = value })
  }

  #sense(): Uint8Array {
    const [key = 0, code = 0, qualifier = 0] = this.settings
    const bytes = new Uint8Array(18)
    bytes.set([0x70, 0, key & 15, 0, 0, 0, 0, 10, 0, 0, 0, 0, code, qualifier])
    return bytes
  }

  /** Whether the host has asked for the bus master (the features register of PACKET). */
  get #dma(): boolean {
    return ((this.now[0] ?? 0) & 1) !== 0
  }

  /** Bytes that the host takes at once (the byte count limit, 8.24.4). */
  get #window(): number {
    const limit = (this.now[3] ?? 0) | (this.now[4] ?? 0) << 8
    return limit < 2 ? 0xfffe : limit - limit % 2
  }

  #features(): void {
    const [code = 0, count = 0] = this.now
    const [kind, mode] = [count >>> 3, count & 7]
    if (code === 0x03 && (kind === 4 || kind === 8) && mode <= 2) {
      this.settings[Setting.multiword] = kind === 4 ? 1 << mode : 0
      this.settings[Setting.ultra] = kind === 8 ? 1 << mode : 0
    } else if (!(code === 0x03 && kind <= 1 && mode <= 4) && code !== 0x66 && code !== 0xcc) return this.abort(Fault.abort)
    this.done()
  }
}

/** Pages: errors (MMC-3, 6.3.4), and capabilities (6.3.11): it reads, and its tray opens. */
const pages: readonly (readonly number[])[] = [
  [0x01, 6, 0, 5, 0, 0, 0, 0],
  [0x2a, 18, 0x3b, 0, 0x70, 0x60, 0x29, 0, 0x02, 0xc2, 0, 2, 2, 0, 0x02, 0xc2, 0, 0, 0, 0],
]

/** Words of 32 bits, the high byte first. */
function words(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length)
  const view = new DataView(bytes.buffer)
  values.forEach((value, index) => { view.setUint32(4 * index, value) })
  return bytes
}

/** A block by minutes, seconds and frames, with a byte before them. */
function time(block: number): number[] {
  const frame = block + PREGAP
  return [0, Math.min(255, Math.floor(frame / (60 * FRAMES))), Math.floor(frame / FRAMES) % 60, frame % FRAMES]
}

/** Bytes behind their number, which has 16 bits. */
function counted(bytes: readonly number[]): Uint8Array {
  return Uint8Array.from([bytes.length >>> 8, bytes.length & 0xff, ...bytes])
}

/** INQUIRY (SPC-2, 7.3): a removable CD-ROM. */
function inquiry(): Uint8Array {
  const text = (value: string, length: number): number[] => Array.from({ length }, (_, index) => value.charCodeAt(index) || 0x20)
  return Uint8Array.from([0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0, ...text('MACHINST', 8), ...text('CD-ROM', 16), ...text('1.0', 4)])
}

/** GET CONFIGURATION (MMC-3, 5.1.4): the profile of CD-ROM, and those of the features that go with it that are asked for. */
function configuration(medium: boolean, asked: (code: number, current: boolean) => boolean): Uint8Array {
  const [profile, current] = [medium ? CD_ROM_PROFILE : 0, medium ? 1 : 0]
  const features = [
    [0x00, 0x00, 0x03, 4, 0, CD_ROM_PROFILE, current, 0],
    [0x00, 0x01, 0x07, 4, 0, 0, 0, 2],
    [0x00, 0x03, 0x03, 4, 0x29, 0, 0, 0],
    [0x00, 0x10, current, 8, 0, 0, 8, 0, 0, 1, 0, 0],
    [0x00, 0x1e, current, 4, 0, 0, 0, 0],
  ].filter(([, code = 0, flags = 0]) => asked(code, (flags & 1) === 1)).flat()
  return Uint8Array.from([...words(features.length + 4), 0, 0, 0, profile, ...features])
}

/** READ DISC INFORMATION (MMC-3, 5.1.16): complete, of one session. */
function discInformation(): Uint8Array {
  const bytes = new Uint8Array(34)
  bytes.set([0, 32, 0x0e, 1, 1, 1, 1, 0x20])
  bytes.fill(0xff, 17, 24)
  return bytes
}

/** READ TRACK INFORMATION (MMC-3, 5.1.21). */
function trackInformation(blocks: number): Uint8Array {
  const bytes = new Uint8Array(36)
  bytes.set([0, 34, 1, 1, 0, 0x04, 0x01])
  bytes.set(words(blocks), 24)
  return bytes
}
