import { describe, expect, it } from 'vitest'
import { createFdt, parseFdt } from '@machinist/boot'
import { goldfishRtc, syscon, uart16550a } from '@machinist/devices'
import { fakeBlock, fakeChar, fakePower, fakeWallClock, testDevice, type FakeChar } from '@machinist/registers/testing'
import { virtioBlock } from '@machinist/virtio'
import { FuzzRandom } from '@machinist/virtio/testing'
import { fakeHardware, placed } from '../../test/fake-hardware.ts'
import { openBoard } from './board.ts'
import { DmaMemory } from './dma-memory.ts'
import type { InterruptController } from './hardware.ts'
import { hardwareNodes } from './probe.ts'
import { Uart16550a } from './uart-16550a.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const UART = 0x1000_0000

function line(config: { readonly regShift?: number; readonly regIoWidth?: number } = {}): { readonly far: FakeChar; readonly uart: Uart16550a; interrupt(): void } {
  const far = fakeChar()
  const model = testDevice(uart16550a, config, { backends: { console: far } })
  const hardware = fakeHardware([placed(model, UART, 0x100)])
  const uart = new Uart16550a(hardware, { address: UART, length: 0x100 }, 'uart', config.regShift, config.regIoWidth)
  return { far, uart, interrupt() { for (let turn = 0; turn < 1000 && model.context.irq.interrupt.level; turn++) expect(uart.interrupt()).toBe(true) } }
}

describe('a 16550A of the hardware', () => {
  it.each([{}, { regShift: 2, regIoWidth: 4 }])('carries all bytes, in both directions, by interrupts, whoever is slow (%o)', (config) => {
    const random = new FuzzRandom(SEED)
    const { far, uart, interrupt } = line(config)
    const queue: (() => void)[] = []
    const port = uart.connect((callback) => { queue.push(callback) })
    const [sent, typed, got]: [number[], number[], number[]] = [[], [], []]
    let told = 0
    port.listen({ readable: () => { told++ }, writable: () => {} })
    const take = (most: number): void => {
      const into = new Uint8Array(most)
      got.push(...into.subarray(0, port.read(into)))
    }
    far.room = 0
    for (let step = 0; step < 3000; step++) {
      const what = random.below(5)
      if (what === 0) {
        const bytes = random.bytes(random.below(60))
        sent.push(...bytes.subarray(0, port.write(bytes)))
      } else if (what === 1) {
        const bytes = [...random.bytes(random.below(30))]
        typed.push(...bytes)
        far.type(bytes)
      } else if (what === 2) far.drain(random.below(40))
      else if (what === 3) take(random.below(50))
      else interrupt()
      queue.shift()?.()
    }
    far.drain(Infinity)
    for (let turn = 0; turn < 5000; turn++) interrupt()
    take(65536)
    expect(Buffer.from(far.sent).equals(Buffer.from(sent))).toBe(true)
    expect(Buffer.from(got).equals(Buffer.from(typed))).toBe(true)
    expect(told).toBeGreaterThan(100)
    expect(uart.lost).toBe(0)
  })

  it('takes what it has room for, says when it has more, and never waits', () => {
    const { far, uart, interrupt } = line()
    far.room = 0
    let writable = 0
    const port = uart.connect((callback) => { callback() })
    port.listen({ readable: () => {}, writable: () => { writable++ } })
    const taken = port.write(new Uint8Array(100_000))
    expect(taken).toBeGreaterThan(60_000)
    expect(taken).toBeLessThan(70_000)
    // The transmitter took some meanwhile.
    expect(port.write(new Uint8Array(100))).toBeLessThan(17)
    expect([port.write(new Uint8Array(10)), writable]).toEqual([0, 0])
    far.drain(Infinity)
    for (let turn = 0; turn < 10 && writable === 0; turn++) interrupt()
    expect(writable).toBe(1)
  })

  it('that always has input ends its turn', () => {
    const hardware = fakeHardware([{ address: UART, length: 8, read: () => 0xff, write: () => {} }])
    const uart = new Uart16550a(hardware, { address: UART, length: 8 }, 'uart')
    for (let turn = 0; turn < 30; turn++) uart.poll()
    expect(uart.lost).toBeGreaterThan(0)
    expect(() => new Uart16550a(hardware, { address: UART, length: 8 }, 'uart', 5)).toThrow(expect.objectContaining({ code: 'hardware-unsupported' }))
  })
})

/** A tree with a UART, a clock, switches, a disk, an empty place and a place of something else. */
function tree(change: (root: ReturnType<typeof createFdt>['root']) => void = () => {}): Uint8Array {
  const fdt = createFdt()
  const { root } = fdt
  root.set('#address-cells', 2).set('#size-cells', 2).set('interrupt-parent', [{ ref: 'plic' }])
  root.child('chosen').set('stdout-path', '/soc/serial@10000000:115200n8')
  const soc = root.child('soc').set('#address-cells', 1).set('#size-cells', 1).set('compatible', 'simple-bus').set('ranges', [0, { u64: 0x1000_0000 }, 0x1000_0000])
  soc.child('plic@c000000').set('compatible', 'riscv,plic0').set('#interrupt-cells', 1).set('interrupt-controller', true).label('plic')
  soc.child('serial@10009000').set('compatible', 'ns16550a').set('reg', [0x9000, 0x100]).set('interrupts', 11).set('status', 'disabled')
  soc.child('serial@10000000').set('compatible', 'ns16550a').set('reg', [0, 0x100]).set('interrupts', 10)
  soc.child('rtc@10001000').set('compatible', 'google,goldfish-rtc').set('reg', [0x1000, 0x1000]).set('interrupts', 3)
  soc.child('test@10002000').set('compatible', ['sifive,test1', 'sifive,test0', 'syscon']).set('reg', [0x2000, 0x1000]).label('test')
  for (const [index, source] of [1, 2, 4].entries()) soc.child(`virtio@1000${4 + index}000`).set('compatible', 'virtio,mmio').set('reg', [0x4000 + 0x1000 * index, 0x1000]).set('interrupts', source)
  root.child('poweroff').set('compatible', 'syscon-poweroff').set('regmap', [{ ref: 'test' }]).set('offset', 0).set('value', 0x5555)
  root.child('reboot').set('compatible', 'syscon-reboot').set('regmap', [{ ref: 'test' }]).set('offset', 0).set('value', 0x7777)
  change(root)
  return fdt.toBytes()
}

describe('the devices that a tree names', () => {
  const board = (fdt: Uint8Array): { readonly board: ReturnType<typeof openBoard>; readonly power: ReturnType<typeof fakePower>; readonly enabled: number[]; readonly hardware: ReturnType<typeof fakeHardware> } => {
    const power = fakePower()
    const disk = testDevice(virtioBlock, {}, { backends: { disk: fakeBlock({ size: 4096 }) }, memorySize: 4 << 20 })
    const zero = { read: () => 0, write: () => {} }
    const hardware = fakeHardware([
      placed(testDevice(uart16550a, {}, { backends: { console: fakeChar() } }), UART, 0x100), placed(testDevice(goldfishRtc, undefined, { backends: { clock: fakeWallClock(0x12_3456_789an) } }), 0x1000_1000),
      placed(testDevice(syscon, {}, { backends: { power } }), 0x1000_2000), placed(disk, 0x1000_4000), { address: 0x1000_5000, length: 0x1000, ...zero },
      placed(testDevice(virtioBlock, { legacy: true }, { backends: { disk: fakeBlock({ size: 512 }) } }), 0x1000_6000),
    ], disk.context.memory, disk.context.memoryBase)
    const enabled: number[] = []
    const interrupts: InterruptController = { claim: () => 0, complete: () => {}, enable(source) { enabled.push(source) } }
    return { board: openBoard(hardware, fdt, { memory: new DmaMemory(hardware, { address: disk.context.memoryBase, length: disk.context.memory.length }), interrupts }), power, enabled, hardware }
  }

  it('are opened, and those that cannot be do not keep the others from it', () => {
    const { board: found, power, enabled } = board(tree())
    expect([found.consoles.map(({ name }) => name), found.disks.map(({ name, size }) => [name, size]), found.networks]).toEqual([['/soc/serial@10000000'], [['/soc/virtio@10004000', 4096]], []])
    expect(found.clock?.now()).toBe(0x12_3456_789an)
    expect(found.problems.map(({ code, part }) => [code, part])).toEqual([['hardware-unsupported', '/soc/virtio@10005000'], ['virtio-legacy', '/soc/virtio@10006000']])
    expect(enabled).toEqual([10, 1])
    found.power.off()
    found.power.off(3)
    found.power.reset()
    expect(power.requests).toEqual([0, 3, 'reset'])
  })

  it('are looked after when they do not answer', () => {
    const { board: found, hardware } = board(tree())
    hardware.time = 5e9
    expect(found.poll()).toBeCloseTo(6e9, -6)
    const [disk] = found.disks
    disk!.read(0, new Uint8Array(512)).then(() => undefined, () => undefined)
    expect(found.poll()).toBeLessThan(7e9)
    hardware.time = 40e9
    found.poll()
    expect(disk!.error).toMatchObject({ code: 'hardware-broken' })
  })

  it('whose interrupts go elsewhere are not taken for others', () => {
    const { board: found, enabled } = board(tree((root) => {
      root.child('soc').child('gpio@5000').set('compatible', 'gpio').set('#interrupt-cells', 1).label('gpio')
      root.child('soc').child('serial@10000000').set('interrupt-parent', [{ ref: 'gpio' }])
    }))
    expect([found.consoles, enabled]).toEqual([[], [1]])
    expect(found.problems[0]).toMatchObject({ code: 'hardware-unsupported', part: '/soc/serial@10000000' })
  })

  it('leave memory alone when nobody would hear of their interrupts', () => {
    const { board: found, hardware } = board(tree((root) => {
      root.child('soc').child('gpio@5000').set('compatible', 'gpio').set('#interrupt-cells', 1).label('gpio')
      root.child('soc').child('virtio@10004000').set('interrupt-parent', [{ ref: 'gpio' }])
    }))
    expect(found.disks).toEqual([])
    expect(found.problems[0]).toMatchObject({ code: 'hardware-unsupported', part: '/soc/virtio@10004000' })
    expect(hardware.read(0x1000_4000 + 0x70, 4), 'the status of the device').toBe(0)
  })

  it('that make no sense are problems, and not the end', () => {
    const { board: found } = board(tree((root) => {
      root.child('poweroff').set('offset', 0x1000)
      root.child('soc').child('serial@10000000').set('reg-shift', 9)
    }))
    expect(found.consoles).toEqual([])
    expect(found.problems.map(({ part }) => part)).toEqual(['/soc/serial@10000000', '/soc/virtio@10005000', '/soc/virtio@10006000', '/poweroff'])
  })
})

describe('a device tree', () => {
  it('of any content is read as far as it makes sense', () => {
    const random = new FuzzRandom(SEED)
    const good = tree()
    let read = 0
    for (let round = 0; round < 3000; round++) {
      const bytes = good.slice()
      for (let count = 1 + random.below(4); count > 0; count--) bytes[56 + random.below(bytes.length - 56)] = random.u32() & 0xff
      let parsed: ReturnType<typeof parseFdt>
      try {
        parsed = parseFdt(bytes)
      } catch {
        continue
      }
      read++
      for (const { ranges, interrupts } of hardwareNodes(parsed)) {
        for (const { address, length } of ranges) expect(Number.isSafeInteger(address + length) && address >= 0 && length > 0).toBe(true)
        for (const { cells } of interrupts) expect(cells.length).toBeLessThan(1000)
      }
    }
    expect(read).toBeGreaterThan(300)
  })
})
