import type { BlockPort, BlockStatus } from '@machinist/api'
import { BUFFER, type Channel, Drive } from './drive.ts'
import { type Geometry, geometryOf, identifyDisk } from './identify.ts'
import { Fault, MOST_MULTIPLE, SECTOR, Select, Status } from './registers.ts'

/** Places in the settings of a disk. */
const Setting = { multiple: 0, heads: 1, sectors: 2, multiword: 3, ultra: 4, noCache: 5 } as const
/** What commands of data do. */
interface DataCommand {
  readonly write: boolean
  readonly dma: boolean
  readonly wide: boolean
  readonly multiple: boolean
  readonly flush: boolean
}
const of = (write: boolean, flags: Partial<DataCommand> = {}): DataCommand => ({ write, dma: false, wide: false, multiple: false, flush: false, ...flags })
const data: ReadonlyMap<number, DataCommand> = new Map([
  [0x20, of(false)], [0x21, of(false)], [0x24, of(false, { wide: true })], [0x25, of(false, { wide: true, dma: true })], [0x29, of(false, { wide: true, multiple: true })],
  [0x30, of(true)], [0x31, of(true)], [0x34, of(true, { wide: true })], [0x35, of(true, { wide: true, dma: true })], [0x39, of(true, { wide: true, multiple: true })],
  [0x3c, of(true, { flush: true })], [0x3d, of(true, { wide: true, dma: true, flush: true })], [0xce, of(true, { wide: true, multiple: true, flush: true })],
  [0xc4, of(false, { multiple: true })], [0xc5, of(true, { multiple: true })], [0xc8, of(false, { dma: true })], [0xc9, of(false, { dma: true })], [0xca, of(true, { dma: true })], [0xcb, of(true, { dma: true })],
])

/** A disk (ATA/ATAPI-6, the general feature set with packets left out). */
export class Disk extends Drive {
  readonly #serial: string
  readonly #readOnly: boolean

  constructor(port: BlockPort, channel: Channel, serial: string) {
    super(port, channel)
    this.#serial = serial
    this.#readOnly = port.readOnly
  }

  protected signature(): void {
    this.now.set([0, 1, 1, 0, 0])
    this.status = Status.ready | Status.seek
    this.settings[Setting.multiple] = 0
    this.#translate(geometryOf(this.port.size))
  }

  protected command(code: number): void {
    const moving = data.get(code)
    if (moving !== undefined) this.#data(moving)
    else if (code >= 0x10 && code <= 0x1f) this.done()
    else if (code >= 0x70 && code <= 0x7f) this.#seek()
    else this.#other(code)
  }

  protected taken(): void {
    if (this.transfer.dma) this.done()
  }

  protected packet(): void {
    this.abort(Fault.abort)
  }

  protected finished(): void {
    this.done()
  }

  protected announce(): void {
    this.interrupt = true
  }

  protected takesWhileBusy(): boolean {
    return false
  }

  protected failed(status: BlockStatus): void {
    this.#place(Math.floor(this.transfer.offset / SECTOR), this.transfer.wide)
    if (this.transfer.dma) this.channel.endedDma()
    this.abort(status === 'read-only' || status === 'unsupported' ? Fault.abort : status === 'out-of-range' ? Fault.notFound : Fault.uncorrectable)
    if (status === 'io-error' && this.transfer.write) this.status |= Status.fault
  }

  #other(code: number): void {
    const count = this.now[1] ?? 0
    switch (code) {
      case 0x27: case 0xf8: // READ NATIVE MAX ADDRESS
        this.#place(Math.floor(this.port.size / SECTOR) - 1, code === 0x27)
        return this.done()
      case 0x40: case 0x41: case 0x42: { // READ VERIFY SECTOR(S)
        const range = this.#range(code === 0x42)
        if (range === null) return this.abort(Fault.notFound)
        return this.done()
      }
      case 0x90: // EXECUTE DEVICE DIAGNOSTIC
        this.signature()
        this.device = 0
        this.error = 1
        return this.done()
      case 0x91: // INITIALIZE DEVICE PARAMETERS
        if (count === 0) return this.abort(Fault.abort)
        this.settings[Setting.heads] = (this.device & Select.head) + 1
        this.settings[Setting.sectors] = count
        return this.done()
      case 0xc6: // SET MULTIPLE MODE
        if (count > MOST_MULTIPLE || (count & (count - 1)) !== 0) return this.abort(Fault.abort)
        this.settings[Setting.multiple] = count
        return this.done()
      // IDLE, STANDBY and SLEEP, with the codes of older software: it is always as quick.
      case 0x94: case 0x95: case 0x96: case 0x97: case 0x99: case 0xe0: case 0xe1: case 0xe2: case 0xe3: case 0xe6:
        return this.done()
      case 0x98: case 0xe5: // CHECK POWER MODE: active
        this.now[1] = 0xff
        return this.done()
      case 0xe7: case 0xea: // FLUSH CACHE
        this.transfer = { ...this.transfer, dma: false, wide: code === 0xea }
        return this.flush()
      case 0xec:
        return this.give(identifyDisk(this.port.size, this.#serial, this.#geometry, this.#setting(Setting.multiple), this.#setting(Setting.noCache) === 0, { multiword: this.#setting(Setting.multiword), ultra: this.#setting(Setting.ultra) }, this.channel.position(this)))
      case 0xef:
        return this.#features(count)
      default:
        return this.abort(Fault.abort)
    }
  }

  #data({ write, dma, wide, multiple, flush }: DataCommand): void {
    const range = this.#range(wide)
    const block = this.#setting(Setting.multiple)
    if (multiple && block === 0) return this.abort(Fault.abort)
    if (range === null) return this.abort(Fault.notFound)
    if (write && this.#readOnly) return this.abort(Fault.abort)
    this.move({
      offset: range.sector * SECTOR, left: range.count * SECTOR, block: dma ? BUFFER : multiple ? block * SECTOR : SECTOR, window: 0,
      dma, write, wide, odd: false, flush: flush || (write && this.#setting(Setting.noCache) !== 0),
    })
  }

  /** SET FEATURES (8.46). */
  #features(count: number): void {
    const [code = 0] = this.now
    if (code === 0x02 || code === 0x82) this.settings[Setting.noCache] = code === 0x82 ? 1 : 0
    else if (code === 0x03) {
      const [kind, mode] = [count >>> 3, count & 7]
      // PIO modes; multiword DMA; Ultra DMA.
      if (kind === 4 || kind === 8) {
        if (mode > 2) return this.abort(Fault.abort)
        this.settings[Setting.multiword] = kind === 4 ? 1 << mode : 0
        this.settings[Setting.ultra] = kind === 8 ? 1 << mode : 0
      } else if (kind > 1 || mode > 4) return this.abort(Fault.abort)
    // Look-ahead, and what a reset does to settings: nothing of it is there to change.
    } else if (![0x55, 0xaa, 0x66, 0xcc].includes(code)) return this.abort(Fault.abort)
    this.done()
  }

  #seek(): void {
    const sector = this.#sector(false)
    if (sector === null || sector * SECTOR >= this.port.size) this.abort(Fault.notFound)
    else this.done()
  }

  /** The sectors that a command is for; null when they are not there. */
  #range(wide: boolean): { readonly sector: number; readonly count: number } | null {
    const given = (this.now[1] ?? 0) + (wide ? (this.before[1] ?? 0) * 0x100 : 0)
    const count = given === 0 ? wide ? 0x1_0000 : 0x100 : given
    const sector = this.#sector(wide)
    return sector === null || (sector + count) * SECTOR > this.port.size ? null : { sector, count }
  }

  #sector(wide: boolean): number | null {
    const [, , low = 0, mid = 0, high = 0] = this.now
    const address = low | mid << 8 | high << 16
    if (wide) {
      const [, , low2 = 0, mid2 = 0, high2 = 0] = this.before
      return address + (low2 + mid2 * 0x100 + high2 * 0x1_0000) * 0x100_0000
    }
    const head = this.device & Select.head
    if ((this.device & Select.lba) !== 0) return address + head * 0x100_0000
    const { heads, sectors, cylinders } = this.#geometry
    const cylinder = mid | high << 8
    return low === 0 || low > sectors || head >= heads || cylinder >= cylinders ? null : (cylinder * heads + head) * sectors + low - 1
  }

  /** Puts an address where the host reads it. */
  #place(sector: number, wide: boolean = false): void {
    const byte = (index: number): number => Math.floor(sector / 2 ** (8 * index)) & 0xff
    if ((this.device & Select.lba) === 0 && !wide) {
      const { heads, sectors } = this.#geometry
      const cylinder = Math.floor(sector / (heads * sectors))
      this.now.set([sector % sectors + 1, cylinder & 0xff, cylinder >>> 8 & 0xff], 2)
      this.device = this.device & ~Select.head | Math.floor(sector / sectors) % heads
      return
    }
    const most = wide ? sector : Math.min(sector, 0x0fff_ffff)
    sector = most
    this.now.set([byte(0), byte(1), byte(2)], 2)
    if (wide) this.before.set([byte(3), byte(4), byte(5)], 2)
    else this.device = this.device & ~Select.head | byte(3) & Select.head
  }

  get #geometry(): Geometry {
    const [heads, sectors] = [this.#setting(Setting.heads), this.#setting(Setting.sectors)]
    return { heads, sectors, cylinders: Math.min(0xffff, Math.floor(this.port.size / SECTOR / (heads * sectors))) }
  }

  #translate({ heads, sectors }: Geometry): void {
    this.settings[Setting.heads] = heads
    this.settings[Setting.sectors] = sectors
  }

  /** Of a state that was restored it may be anything: what is divided by is not 0. */
  #setting(at: number): number {
    const value = this.settings[at] ?? 0
    if (at === Setting.heads) return Math.min(16, Math.max(1, value))
    if (at === Setting.sectors) return Math.min(255, Math.max(1, value))
    return at === Setting.multiple ? Math.min(MOST_MULTIPLE, value) : Math.min(4, value)
  }
}
