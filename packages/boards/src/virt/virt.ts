import { type Backend, type BlockPort, type CharPort, type CpuSpec, machinistError, type NetPort } from '@machinist/api'
import { type AddressSpace, pciHost } from '@machinist/bus'
import { riscv, type RiscvConfig } from '@machinist/cpu-riscv'
import { goldfishRtc, syscon, uart16550a, vmgenid } from '@machinist/devices'
import { aplic, clint, imsic, plic } from '@machinist/interrupts'
import {
  type BackendDescriptor, defineMachine, type DevicePart, type ImageSource, type MachineBlueprint, type MachineDefinition, part,
} from '@machinist/machine'
import type { GuestMemory } from '@machinist/memory'
import {
  type NetConfig, virtioBlock, virtioBlockPci, virtioConsole, virtioConsolePci, virtioEntropy, virtioEntropyPci, virtioInput, virtioNet, virtioNetPci, virtioPlaceholders,
} from '@machinist/virtio'
import { VIRTIO_SLOTS, virtIrq, virtMap } from './memory-map.ts'

const MIB = 2 ** 20
/** Most harts. */
const MAX_HARTS = 8
const DEFAULT_MEMORY = 256 * MIB
/** Less than this holds no kernel. */
const MIN_MEMORY = 16 * MIB
/** A wasm memory holds 4 GiB, and a machine's own structures need some of it. */
const MAX_MEMORY = 3584 * MIB
/** Buses that configuration space is for. */
const PCI_BUSES = 256
/** External interrupts of each hart with an IMSIC, as QEMU's machine has them. */
const IDENTITIES = 255
/** The clock of a UART in QEMU's machine, in hertz. */
const UART_CLOCK = 3_686_400

/** A stream or disk, live, or as a host finds it. */
export type Given<Port> = Backend<Port> | BackendDescriptor

/** A network device with a configuration. */
export interface VirtNet {
  readonly net: Given<NetPort>
  readonly config: Partial<NetConfig>
}

/** A CPU that can be the machine's: it takes the settings of `RiscvConfig`, whatever it does with those for translation, and these backends. */
export type VirtCpu = CpuSpec<Pick<RiscvConfig, 'harts' | 'firmware'>, GuestMemory, AddressSpace, { readonly power: 'power'; readonly console: 'char' }>

/** What {@link virt} may be told. */
export interface VirtOptions {
  /** Bytes of RAM, a multiple of 4096, 16 MiB to 3.5 GiB; 256 MiB unless given. */
  readonly memory?: number
  /** 1 to 8; 1 unless given. */
  readonly harts?: number
  /** Its CPU; the software core, `riscv`, unless given. */
  readonly cpu?: VirtCpu
  /** The other end of the serial line; nothing unless given. */
  readonly console?: Given<CharPort>
  /** Disks, `/dev/vda` first. */
  readonly disks?: readonly Given<BlockPort>[]
  /** Networks, `eth0` first. */
  readonly nets?: readonly (Given<NetPort> | VirtNet)[]
  /** A virtio entropy device; true unless given. */
  readonly rng?: boolean
  /** A power button, by which the guest can be asked to switch itself off (`Machine.pressPowerButton`): a virtio input device in a place of its own; true unless given. */
  readonly powerButton?: boolean
  /** The other end of a virtio console (`hvc0`), which is there only when given. */
  readonly virtioConsole?: Given<CharPort>
  /**
   * Where disks, networks, entropy device and virtio console are: in one of eight MMIO slots each, unless given, there with the legacy
   * interface, or on PCI, which has room for 31. Slots in which there is nothing say so.
   */
  readonly virtio?: 'mmio' | 'mmio-legacy' | 'pci'
  /**
   * `'plic'` unless given, or the Advanced Interrupt Architecture, `'aia'`: an IMSIC for each hart, so that PCI devices send messages, and an
   * APLIC that makes messages of other devices' interrupts. It is for supervisor mode, so not with `firmware`.
   */
  readonly interrupts?: 'plic' | 'aia'
  /** Further devices, by name. Virtio MMIO devices among them take the next free slots when they have no address, and PCI devices the next on PCI. */
  readonly devices?: Readonly<Record<string, DevicePart>>
  readonly kernel?: ImageSource
  readonly initrd?: ImageSource
  /** An M-mode firmware image, such as OpenSBI. Without it the machine's own SBI serves the kernel. */
  readonly firmware?: ImageSource
  /** The kernel's command line. */
  readonly append?: string
  /** How hot code is translated, and when it counts as hot; see `RiscvConfig`. */
  readonly translate?: RiscvConfig['translate']
  readonly hot?: RiscvConfig['hot']
  readonly time?: MachineDefinition['time']
  readonly randomness?: MachineDefinition['randomness']
  readonly wallClock?: MachineDefinition['wallClock']
}

function within(value: number, from: number, to: number, what: string, remedy: string): void {
  if (Number.isInteger(value) && value >= from && value <= to) return
  throw machinistError({ code: 'virt-option', part: what, value, remedy }, 'out of range')
}

/**
 * The RISC-V `virt` machine: harts with a PLIC (or IMSICs and an APLIC) and a CLINT, a PCI host, a UART 16550A, a Goldfish RTC, a power switch and a power button, a generation ID, and virtio
 * devices, at the addresses of QEMU's machine of that name. Made of public parts alone: what it returns is what
 * `defineMachine` returns.
 *
 * @throws a typed error `'virt-option'`
 */
export function virt(options: VirtOptions = {}): MachineBlueprint {
  const { memory = DEFAULT_MEMORY, harts = 1, cpu = riscv, console = 'null', disks = [], nets = [], rng = true, powerButton = true, virtio = 'mmio', interrupts = 'plic' } = options
  within(harts, 1, MAX_HARTS, 'harts', `Use 1 to ${MAX_HARTS}.`)
  within(memory, MIN_MEMORY, MAX_MEMORY, 'memory', `Use ${MIN_MEMORY / MIB} MiB to ${MAX_MEMORY / MIB} MiB.`)
  if (interrupts === 'aia' && options.firmware !== undefined) {
    throw machinistError({ code: 'virt-option', part: 'interrupts', value: interrupts, remedy: "Leave out the firmware, or use 'plic'." }, 'firmware has no interrupts with it')
  }

  let slots = 0
  const slot = (): { at: number; irq: number } => {
    if (slots === VIRTIO_SLOTS) {
      throw machinistError({ code: 'virt-option', part: 'virtio', value: slots + 1, remedy: `Use at most ${VIRTIO_SLOTS} disks, networks and other virtio devices, or virtio: 'pci'.` }, 'too many virtio devices')
    }
    const index = slots++
    return { at: virtMap.virtio + index * virtMap.virtioStride, irq: virtIrq.virtio + index }
  }
  const devices: Record<string, DevicePart> = {
    ...(interrupts === 'plic' ? { plic: part(plic, { at: virtMap.plic, config: { harts } }) } : {
      imsic: part(imsic, { at: virtMap.imsic, config: { harts, identities: IDENTITIES } }),
      aplic: part(aplic, { at: virtMap.aplic, config: { harts } }),
    }),
    clint: part(clint, { at: clintBases(harts), config: { harts } }),
    pci: part(pciHost, {
      at: [virtMap.pciEcam, virtMap.pciIo, virtMap.pciMemory, virtMap.pciMemory64],
      irq: Object.fromEntries(['inta', 'intb', 'intc', 'intd'].map((irq, index) => [irq, virtIrq.pci + index])),
      config: {
        buses: PCI_BUSES,
        memory: { base: virtMap.pciMemory, size: virtMap.pciMemorySize },
        memory64: { base: virtMap.pciMemory64, size: virtMap.pciMemory64Size },
        ...(interrupts === 'aia' && { messages: 'imsic' }),
      },
    }),
    test: part(syscon, { at: virtMap.test }),
    rtc: part(goldfishRtc, { at: virtMap.rtc, irq: virtIrq.rtc }),
    vmgenid: part(vmgenid, { at: virtMap.vmgenid, irq: virtIrq.vmgenid }),
    ...(powerButton && { power: part(virtioInput, { at: virtMap.power, irq: virtIrq.power, config: { model: 'power-button' }, backends: { input: 'power-button' } }) }),
    uart0: part(uart16550a, { at: virtMap.uart0, irq: virtIrq.uart0, config: { clockFrequency: UART_CLOCK }, backends: { console } }),
  }
  const slotted = (each: DevicePart): DevicePart => ({ ...each, options: { ...slot(), ...each.options } })
  const put = (inSlot: DevicePart, onPci: DevicePart): DevicePart => virtio === 'pci' ? onPci : slotted(inSlot)
  const common = virtio === 'mmio-legacy' ? { legacy: true } : {}
  disks.forEach((disk, index) => {
    const backends = { disk }
    devices[`disk${index}`] = put(part(virtioBlock, { config: common, backends }), part(virtioBlockPci, { backends }))
  })
  nets.forEach((given, index) => {
    const { net, config } = typeof given === 'object' && 'net' in given ? given as VirtNet : { net: given, config: {} }
    const backends = { net }
    devices[`net${index}`] = put(part(virtioNet, { config: { ...common, ...config }, backends }), part(virtioNetPci, { config, backends }))
  })
  if (rng) devices['rng'] = put(part(virtioEntropy, { config: common }), part(virtioEntropyPci))
  if (options.virtioConsole !== undefined) {
    const backends = { console: options.virtioConsole }
    devices['hvc'] = put(part(virtioConsole, { config: common, backends }), part(virtioConsolePci, { backends }))
  }
  for (const [name, each] of Object.entries(options.devices ?? {})) {
    const wantsSlot = each.spec.irqs(each.spec.configure(each.options.config ?? {}, name)).includes('irq') && each.options.at === undefined
    devices[name] = wantsSlot ? slotted(each) : each
  }
  const empty = emptySlots(Object.values(devices))
  if (empty.length > 0) devices['emptySlots'] = part(virtioPlaceholders, { at: empty, config: { count: empty.length, version: virtio === 'mmio-legacy' ? 1 : 2 } })
  const { kernel, initrd, firmware, append, translate, hot, time, randomness, wallClock } = options
  return defineMachine({
    name: 'virt',
    memory: { name: 'ram', base: virtMap.ram, size: memory },
    cpu: part(cpu, {
      config: {
        harts,
        firmware: firmware === undefined ? 'sbi' : 'none',
        ...(interrupts === 'aia' && { identities: IDENTITIES }),
        ...(translate === undefined ? {} : { translate }),
        ...(hot === undefined ? {} : { hot }),
      },
      // The SBI's console is the same line, and takes input from it when a kernel asks there.
      backends: { console: isShare(console) ? console : { type: 'share', with: 'uart0.console', input: true } },
    }),
    devices,
    interruptController: interrupts === 'plic' ? 'plic' : 'aplic',
    boot: {
      protocol: 'riscv', console: 'uart0',
      ...(kernel && { kernel }), ...(initrd && { initrd }), ...(firmware && { firmware }), ...(append !== undefined && { append }),
    },
    ...(time !== undefined && { time }),
    ...(randomness !== undefined && { randomness }),
    ...(wallClock !== undefined && { wallClock }),
  })
}

/** Addresses of the slots where no device is. */
function emptySlots(devices: readonly DevicePart[]): number[] {
  const taken = devices.flatMap(({ options: { at } }) => at ?? [])
  return Array.from({ length: VIRTIO_SLOTS }, (_, index) => virtMap.virtio + index * virtMap.virtioStride)
    .filter((slot) => !taken.some((base) => base >= slot && base < slot + virtMap.virtioStride))
}

/** Whether a stream is that of another part already. */
function isShare(console: Given<CharPort>): console is BackendDescriptor {
  return typeof console === 'object' && 'type' in console && console.type === 'share'
}

/** The CLINT is one block whose regions, if it has several, follow one another. */
function clintBases(harts: number): readonly number[] {
  let at: number = virtMap.clint
  return clint.regions(clint.configure({ harts }, 'clint')).map(({ size }) => {
    const base = at
    at += size
    return base
  })
}
