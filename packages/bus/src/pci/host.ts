import {
  type Device, type DeviceContext, type IrqLine, machinistError, PCI_DEVICES, PCI_FUNCTIONS, type PciFunctionContext, type PciFunctionPort, type PciFunctionSpec,
  type PciHost, pciInput, type PciSlot, type RegionSpec, type Width,
} from '@machinist/api'
import { plainData } from '@machinist/registers'
import { PciFunction, type PciFunctionState } from './function.ts'
import { assignBars } from './assign.ts'
import { Routes } from './routes.ts'
import { ecamSize, hostRegions, type PciHostConfig, type PciIrq, pciIrqs } from './config.ts'

/** Saved state of a host bridge: the bus side of every function, by slot as `device.function`. */
export interface PciHostState {
  readonly functions: Readonly<Record<string, PciFunctionState>>
  /** What the port with the address of configuration space holds; 0 where there is none. */
  readonly address: number
}

/** Bits of an ECAM offset below device and function (PCI Express Base 6.0, 7.2.2), and all below the bus. */
const FUNCTION_SHIFT = 12
const BUS_SHIFT = 20
/** The address by port (PCI 3.0, 3.2.2.3.2): enabled, and bits for bus, device, function and register, which begin 4 bits lower than those of ECAM. */
const ADDRESS = { enable: 0x8000_0000, bits: 0x80ff_fffc, register: 0xfc, functionShift: 8, functions: 0xffff } as const

/**
 * The function that stands for the host itself: a host bridge (class code: PCI 3.0, appendix D), by the numbers of QEMU's generic one. Nothing
 * is behind it, but software that enumerates buses by hand asks for 00:00.0 first, and may end there when nobody answers.
 */
const hostBridge: PciFunctionSpec = {
  vendorId: 0x1b36, deviceId: 0x0008, revision: 0, classCode: 0x06_0000, subsystemVendorId: 0x1af4, subsystemId: 0x1100, bars: [], capabilities: [],
}

/** What a read gets when nobody answers: all ones, as on a bus whose lines are pulled up. */
function ones(width: Width): number {
  return 2 ** (8 * width) - 1
}

/** A host bridge with one bus. Functions answer in its windows, wherever the guest has put them. */
export class EcamHost implements Device<PciHostState>, PciHost {
  readonly #context: DeviceContext<PciIrq, Readonly<Record<never, never>>>
  readonly #config: PciHostConfig
  readonly #outputs: readonly IrqLine[]
  /** By {@link pciInput}. */
  readonly #functions: (PciFunction | undefined)[] = new Array<PciFunction | undefined>(PCI_DEVICES * PCI_FUNCTIONS).fill(undefined)
  readonly #memory: Routes = new Routes(() => this.#present.flatMap((each) => each.claims('memory')))
  readonly #io: Routes = new Routes(() => this.#present.flatMap((each) => each.claims('io')))
  /** For each region, what it shows: configuration space, or addresses of the bus from `base`. */
  readonly #windows: readonly ('ecam' | 'address' | 'data' | { readonly routes: Routes; readonly base: number })[]
  readonly #ecamSize: number
  /** What the address port holds. */
  #address = 0

  constructor(config: PciHostConfig, context: DeviceContext<PciIrq, Readonly<Record<never, never>>>) {
    this.#config = config
    this.#context = context
    this.#outputs = pciIrqs.map((irq) => context.irq[irq])
    this.#ecamSize = ecamSize(config)
    this.#windows = hostRegions(config).map(({ window }) => typeof window === 'string' ? window : {
      routes: window.space === 'io' ? this.#io : this.#memory, base: window.base,
    })
    const { name, dma } = context
    this.plug({ device: 0, function: 0 }, hostBridge, [], { name, dma, interrupts: false, read: () => 0, write() {}, message() {} })
  }

  get pci(): PciHost {
    return this
  }

  plug(slot: PciSlot, spec: PciFunctionSpec, regions: readonly RegionSpec[], port: PciFunctionPort): PciFunctionContext {
    const at = pciInput(slot)
    if (this.#functions[at] !== undefined && spec.hostBridge !== true) {
      throw machinistError({ code: 'pci-function', part: port.name, value: `${slot.device}.${slot.function}`, remedy: 'Use another slot.' }, 'its slot is taken')
    }
    const made = new PciFunction(spec, regions, port, {
      trace: this.#context.trace,
      moved: () => {
        this.#memory.invalidate()
        this.#io.invalidate()
      },
      interrupt: () => { this.#update() },
    })
    this.#functions[at] = made
    const device = this.#functions.slice(slot.device * PCI_FUNCTIONS, (slot.device + 1) * PCI_FUNCTIONS)
    if (device[0] !== undefined) device[0].multiFunction = device.some((each, index) => index > 0 && each !== undefined)
    return made
  }

  read(region: number, offset: number, width: Width): number {
    const window = this.#windows[region]
    if (window === undefined) return ones(width)
    if (window === 'ecam') return this.#selected(offset)?.read(offset % 2 ** FUNCTION_SHIFT, width) ?? ones(width)
    if (window === 'address') return this.#address
    if (window === 'data') return this.#addressed()?.read((this.#address & ADDRESS.register) + offset, width) ?? ones(width)
    const address = window.base + offset
    const claim = window.routes.find(address, width)
    return claim === null ? ones(width) : claim.target.read(address - claim.base, width)
  }

  write(region: number, offset: number, width: Width, value: number): void {
    const window = this.#windows[region]
    if (window === undefined) return
    if (window === 'ecam') {
      this.#selected(offset)?.write(offset % 2 ** FUNCTION_SHIFT, width, value)
      return
    }
    if (window === 'address') {
      this.#address = (value & ADDRESS.bits) >>> 0
      return
    }
    if (window === 'data') {
      this.#addressed()?.write((this.#address & ADDRESS.register) + offset, width, value)
      return
    }
    const address = window.base + offset
    const claim = window.routes.find(address, width)
    claim?.target.write(address - claim.base, width, value)
  }

  /** A function's interrupt output. */
  input(line: number, level: boolean): void {
    this.#functions[line]?.setLevel(level)
  }

  reset(kind: 'cold' | 'warm'): void {
    this.#address = 0
    for (const each of this.#present) {
      if (kind === 'cold') each.setLevel(false)
      each.reset()
    }
    if (this.#config.assigned) assignBars(this.#config, this.#present)
    this.#update()
  }

  save(): PciHostState {
    const functions: Record<string, PciFunctionState> = {}
    for (const [at, each] of this.#functions.entries()) if (each !== undefined) functions[nameOf(at)] = each.save()
    return { functions, address: this.#address }
  }

  restore(state: PciHostState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const given = data.unknown('functions')
    const address = data.integer('address', 0, ADDRESS.bits)
    data.done()
    const functions = plainData(name, given, 'state')
    const states = [...this.#functions.entries()].flatMap(([at, each]) => each === undefined ? [] : [{ each, before: each.save(), state: functions.unknown(nameOf(at)) }])
    functions.done()
    const done: typeof states = []
    try {
      for (const one of states) {
        one.each.restore(one.state)
        done.push(one)
      }
    } catch (error) {
      for (const { each, before } of done) each.restore(before)
      throw error
    }
    this.#address = this.#windows.includes('address') ? (address & ADDRESS.bits) >>> 0 : 0
  }

  /** In order of slots: who comes first wins where two claim an address. */
  get #present(): PciFunction[] {
    return this.#functions.filter((each) => each !== undefined)
  }

  /** The function whose configuration space is at an offset of ECAM. There is bus 0 alone. */
  #selected(offset: number): PciFunction | null {
    return offset < Math.min(this.#ecamSize, 2 ** BUS_SHIFT) ? this.#functions[offset >>> FUNCTION_SHIFT] ?? null : null
  }

  /** The function that the address port selects. */
  #addressed(): PciFunction | null {
    const at = this.#address >>> ADDRESS.functionShift & ADDRESS.functions
    return (this.#address & ADDRESS.enable) === 0 ? null : this.#functions[at] ?? null
  }

  /** Drives the four outputs: pins are swizzled by device (PCI-to-PCI Bridge 1.2, 9.1), and those of one output are ORed. */
  #update(): void {
    const levels = this.#outputs.map(() => false)
    for (const [at, each] of this.#functions.entries()) if (each?.asserted === true) levels[outputOf(at >>> 3)] = true
    for (const [index, line] of this.#outputs.entries()) line.set(levels[index] ?? false)
  }
}

/** The output of a device's pin A. */
function outputOf(device: number): number {
  return device % pciIrqs.length
}

function nameOf(at: number): string {
  return `${Math.floor(at / PCI_FUNCTIONS)}.${at % PCI_FUNCTIONS}`
}
