import { isMachinistError } from '@machinist/api'
import { fakeCpu } from '@machinist/machine/testing'
import { parseDefinition, part, printMachine, resolve } from '@machinist/machine'
import { virtioEntropy } from '@machinist/virtio'
import { expect, test } from 'vitest'
import { microvm, type MicrovmCpu, microvmDevices, type MicrovmOptions } from '../index.ts'

const cpu = { ...fakeCpu, portSpace: true } as unknown as MicrovmCpu
const GIB = 2 ** 30

test('has the parts of a PC where kernels look for them', () => {
  const blueprint = microvm({ cpu, disks: ['a'], nets: ['lan'], virtioConsole: 'null', harts: 2, memory: 3.25 * GIB, devices: { mine: part(virtioEntropy) } })
  const text = printMachine(resolve(blueprint.definition, blueprint.catalogue))
  for (const line of [
    '0x00000000 - 0xbfffffff  ram', '0x100000000 - 0x10fffffff  high-ram', '0xfec00000 - 0xfec00fff  ioapic', '0xfee00000 - 0xfeefffff  apic', '0xe0000000 - 0xefffffff  pci ecam', '0xc0000000 - 0xdfffffff  pci memory',
    'ports 0x0020 - 0x0021  pic', 'ports 0x0040 - 0x0043  pit', 'ports 0x0061 - 0x0061  pit', 'ports 0x0070 - 0x0071  rtc', 'ports 0x03f8 - 0x03ff  uart0', 'ports 0x0600 - 0x060b  pm', 'ports 0x0cf9 - 0x0cf9  pm', 'ports 0x0cf8 - 0x0cfb  pci address', 'ports 0x0cfc - 0x0cff  pci data', 'pm.sci -> ioapic 9', '00:01.0  disk0', '00:02.0  net0', '00:03.0  rng', '00:04.0  hvc',
    '0xfeb00000 - 0xfeb00fff  mine', 'mine.irq -> ioapic 16', 'pit.out0 -> ioapic 2', 'pit.out0 -> pic 0', 'uart0.interrupt -> ioapic 4', 'uart0.interrupt -> pic 4', 'rtc.interrupt -> ioapic 8', 'rtc.interrupt -> pic 8',
    'pci.inta -> ioapic 12', 'pci.intd -> ioapic 15', 'pic.intr -> apic 0', 'apic.hart0.intr -> cpu hart0.intr', 'apic.hart1.sipi -> cpu hart1.sipi', 'apic.eoi -> ioapic 24', 'ioapic.apic -> apic 4',
  ]) expect(text).toContain(line)
})

test('its definition survives being written down, with all that a kernel is started by', () => {
  const { definition } = microvm({ cpu, kernel: { file: 'vmlinuz' }, initrd: { file: 'initrd' }, append: 'quiet', start: 'linux32', virtio: 'mmio', disks: ['a', 'b'] })
  expect(definition.boot).toEqual({ protocol: 'x86', kernel: { file: 'vmlinuz' }, initrd: { file: 'initrd' }, append: 'quiet', start: 'linux32' })
  const again = parseDefinition(JSON.parse(JSON.stringify(definition)))
  expect(again).toEqual(definition)
  expect(printMachine(resolve(again, [cpu, ...microvmDevices]))).toContain('0xfeb01000 - 0xfeb01fff  disk1')
})

test('what it cannot be is refused', () => {
  const code = (options: Partial<MicrovmOptions>): string => {
    try {
      microvm({ cpu, ...options })
    } catch (error) {
      if (isMachinistError(error)) return `${error.code} ${error.part}`
      throw error
    }
    return 'none'
  }
  expect([code({ harts: 0 }), code({ harts: 9 }), code({ memory: 2 ** 20 }), code({ memory: 4 * GIB }), code({ virtio: 'mmio', disks: Array<string>(8).fill('x') }), code({ start: 'efi' as never })]).toEqual([
    'microvm-option harts', 'microvm-option harts', 'microvm-option memory', 'microvm-option memory', 'microvm-option virtio', 'definition boot.start',
  ])
})
