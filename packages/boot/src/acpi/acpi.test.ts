import { expect, test } from 'vitest'
import { type Acpi, type AcpiImage, createAcpi } from '../index.ts'

const BASE = 0xe_0000
const text = (bytes: Uint8Array, at: number, length: number): string => String.fromCharCode(...bytes.subarray(at, at + length))
const word = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true)
const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => total + byte, 0) & 0xff
const made = (describe: (acpi: Acpi['tables']) => void): AcpiImage => {
  const acpi = createAcpi()
  describe(acpi.tables)
  return acpi.toBytes(BASE, 0xfee0_0000)
}
/** The tables by their signatures, found from the root pointer on as a guest finds them. */
function tables({ bytes }: AcpiImage): Readonly<Record<string, Uint8Array>> {
  const at = (address: number): Uint8Array => bytes.subarray(address - BASE, address - BASE + word(bytes, address - BASE + 4))
  expect([text(bytes, 0, 8), sum(bytes.subarray(0, 20)), sum(bytes.subarray(0, 36)), bytes[15]]).toEqual(['RSD PTR ', 0, 0, 2])
  const xsdt = at(word(bytes, 24))
  const listed = Array.from({ length: (xsdt.length - 36) / 8 }, (_, index) => at(word(xsdt, 36 + 8 * index)))
  const fadt = listed.find((table) => text(table, 0, 4) === 'FACP') ?? expect.unreachable()
  const all = [xsdt, ...listed, at(word(fadt, 40))]
  for (const table of all) expect(sum(table), text(table, 0, 4)).toBe(0)
  expect([word(fadt, 40), word(fadt, 36) % 64, text(at(word(fadt, 36)), 0, 4)]).toEqual([word(fadt, 140), 0, 'FACS'])
  return Object.fromEntries(all.map((table) => [text(table, 0, 4), table]))
}

test('a device has its identifier, a number and its resources, as AML', () => {
  const { DSDT } = tables(made((acpi) => {
    acpi.device('COM', 'PNP0501').set('_CRS', { resources: [{ ports: 0x3f8, size: 8 }, { interrupt: 4, level: false }] })
    acpi.device('VIO', 'LNRO0005').set('_CRS', { resources: [{ memory: 0xfeb0_0000, size: 0x1000 }, { interrupt: 16, level: true, low: true, shared: true }] })
    acpi.device('VIO', 'LNRO0005')
  }))
  const com = [
    0x5b, 0x82, 0x31, ...Buffer.from('COM0'), 8, ...Buffer.from('_HID'), 0x0c, 0x41, 0xd0, 0x05, 0x01, 8, ...Buffer.from('_UID'), 0, 8, ...Buffer.from('_CRS'), 0x11, 0x16, 0x0a, 0x13,
    0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x89, 6, 0, 3, 1, 4, 0, 0, 0, 0x79, 0,
  ]
  const virtio = (name: string, number: number, ...more: number[]): number[] => [...Buffer.from(name), 8, ...Buffer.from('_HID'), 0x0d, ...Buffer.from('LNRO0005\0'), 8, ...Buffer.from('_UID'), number, ...more]
  const resources = [8, ...Buffer.from('_CRS'), 0x11, 0x1a, 0x0a, 0x17, 0x86, 9, 0, 1, 0, 0, 0xb0, 0xfe, 0, 0x10, 0, 0, 0x89, 6, 0, 0x0d, 1, 16, 0, 0, 0, 0x79, 0]
  const [first, second] = [virtio('VIO0', 0, ...resources), virtio('VIO1', 1)]
  const length = com.length + first.length + second.length + 6 + 7
  expect([...DSDT ?? []].slice(36)).toEqual([0x10, 0x40 | length & 15, length >> 4, 0x5c, ...Buffer.from('_SB_'), ...com, 0x5b, 0x82, first.length + 1 | 0, ...first, 0x5b, 0x82, second.length + 1, ...second].map((byte) => byte & 0xff))
})

test('values of all sizes are as short as can be, and lists and windows as they are', () => {
  const { DSDT } = tables(made((acpi) => {
    acpi.device('PCI', 'PNP0A08').set('_PRT', [[0xffff, 0, 0, 12], [0x1_ffff, 1n, 0x1234, 2n ** 40n]]).set('_CRS', { resources: [{ buses: [0, 255] }, { window: 0xc000_0000, size: 0x2000_0000 }, { window: 2 ** 35, size: 2 ** 34 }] })
  }))
  const body = Buffer.from(DSDT ?? []).toString('hex')
  expect(body).toContain('0bffff00000a0c')
  expect(body).toContain('0cffff0100010b34120e0000000000010000')
  expect(body).toContain('880d00020c000000' + '0000ff0000000001')
  expect(body).toContain('871700000c01' + '00000000' + '000000c0' + 'ffffffdf' + '00000000' + '00000020')
  expect(body).toContain('8a2b00000c01' + '0000000000000000' + '0000000008000000' + 'ffffffff0b000000' + '0000000000000000' + '0000000004000000')
})

test('controllers, processors, PCI and fixed hardware have their tables', () => {
  const image = made((acpi) => {
    acpi.processor(0, 0)
    acpi.processor(1, 5)
    acpi.ioApic(2, 0xfec0_0000, 0, 0x20)
    acpi.override(0, 2, false)
    acpi.override(9, 9, true)
    acpi.legacyControllers()
    acpi.ecam(0xe000_0000, 256)
    acpi.fixedHardware({ interrupt: 9, events: 0x600, control: 0x604, timer: 0x608, off: 5, reset: { port: 0xcf9, value: 6 } })
  })
  const { APIC, MCFG, FACP, DSDT } = tables(image)
  if (APIC === undefined || MCFG === undefined || FACP === undefined || DSDT === undefined) expect.unreachable()
  expect([...APIC.subarray(36)]).toEqual([
    0, 0, 0xe0, 0xfe, 1, 0, 0, 0, 0, 8, 0, 0, 1, 0, 0, 0, 0, 8, 1, 5, 1, 0, 0, 0, 1, 12, 2, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0, 4, 6, 0xff, 0, 0, 1,
  ])
  expect([...MCFG.subarray(44)]).toEqual([0, 0, 0, 0xe0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0])
  expect(image.reserved).toEqual([{ base: 0xe000_0000, size: 2 ** 28 }])
  expect([FACP[46], word(FACP, 56), word(FACP, 64), word(FACP, 76), [...FACP.subarray(88, 92)], word(FACP, 112), [...FACP.subarray(116, 129)]]).toEqual([9, 0x600, 0x604, 0x608, [4, 2, 0, 4], 0x565, [1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 6]])
  expect([[...FACP.subarray(148, 156)], [...FACP.subarray(172, 180)], [...FACP.subarray(208, 216)]]).toEqual([[1, 32, 0, 3, 0, 6, 0, 0], [1, 16, 0, 2, 4, 6, 0, 0], [1, 32, 0, 3, 8, 6, 0, 0]])
  expect(Buffer.from(DSDT).toString('latin1')).toContain('_S5_\x12\x08\x04\x0a\x05\x0a\x05\0\0')
})

test('without fixed hardware a machine says so; names that are none are refused', () => {
  const { FACP, MCFG } = tables(made((acpi) => { acpi.processor(0, 0) }))
  expect([word(FACP ?? new Uint8Array(276), 112) & 0x10_0000, MCFG]).toEqual([0x10_0000, undefined])
  expect(() => made((acpi) => { acpi.device('com', 'PNP0501') })).toThrow(expect.objectContaining({ code: 'acpi-name' }))
  expect(() => made((acpi) => { acpi.device('COM', 'PNP0501').set('UID', 1) })).toThrow(expect.objectContaining({ code: 'acpi-name' }))
  expect(() => made((acpi) => { for (let each = 0; each < 37; each++) acpi.device('COM', 'PNP0501') })).toThrow(expect.objectContaining({ code: 'acpi-name' }))
})
