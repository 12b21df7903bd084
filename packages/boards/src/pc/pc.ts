import type { BlockPort, CharPort, DisplayPort, InputPort } from '@machinist/api'
import { pciHost } from '@machinist/bus'
import { x86 } from '@machinist/cpu-x86'
import { acpiPm, debugPort, fwCfg, i440fx, i8042, i8254, mc146818, type IdeDrive, piix3, piix3Ide, port92, uart16550a, vga } from '@machinist/devices'
import { i8259, ioApic, localApic } from '@machinist/interrupts'
import { defineMachine, type DevicePart, type ImageSource, type MachineBlueprint, part } from '@machinist/machine'
import { virtioBlockPci, virtioEntropyPci, virtioNetPci } from '@machinist/virtio'
import type { Given, VirtNet } from '../virt/virt.ts'
import { checkSize, DEFAULT_MEMORY, PCI_BUSES, TSC_FREQUENCY, within, type X86BoardOptions } from '../x86/options.ts'
import { pcIrq, pcMap } from './memory-map.ts'

const MIB = 2 ** 20
const PAGE = 4096
/** Code of errors. */
const OPTION = 'pc-option'
/** Room for firmware, which ends at 4 GiB: so much where it is a file that has yet to be read, and up to the most where it needs it. */
const FIRMWARE_SIZE = 4 * MIB
const MOST_FIRMWARE = 16 * MIB
/** Outputs of the bus are turned by the number of the device, and PIRQA is that of device 1 (82371SB, 2.2.12, as QEMU's machine is wired). */
const PIRQ_OF = { inta: 3, intb: 0, intc: 1, intd: 2 } as const

/** What {@link pc} may be told. */
export interface PcOptions extends X86BoardOptions {
  /** What it starts: a BIOS, such as Debian's SeaBIOS. */
  readonly firmware: ImageSource
  /** Further files for firmware, by the names that it knows. */
  readonly files?: readonly { readonly name: string; readonly bytes: ImageSource }[]
  /** Where firmware's messages go, port 402h; nowhere unless given. */
  readonly debug?: Given<CharPort>
  /** What shows its screen: with it there is a VGA. The VGA BIOS is one of `files`, as `vgaroms/NAME`. */
  readonly screen?: Given<DisplayPort>
  /** Who types and points: with it there is a keyboard controller with both. */
  readonly input?: { readonly keyboard: Given<InputPort>; readonly mouse: Given<InputPort> }
  /** Disks and compact discs on the IDE controller, which is there when there are some: up to four, from the primary master on. Discs of `'null'` are drives without a medium. */
  readonly ide?: readonly { readonly drive: Exclude<IdeDrive, 'none'>; readonly medium: Given<BlockPort> }[]
}

const idePlaces = ['primaryMaster', 'primarySlave', 'secondaryMaster', 'secondarySlave'] as const

/** Drives in their places. */
function ideDrives(ide: NonNullable<PcOptions['ide']>): { readonly config: Record<(typeof idePlaces)[number], IdeDrive>; readonly backends: Record<(typeof idePlaces)[number], Given<BlockPort>> } {
  const medium = (index: number): Given<BlockPort> => ide[index]?.medium ?? 'null'
  const drive = (index: number): IdeDrive => ide[index]?.drive ?? 'none'
  return { config: { primaryMaster: drive(0), primarySlave: drive(1), secondaryMaster: drive(2), secondarySlave: drive(3) }, backends: { primaryMaster: medium(0), primarySlave: medium(1), secondaryMaster: medium(2), secondarySlave: medium(3) } }
}

/** A wire of ISA: to both controllers, of which a guest uses one; PCI's interrupts may be routed to the same. */
function isa(line: number, input: number = line): { readonly to: string; readonly line: number; readonly shared: true }[] {
  return [{ to: 'ioapic', line: input, shared: true }, { to: 'pic', line, shared: true }]
}

/**
 * A PC with the host bridge of the 440FX and firmware: what it boots is on its disks.
 *
 * @throws a typed error `'pc-option'`
 */
export function pc(options: PcOptions): MachineBlueprint {
  const { memory = DEFAULT_MEMORY, harts = 1, cpu = x86, console = 'null', debug = 'null', disks = [], ide = [], nets = [], rng = true } = options
  within(OPTION, ide.length, 0, idePlaces.length, 'ide', `Use up to ${idePlaces.length} drives.`)
  checkSize(OPTION, harts, memory)
  const bridge = piix3.irqs({})
  const devices: Record<string, DevicePart> = {
    apic: part(localApic, { config: { harts, ioApic: 'ioapic', virtualWire: true } }),
    ioapic: part(ioApic, { config: { harts } }),
    // Behind LINT0 of the first hart, as systems find it.
    pic: part(i8259, { irq: { to: 'apic', line: 0 } }),
    pit: part(i8254, { irq: isa(pcIrq.timer, pcIrq.timerInput) }),
    rtc: part(mc146818, { irq: isa(pcIrq.rtc) }),
    pm: part(acpiPm, { irq: isa(pcIrq.pm), backends: { button: 'power-button' } }),
    port92: part(port92, { irq: Array.from({ length: harts }, (_, hart) => ({ to: 'cpu', line: `hart${hart}.a20m` })) }),
    uart0: part(uart16550a, { config: { space: 'pio' }, irq: isa(pcIrq.uart0), backends: { console } }),
    fwcfg: part(fwCfg),
    debug: part(debugPort, { backends: { console: debug } }),
    pci: part(pciHost, {
      at: [pcMap.pciEcam, pcMap.pciMemory, pcMap.pciMemory64],
      irq: Object.fromEntries(Object.entries(PIRQ_OF).map(([irq, line]) => [irq, { to: 'isa', line }])),
      config: {
        buses: PCI_BUSES, io: 0, ports: true, ioPorts: { base: pcMap.pciPorts, size: pcMap.pciPortsSize },
        memory: { base: pcMap.pciMemory, size: pcMap.pciMemorySize },
        memory64: { base: pcMap.pciMemory64, size: pcMap.pciMemory64Size },
      },
    }),
    bridge: part(i440fx),
    isa: part(piix3, { slot: 1, irq: Object.fromEntries(bridge.map((irq) => [irq, isa(Number(irq.slice(3)))])) }),
  }
  if (options.input !== undefined) {
    devices['kbc'] = part(i8042, { irq: { keyboard: isa(pcIrq.keyboard), mouse: isa(pcIrq.mouse), a20m: { to: 'port92', line: 0 } }, backends: options.input })
  }
  if (options.screen !== undefined) devices['vga'] = part(vga, { slot: 2, backends: { screen: options.screen } })
  if (ide.length > 0) devices['ide'] = part(piix3Ide, { slot: { device: 1, function: 1 }, irq: { irq14: isa(pcIrq.ide), irq15: isa(pcIrq.ide + 1) }, ...ideDrives(ide) })
  disks.forEach((disk, index) => { devices[`disk${index}`] = part(virtioBlockPci, { backends: { disk } }) })
  nets.forEach((given, index) => {
    const { net, config } = typeof given === 'object' && 'net' in given ? given as VirtNet : { net: given, config: {} }
    devices[`net${index}`] = part(virtioNetPci, { config, backends: { net } })
  })
  if (rng) devices['rng'] = part(virtioEntropyPci)
  Object.assign(devices, options.devices)
  const { model, firmware, files, time, timeFrequency = TSC_FREQUENCY, randomness, wallClock } = options
  const low = Math.min(memory, pcMap.lowEnd)
  // An image of a size that cannot be is refused when it is started.
  const room = firmware instanceof Uint8Array ? Math.min(MOST_FIRMWARE, Math.max(FIRMWARE_SIZE, Math.ceil(firmware.length / PAGE) * PAGE)) : FIRMWARE_SIZE
  return defineMachine({
    name: 'pc',
    memory: [
      { name: 'ram', base: 0, size: pcMap.lowRamEnd },
      { name: 'shadow', base: pcMap.shadow, size: pcMap.extended - pcMap.shadow, firmware: true },
      { name: 'extended-ram', base: pcMap.extended, size: low - pcMap.extended },
      ...(memory > low ? [{ name: 'high-ram', base: pcMap.highRam, size: memory - low }] : []),
      { name: 'firmware', base: pcMap.firmwareEnd - room, size: room, firmware: true },
    ],
    cpu: part(cpu, { config: { harts, ...(model !== undefined && { model }) } }),
    devices,
    interruptController: 'ioapic',
    window: { base: pcMap.window, size: pcMap.windowSize },
    timeFrequency,
    boot: { protocol: 'x86', firmware, ...(files !== undefined && { files }) },
    ...(time !== undefined && { time }),
    ...(randomness !== undefined && { randomness }),
    ...(wallClock !== undefined && { wallClock }),
  })
}
