import { type CharPort, machinistError } from '@machinist/api'
import { pciHost } from '@machinist/bus'
import { x86, type X86Config } from '@machinist/cpu-x86'
import { acpiPm, i8254, mc146818, uart16550a } from '@machinist/devices'
import { i8259, ioApic, localApic } from '@machinist/interrupts'
import { defineMachine, type DevicePart, type ImageSource, type MachineBlueprint, part } from '@machinist/machine'
import type { X86Protocol } from '@machinist/boot'
import { virtioBlock, virtioBlockPci, virtioConsole, virtioConsolePci, virtioEntropy, virtioEntropyPci, virtioNet, virtioNetPci } from '@machinist/virtio'
import type { Given, VirtNet } from '../virt/virt.ts'
import { checkSize, DEFAULT_MEMORY, PCI_BUSES, TSC_FREQUENCY, type X86BoardOptions } from '../x86/options.ts'
import { MICROVM_SLOTS, microvmIrq, microvmMap } from './memory-map.ts'

/** What {@link microvm} may be told. */
export interface MicrovmOptions extends X86BoardOptions {
  /** How hot code is translated, and when it counts as hot; see `X86Config`. */
  readonly translate?: X86Config['translate']
  readonly hot?: X86Config['hot']
  /** The other end of a virtio console (`hvc0`), which is there only when given. */
  readonly virtioConsole?: Given<CharPort>
  /** Where disks, networks, entropy device and virtio console are: on PCI unless given, or in one of eight MMIO slots each. */
  readonly virtio?: 'mmio' | 'pci'
  /** Further devices, by name. Virtio MMIO devices among them take the next free slots when they have no address, and PCI devices the next on PCI. */
  readonly devices?: Readonly<Record<string, DevicePart>>
  /** A bzImage of Linux, or an ELF file for PVH, multiboot or Linux's protocol. */
  readonly kernel?: ImageSource
  readonly initrd?: ImageSource
  /** The kernel's command line. */
  readonly append?: string
  /** How to start the kernel, where it leaves a choice. */
  readonly start?: X86Protocol
}

/** A wire from a device of ISA: to both controllers, of which a guest uses one. */
function isa(line: number, input: number = line): { readonly to: string; readonly line: number }[] {
  return [{ to: 'ioapic', line: input }, { to: 'pic', line }]
}

/**
 * A small PC: RAM, 8259A, I/O APIC and local APICs, 8254, MC146818, a serial line at COM1, PCI by ECAM, virtio devices. No firmware, no ISA bus with floppies, no VGA: kernels are started directly.
 *
 * @throws a typed error `'microvm-option'`
 */
export function microvm(options: MicrovmOptions = {}): MachineBlueprint {
  const { memory = DEFAULT_MEMORY, harts = 1, cpu = x86, console = 'null', disks = [], nets = [], rng = true, virtio = 'pci' } = options
  checkSize('microvm-option', harts, memory)
  let slots = 0
  const slotted = (each: DevicePart): DevicePart => {
    if (slots === MICROVM_SLOTS) {
      throw machinistError({ code: 'microvm-option', part: 'virtio', value: slots + 1, remedy: `Use at most ${MICROVM_SLOTS} disks, networks and other virtio devices, or virtio: 'pci'.` }, 'too many virtio devices')
    }
    const index = slots++
    return { ...each, options: { at: microvmMap.virtio + index * microvmMap.virtioStride, irq: microvmIrq.virtio + index, ...each.options } }
  }
  const put = (inSlot: DevicePart, onPci: DevicePart): DevicePart => virtio === 'pci' ? onPci : slotted(inSlot)
  const devices: Record<string, DevicePart> = {
    apic: part(localApic, { config: { harts, ioApic: 'ioapic', virtualWire: true } }),
    ioapic: part(ioApic, { config: { harts } }),
    // Behind LINT0 of the first hart, as firmware leaves it.
    pic: part(i8259, { irq: { to: 'apic', line: 0 } }),
    pit: part(i8254, { irq: isa(0, microvmIrq.timer) }),
    rtc: part(mc146818, { irq: isa(microvmIrq.rtc) }),
    pm: part(acpiPm, { irq: isa(microvmIrq.pm), backends: { button: 'power-button' } }),
    uart0: part(uart16550a, { config: { space: 'pio' }, irq: isa(microvmIrq.uart0), backends: { console } }),
    pci: part(pciHost, {
      at: [microvmMap.pciEcam, microvmMap.pciMemory, microvmMap.pciMemory64],
      irq: Object.fromEntries(['inta', 'intb', 'intc', 'intd'].map((irq, index) => [irq, microvmIrq.pci + index])),
      config: {
        buses: PCI_BUSES,
        io: 0,
        ports: true,
        // Nobody else does it, and systems without ACPI find no windows.
        assigned: true,
        memory: { base: microvmMap.pciMemory, size: microvmMap.pciMemorySize },
        memory64: { base: microvmMap.pciMemory64, size: microvmMap.pciMemory64Size },
      },
    }),
  }
  disks.forEach((disk, index) => {
    const backends = { disk }
    devices[`disk${index}`] = put(part(virtioBlock, { backends }), part(virtioBlockPci, { backends }))
  })
  nets.forEach((given, index) => {
    const { net, config } = typeof given === 'object' && 'net' in given ? given as VirtNet : { net: given, config: {} }
    const backends = { net }
    devices[`net${index}`] = put(part(virtioNet, { config, backends }), part(virtioNetPci, { config, backends }))
  })
  if (rng) devices['rng'] = put(part(virtioEntropy), part(virtioEntropyPci))
  if (options.virtioConsole !== undefined) {
    const backends = { console: options.virtioConsole }
    devices['hvc'] = put(part(virtioConsole, { backends }), part(virtioConsolePci, { backends }))
  }
  for (const [name, each] of Object.entries(options.devices ?? {})) {
    const wantsSlot = each.spec.irqs(each.spec.configure(each.options.config ?? {}, name)).includes('irq') && each.options.at === undefined
    devices[name] = wantsSlot ? slotted(each) : each
  }
  const { model, translate, hot, kernel, initrd, append, start, time, timeFrequency = TSC_FREQUENCY, randomness, wallClock } = options
  const low = Math.min(memory, microvmMap.lowEnd)
  return defineMachine({
    name: 'microvm',
    memory: [{ name: 'ram', base: 0, size: low }, ...(memory > low ? [{ name: 'high-ram', base: microvmMap.highRam, size: memory - low }] : [])],
    cpu: part(cpu, { config: { harts, ...(model !== undefined && { model }), ...(translate !== undefined && { translate }), ...(hot !== undefined && { hot }) } }),
    devices,
    interruptController: 'ioapic',
    window: { base: microvmMap.window, size: microvmMap.windowSize },
    timeFrequency,
    boot: {
      protocol: 'x86',
      ...(kernel && { kernel }), ...(initrd && { initrd }), ...(append !== undefined && { append }), ...(start !== undefined && { start }),
    },
    ...(time !== undefined && { time }),
    ...(randomness !== undefined && { randomness }),
    ...(wallClock !== undefined && { wallClock }),
  })
}
