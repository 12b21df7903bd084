import { isMachinistError } from '@machinist/api'
import { fdtCells, fdtStrings, parseFdt, type ParsedFdtNode } from '@machinist/boot'
import { riscv } from '@machinist/cpu-riscv'
import { goldfishRtc } from '@machinist/devices'
import { buildTree, parseDefinition, part, printMachine, resolve } from '@machinist/machine'
import { virtioEntropy, virtioEntropyPci } from '@machinist/virtio'
import { describe, expect, test } from 'vitest'
import { type VirtCpu, virt, virtCatalogue, virtDevices, type VirtOptions } from '../index.ts'

const codeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return 'nothing'
}

test('has the memory map and interrupts of the machine that firmware is built for', () => {
  const blueprint = virt({ disks: ['a', 'b'], nets: ['lan', { net: 'lan', config: { pairs: 2 } }], virtioConsole: 'null' })
  const text = printMachine(resolve(blueprint.definition, blueprint.catalogue))
  for (const line of [
    '0x00100000 - 0x00100fff  test', '0x00101000 - 0x00101fff  rtc', '0x02000000 - ', '0x0c000000 - ', '0x10000000 - 0x100000ff  uart0',
    '0x10001000 - 0x10001fff  disk0', '0x10002000 - 0x10002fff  disk1', '0x10003000 - 0x10003fff  net0', '0x10004000 - 0x10004fff  net1', '0x10005000 - 0x10005fff  rng', '0x10006000 - 0x10006fff  hvc', '0x10009000 - 0x10009fff  power', 'power.irq -> plic 9',
    '0x80000000 - 0x8fffffff  ram', 'disk0.irq -> plic 1', 'disk1.irq -> plic 2', 'net1.irq -> plic 4', 'rng.irq -> plic 5', 'uart0.interrupt -> plic 10', 'rtc.alarm -> plic 11',
    'plic.hart0.seip -> cpu hart0.seip', 'clint.hart0.mtip -> cpu hart0.mtip',
    '0x03000000 - 0x0300ffff  pci io', '0x30000000 - 0x3fffffff  pci ecam', '0x40000000 - 0x7fffffff  pci memory', '0x400000000 - 0x7ffffffff  pci memory64',
    'pci.inta -> plic 32', 'pci.intd -> plic 35', '0x10007000 - 0x10007fff  emptySlots 0', '0x10008000 - 0x10008fff  emptySlots 1',
  ]) expect(text).toContain(line)
  expect(blueprint.definition.devices['net1']?.config).toEqual({ pairs: 2 })
})

test('has room for many more virtio devices on PCI, in the order of the definition', () => {
  const blueprint = virt({ virtio: 'pci', disks: Array<string>(28).fill('x'), virtioConsole: 'null', devices: { mine: part(virtioEntropyPci), mmio: part(virtioEntropy) } })
  const text = printMachine(resolve(blueprint.definition, blueprint.catalogue))
  for (const line of ['pci 00:01.0  disk0 (virtio-blk-pci)', 'pci 00:1c.0  disk27', 'pci 00:1d.0  rng', 'pci 00:1e.0  hvc', 'pci 00:1f.0  mine', '0x10001000 - 0x10001fff  mmio', 'mmio.irq -> plic 1']) {
    expect(text).toContain(line)
  }
  expect(codeOf(() => resolve(virt({ virtio: 'pci', disks: Array<string>(31).fill('x') }).definition, virtCatalogue))).toBe('no-free-slot')
})

test('has something in each slot, whatever is there, so that software may look', () => {
  const slots = (text: string): string[] => text.split('\n').flatMap((line) => /^\s*0x1000([1-8])000 - 0x1000\1fff  (\S+)/.exec(line)?.[2] ?? [])
  const list = (options: VirtOptions): string[] => slots(printMachine(resolve(virt(options).definition, virtCatalogue)))
  const none = new Array<string>(8).fill('emptySlots')
  expect(list({ virtio: 'pci', disks: ['a'] })).toEqual(none)
  expect(list({ disks: ['a'], rng: false, devices: { mine: part(virtioEntropy, { at: 0x1000_8000, irq: 8 }) } })).toEqual(['disk0', ...none.slice(2), 'mine'])
  expect(list({ disks: Array<string>(8).fill('x'), rng: false })).toEqual(Array.from({ length: 8 }, (_, index) => `disk${index}`))
  // Other devices without an address keep away.
  expect(list({ rng: false, devices: { clock: part(goldfishRtc) } })).toEqual(none)
})

test('has legacy interfaces in all slots when asked to', () => {
  const blueprint = virt({ virtio: 'mmio-legacy', disks: ['a'], nets: ['lan', { net: 'lan', config: { pairs: 2 } }], virtioConsole: 'null' })
  const { devices } = resolve(blueprint.definition, blueprint.catalogue)
  const versions = devices.flatMap(({ name, config }) => /^(disk|net|rng|hvc|empty)/.test(name) ? [(config as { legacy?: boolean; version?: number }).legacy ?? (config as { version?: number }).version] : [])
  expect(versions).toEqual([true, true, true, true, true, 1])
})

test('its definition is plain data that the catalogue alone turns into the same machine', () => {
  const { definition } = virt({ harts: 4, disks: [{ type: 'disk', path: 'disk.img', mode: 'overlay' }], kernel: { file: 'Image' }, append: 'quiet' })
  const copy = parseDefinition(JSON.parse(JSON.stringify(definition)))
  expect(copy).toEqual(definition)
  expect(printMachine(resolve(copy, virtCatalogue))).toContain('virt: 4 harts')
})

describe('its device tree', () => {
  const blueprint = virt({ harts: 2, disks: ['a'] })
  const tree = parseFdt(buildTree(resolve(blueprint.definition, blueprint.catalogue), { bootargs: 'x', rngSeed: new Uint8Array(64), console: 'uart0' }))
  const find = (path: string): ParsedFdtNode | undefined =>
    path.split('/').filter((name) => name !== '').reduce<ParsedFdtNode | undefined>((node, name) => node?.children.find((child) => child.name === name), tree.root)
  test('points to the console', () => {
    const path = fdtStrings(find('/chosen')?.properties.get('stdout-path'))[0] ?? ''
    expect(fdtStrings(find(path)?.properties.get('compatible'))).toContain('ns16550a')
  })
  test('has a node for each part, and every interrupt goes to the PLIC', () => {
    const plic = fdtCells([...find('/soc')?.children ?? []].find(({ name }) => name.startsWith('plic@'))?.properties.get('phandle'))[0]
    expect(plic).toBeGreaterThan(0)
    for (const [name, line] of [['serial@10000000', 10], ['rtc@101000', 11], ['rng@102000', 12], ['virtio_mmio@10001000', 1], ['virtio_mmio@10002000', 2]] as const) {
      const node = find(`/soc/${name}`)
      expect(fdtCells(node?.properties.get('interrupts') ?? node?.properties.get('interrupts-extended')).at(-1), name).toBe(line)
    }
    const pci = find('/soc/pci@30000000')
    expect(fdtStrings(pci?.properties.get('compatible'))).toEqual(['pci-host-ecam-generic'])
    // Space, bus address, processor address, size.
    expect(fdtCells(pci?.properties.get('ranges'))).toEqual([
      0x0100_0000, 0, 0, 0, 0x300_0000, 0, 0x1_0000, 0x0200_0000, 0, 0x4000_0000, 0, 0x4000_0000, 0, 0x4000_0000, 0x0300_0000, 4, 0, 4, 0, 4, 0,
    ])
    const map = fdtCells(pci?.properties.get('interrupt-map'))
    const wires = Array.from({ length: 16 }, (_, index) => map.slice(6 * index, 6 * index + 6))
    expect(map).toHaveLength(96)
    for (const [unit = 0, , , pin = 0, to, input] of wires) expect([to, input]).toEqual([plic, 32 + ((unit >>> 11) + pin - 1) % 4])
    expect(new Set(wires.map((wire) => wire.slice(0, 4).join(' '))).size).toBe(16)
    expect(find('/cpus')?.children.filter(({ name }) => name.startsWith('cpu@'))).toHaveLength(2)
    expect(find('/poweroff')).toBeDefined()
    expect(fdtCells(find('/memory@80000000')?.properties.get('reg'))).toEqual([0, 0x8000_0000, 0, 0x1000_0000])
  })
})

test('takes messages with the Advanced Interrupt Architecture, and has no PLIC then', () => {
  const blueprint = virt({ interrupts: 'aia', harts: 3, virtio: 'pci', disks: ['a'] })
  const machine = resolve(blueprint.definition, blueprint.catalogue)
  const text = printMachine(machine)
  for (const line of ['0x0d000000 - 0x0d003fff  aplic', '0x28000000 - 0x28002fff  imsic', 'uart0.interrupt -> aplic 10', 'pci.intd -> aplic 35', 'imsic.hart2.simsic -> cpu hart2.simsic', 'aplic.hart2.simsic -> cpu hart2.simsic']) expect(text).toContain(line)
  expect(Object.keys(blueprint.definition.devices)).not.toContain('plic')
  const { root } = parseFdt(buildTree(machine, { console: 'uart0' }))
  const nodes = new Map((root.children.find(({ name }) => name === 'soc')?.children ?? []).map((node) => [node.name, node.properties]))
  const cells = (name: string, property: string): readonly number[] => fdtCells(nodes.get(name)?.get(property))
  const [aplic, imsic] = ['interrupt-controller@d000000', 'interrupt-controller@28000000'] as const
  const [handle = 0, files = 0] = [aplic, imsic].map((name) => cells(name, 'phandle')[0])
  expect([handle > 0, files > 0, handle === files]).toEqual([true, true, false])
  expect([cells(aplic, 'msi-parent'), cells('pci@30000000', 'msi-parent')]).toEqual([[files], [files]])
  expect(cells(imsic, 'interrupts-extended').filter((_, index) => index % 2 === 1)).toEqual([9, 9, 9])
  expect([cells('serial@10000000', 'interrupt-parent'), cells('serial@10000000', 'interrupts')]).toEqual([[handle], [10, 4]])
  const map = cells('pci@30000000', 'interrupt-map')
  expect([map.length, map.slice(0, 7)]).toEqual([16 * 7, [0, 0, 0, 1, handle, 32, 4]])
  const cpu = root.children.find(({ name }) => name === 'cpus')?.children[0]?.properties
  expect(fdtStrings(cpu?.get('riscv,isa-extensions'))).toContain('ssaia')
  expect(codeOf(() => virt({ interrupts: 'aia', firmware: { file: 'fw' } }))).toBe('virt-option')
  // Without it nothing of the kind is told.
  const plain = buildTree(resolve(virt().definition, virtCatalogue), { console: 'uart0' })
  for (const word of ['ssaia', 'msi-parent', 'riscv,imsics']) expect(Buffer.from(plain).toString('latin1')).not.toContain(word)
})

test('has the CPU that it is given, or that a catalogue has for the kind', () => {
  const made: string[] = []
  const cpu = (kind: string): VirtCpu => ({
    kind, stateVersion: 1, backends: { power: 'power', console: 'char' },
    configure: (input) => input as { harts: number; firmware: 'sbi' },
    harts: ({ harts }) => harts,
    inputReference: (line) => riscv.inputReference?.(line) ?? null,
    create() { throw new RangeError('not to be made') },
    describe(config, _at, { fdt }) {
      made.push(`${kind} ${config.harts} ${config.firmware}`)
      for (let hart = 0; hart < config.harts; hart++) fdt?.child('cpus').child(`cpu@${hart}`).label(`hart${hart}`)
    },
  })
  const own = virt({ cpu: cpu('own'), harts: 3 })
  expect([own.definition.cpu.kind, own.catalogue.includes(riscv as never)]).toEqual(['own', false])
  buildTree(resolve(own.definition, own.catalogue), {})
  buildTree(resolve(virt({ harts: 2 }).definition, [cpu('riscv') as never, ...virtDevices]), {})
  expect(made).toEqual(['own 3 sbi', 'riscv 2 sbi'])
})

test('refuses what it cannot be', () => {
  for (const options of [{ harts: 0 }, { harts: 9 }, { harts: 1.5 }, { memory: 1 }, { memory: 2 ** 33 }, { disks: Array<string>(8).fill('x') }]) {
    expect(codeOf(() => virt(options)), JSON.stringify(options)).toBe('virt-option')
  }
  expect(codeOf(() => virt({ memory: 16 * 2 ** 20 + 1 }))).toBe('definition')
  expect(virt({ disks: Array<string>(8).fill('x'), rng: false }).definition.devices['disk7']?.at).toBe(0x1000_8000)
})
