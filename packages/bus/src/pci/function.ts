import {
  type DmaSpace, machinistError, type MsiPort, type PciFunctionContext, type PciFunctionPort, type PciFunctionSpec, type RegionSpec, type Trace, type Width,
} from '@machinist/api'
import { plainData, RegisterBlock, type RegisterState } from '@machinist/registers'
import { type Bar, barValue, makeBars } from './bars.ts'
import { Capabilities } from './capabilities.ts'
import { CONFIG_SIZE, HEADER_SIZE, headerRegisters, MULTI_FUNCTION } from './header.ts'
import { Msix, MSIX, MSIX_LENGTH, msixSize, type MsixState } from './msix.ts'
import type { Claim } from './routes.ts'

/** Saved state of a function, as its bus keeps it. */
export interface PciFunctionState {
  readonly header: RegisterState
  /** Level of its interrupt output. */
  readonly level: boolean
  readonly msix: MsixState | null
}

/** What a function tells its bus. */
export interface FunctionEvents {
  readonly trace: Trace
  /** Its BARs, or whether they are decoded, may have changed. */
  moved(): void
  /** What it does to its interrupt pin may have changed. */
  interrupt(): void
}

/** The side of a function that the bus has: configuration space, BARs, interrupts. What is behind them is the device's. */
export class PciFunction implements PciFunctionContext {
  readonly dma: DmaSpace
  readonly bars: readonly Bar[]
  readonly #port: PciFunctionPort
  readonly #header: RegisterBlock<typeof headerRegisters>
  readonly #capabilities: Capabilities
  readonly #msix: Msix | null
  /** Registers of its own, from an offset on. */
  readonly #own: { readonly region: number; readonly from: number; readonly end: number } | null
  readonly #command: number
  readonly #events: FunctionEvents
  #level = false

  constructor(spec: PciFunctionSpec, regions: readonly RegionSpec[], port: PciFunctionPort, events: FunctionEvents) {
    const { name } = port
    const { trace } = events
    this.#port = port
    this.#events = events
    this.dma = gated(port.dma, () => this.busMaster)
    this.#msix = spec.msix === undefined ? null : new Msix(vectorsOf(name, spec.msix), spec.msix.bar, {
      name, trace,
      message: (address, data) => { if (this.busMaster) port.message(address, data) },
      changed: () => { events.interrupt() },
    })
    const table = this.#msix
    const extra = table === null || spec.msix === undefined ? null : { index: spec.msix.bar, size: msixSize(table.vectors), target: table }
    this.bars = makeBars(name, extra === null ? spec : { ...spec, bars: [...spec.bars, { index: extra.index, type: 'memory32', region: regions.length }] },
      extra === null ? regions : [...regions, { name: 'msix', size: extra.size, space: 'mmio' }],
      (region) => region === regions.length && table !== null ? table : {
        read: (offset, width) => port.read(region, offset, width),
        write: (offset, width, value) => { port.write(region, offset, width, value) },
      })
    this.#capabilities = new Capabilities(name)
    for (const { id, body } of spec.capabilities) {
      if (!('region' in body)) this.#capabilities.addFixed(id, body)
      else {
        const { region } = body
        const size = regions[region]?.size ?? 0
        this.#capabilities.add(id, size, {
          read: (offset, width) => port.read(region, offset, width), write: (offset, width, value) => { port.write(region, offset, width, value) },
        })
      }
    }
    if (table !== null) {
      this.#capabilities.add(MSIX, MSIX_LENGTH, {
        read: (offset, width) => table.readCapability(offset, width), write: (offset, width, value) => { table.writeCapability(offset, width, value) },
      })
    }
    this.#own = spec.registers === undefined ? null : ownRegisters(name, spec.registers, regions, this.#capabilities.end)
    this.#command = spec.command ?? 0
    this.#header = new RegisterBlock(headerRegisters, {
      name, trace,
      reset: {
        VendorID: spec.vendorId, DeviceID: spec.deviceId, RevisionID: spec.revision, SubsystemVendorID: spec.subsystemVendorId, SubsystemID: spec.subsystemId,
        Command: this.#command, CapabilitiesPointer: this.#capabilities.first, InterruptPin: port.interrupts ? 1 : 0,
      },
      read: {
        Status: () => (this.#capabilities.first === 0 ? 0 : 1 << headerRegisters.Status.fields.capabilitiesList)
          | (this.#pending ? 1 << headerRegisters.Status.fields.interrupt : 0),
        ClassCode: (_, index) => (spec.classCode >>> (8 * index)) & 0xff,
        HeaderType: () => this.multiFunction ? MULTI_FUNCTION : 0,
      },
      write: {
        Command: (value) => {
          this.#header.set('Command', value | this.#command)
          events.moved()
          events.interrupt()
        },
        BAR: (value, _, index) => {
          this.#header.set('BAR', barValue(this.bars, index, value), index)
          events.moved()
        },
      },
    })
    this.reset()
  }

  /** Whether its device has other functions, for function 0 to say. */
  multiFunction = false

  get msi(): MsiPort | null {
    return this.#msix
  }

  get busMaster(): boolean {
    return this.#header.field('Command', 'busMaster') === 1
  }

  /** Whether its interrupt pin is asserted (6.2.2, 6.2.3). */
  get asserted(): boolean {
    return this.#pending && this.#header.field('Command', 'interruptDisable') === 0
  }

  /** It wants an interrupt, by its pin. */
  get #pending(): boolean {
    return this.#level && this.#msix?.enabled !== true
  }

  /** The device's interrupt output has changed. */
  setLevel(level: boolean): void {
    this.#level = level
    this.#events.interrupt()
  }

  /** What it decodes of a space now, in order of its BARs. */
  claims(space: 'memory' | 'io'): Claim[] {
    if (this.#header.field('Command', space) === 0) return []
    return this.bars.filter((bar) => bar.space === space).map(({ index, wide, size, target }) => {
      const low = this.#header.get('BAR', index)
      const address = space === 'io' ? low - low % 4 : low - low % 16 + (wide ? this.#header.get('BAR', index + 1) * 2 ** 32 : 0)
      return { base: address, size, target }
    })
  }

  /** Puts a BAR at an address, as firmware does, and has it decoded. */
  assign(index: number, space: Bar['space'], address: number): void {
    this.#header.set('BAR', barValue(this.bars, index, address % 2 ** 32), index)
    if (this.bars.some((bar) => bar.index === index && bar.wide)) this.#header.set('BAR', barValue(this.bars, index + 1, Math.floor(address / 2 ** 32)), index + 1)
    this.#header.set('Command', this.#header.get('Command') | 1 << headerRegisters.Command.fields[space])
    this.#events.moved()
  }

  /** A read in its configuration space, at any offset. */
  read(offset: number, width: Width): number {
    if (offset % width !== 0) return bytewise(width, (byte) => this.read(offset + byte, 1))
    if (offset >= CONFIG_SIZE) return 0
    if (offset < HEADER_SIZE) return this.#header.read(offset, width)
    const own = this.#own
    if (own !== null && offset >= own.from && offset + width <= own.end) return this.#port.read(own.region, offset - own.from, width)
    return this.#capabilities.read(offset, width)
  }

  write(offset: number, width: Width, value: number): void {
    if (offset % width !== 0) for (let byte = 0; byte < width; byte++) this.write(offset + byte, 1, (value >>> (8 * byte)) & 0xff)
    else if (offset < HEADER_SIZE) this.#header.write(offset, width, value)
    else if (offset < CONFIG_SIZE) this.#writeBehind(offset, width, value)
  }

  #writeBehind(offset: number, width: Width, value: number): void {
    const own = this.#own
    if (own !== null && offset >= own.from && offset + width <= own.end) this.#port.write(own.region, offset - own.from, width, value)
    else this.#capabilities.write(offset, width, value)
  }

  reset(): void {
    this.#header.reset()
    for (let index = 0; index < 6; index++) this.#header.set('BAR', barValue(this.bars, index, 0), index)
    this.#msix?.reset()
    this.#events.moved()
    this.#events.interrupt()
  }

  save(): PciFunctionState {
    return { header: this.#header.save(), level: this.#level, msix: this.#msix?.save() ?? null }
  }

  /** Takes back what {@link save} gave, or throws with nothing changed. */
  restore(state: unknown): void {
    const { name } = this.#port
    const data = plainData(name, state, 'state')
    const level = data.boolean('level')
    const msix = data.unknown('msix')
    const header = data.unknown('header')
    data.done()
    if ((this.#msix === null) !== (msix === null) || typeof msix !== 'object') {
      throw machinistError({ code: 'state', part: name, remedy: 'Restore it with the configuration that it was saved with.' }, 'the saved state is for another function')
    }
    const before = this.#header.save()
    this.#header.restore(header)
    try {
      this.#msix?.restore(msix as MsixState)
    } catch (error) {
      this.#header.restore(before)
      throw error
    }
    const now = this.#header.save()
    // Only what a guest can write is the state's to say.
    this.#header.restore({ ...before, BAR: now['BAR'] ?? [], CacheLineSize: now['CacheLineSize'] ?? 0, LatencyTimer: now['LatencyTimer'] ?? 0, InterruptLine: now['InterruptLine'] ?? 0 })
    this.#header.set('Command', (Number(now['Command']) & headerRegisters.Command.writable) | this.#command)
    for (let index = 0; index < 6; index++) this.#header.set('BAR', barValue(this.bars, index, this.#header.get('BAR', index)), index)
    this.#level = level
    this.#events.moved()
    this.#events.interrupt()
  }
}

function bytewise(width: Width, byte: (index: number) => number): number {
  let value = 0
  for (let index = width - 1; index >= 0; index--) value = (value << 8) | byte(index)
  return value >>> 0
}

function ownRegisters(part: string, { region, at }: { readonly region: number; readonly at: number }, regions: readonly RegionSpec[], from: number): { readonly region: number; readonly from: number; readonly end: number } {
  const size = regions[region]?.size ?? 0
  if (at % 4 === 0 && at >= from && size > 0 && at + size <= CONFIG_SIZE) return { region, from: at, end: at + size }
  throw machinistError({ code: 'pci-function', part, value: at, remedy: `Use a multiple of 4 from ${from}, and end at ${CONFIG_SIZE}.` }, 'there is no room for its registers in configuration space')
}

function vectorsOf(part: string, { vectors }: { readonly vectors: number }): number {
  if (Number.isInteger(vectors) && vectors >= 1 && vectors <= 2048) return vectors
  throw machinistError({ code: 'pci-function', part, value: vectors, remedy: 'Use 1 to 2048.' }, 'MSI-X cannot have so many vectors')
}

/** Memory that is not there while the function may not be a bus master (6.2.2). */
function gated(dma: DmaSpace, open: () => boolean): DmaSpace {
  return {
    read: (address, into) => open() && dma.read(address, into),
    write: (address, from) => open() && dma.write(address, from),
    read16: (address) => open() ? dma.read16(address) : -1,
    read32: (address) => open() ? dma.read32(address) : -1,
    readWords: (address, into) => open() && dma.readWords(address, into),
    readDescriptors: (table, entries, head, into) => open() ? dma.readDescriptors?.(table, entries, head, into) ?? 0 : 0,
    write16: (address, value) => open() && dma.write16(address, value),
    write32: (address, value) => open() && dma.write32(address, value),
    map: (address, length, access) => open() ? dma.map(address, length, access) : null,
    release: (address, length) => open() && dma.release(address, length),
    get fence() { return dma.fence },
  }
}
