import { isMachinistError } from '@machinist/api'
import { parseDefinition, printMachine, resolve } from '@machinist/machine'
import { fakeCpu } from '@machinist/machine/testing'
import { expect, test } from 'vitest'
import { type MicrovmCpu, pc, pcDevices, type PcOptions } from '../index.ts'

const cpu = { ...fakeCpu, portSpace: true } as unknown as MicrovmCpu
const firmware = { file: 'bios.bin' }
const GIB = 2 ** 30

test('has the parts of a PC where firmware looks for them', () => {
  const blueprint = pc({ cpu, firmware, disks: ['a'], nets: ['lan'], harts: 2, memory: 3 * GIB })
  const text = printMachine(resolve(blueprint.definition, blueprint.catalogue))
  for (const line of [
    '0x00000000 - 0x0009ffff  ram', '0x000c0000 - 0x000fffff  shadow', '0x00100000 - 0xafffffff  extended-ram', '0x100000000 - 0x10fffffff  high-ram', '0xffc00000 - 0xffffffff  firmware', '0xfec00000 - 0xfec00fff  ioapic',
    'ports 0x0092 - 0x0092  port92', 'ports 0x0402 - 0x0402  debug', 'ports 0x0510 - 0x051b  fwcfg', 'ports 0x0cf8 - 0x0cfb  pci address', 'ports 0xc000 - 0xffff  pci ports',
    '00:00.0  bridge', '00:01.0  isa', '00:02.0  disk0', '00:03.0  net0', 'pci.intb -> isa 0', 'isa.irq11 -> ioapic 11', 'isa.irq11 -> pic 11', 'port92.a20m -> cpu hart1.a20m', 'pit.out0 -> ioapic 2',
  ]) expect(text).toContain(line)
})

test('its definition survives being written down, with its firmware', () => {
  const { definition } = pc({ cpu, firmware, files: [{ name: 'vgaroms/a.bin', bytes: { file: 'a.bin' } }] })
  const again = parseDefinition(JSON.parse(JSON.stringify(definition)))
  expect(again).toEqual(definition)
  expect(again.boot).toEqual({ protocol: 'x86', firmware, files: [{ name: 'vgaroms/a.bin', bytes: { file: 'a.bin' } }] })
  expect(printMachine(resolve(again, [cpu, ...pcDevices]))).toContain('00:02.0  rng')
})

test('firmware has the room that it needs, and IDE the drives that are given', () => {
  const text = (options: Partial<PcOptions>): string => {
    const blueprint = pc({ cpu, firmware, ...options })
    return printMachine(resolve(blueprint.definition, blueprint.catalogue))
  }
  expect(text({ firmware: new Uint8Array(6 * 2 ** 20) })).toContain('0xffa00000 - 0xffffffff  firmware')
  const ide = text({ ide: [{ drive: 'disk', medium: 'a' }, { drive: 'cdrom', medium: 'null' }] })
  for (const line of ['00:01.1  ide', 'ports 0x01f0 - 0x01f7', 'ports 0x0376 - 0x0376', 'ide.irq14 -> pic 14', 'ide.irq15 -> ioapic 15']) expect(ide).toContain(line)
  expect(text({})).not.toContain('ide')
})

test('what it cannot be is refused', () => {
  const code = (options: Partial<PcOptions>): string => {
    try {
      pc({ cpu, firmware, ...options })
    } catch (error) {
      if (isMachinistError(error)) return `${error.code} ${error.part}`
      throw error
    }
    return 'none'
  }
  expect([code({ harts: 0 }), code({ harts: 9 }), code({ memory: 2 ** 20 }), code({ memory: 4 * GIB })]).toEqual(['pc-option harts', 'pc-option harts', 'pc-option memory', 'pc-option memory'])
})
