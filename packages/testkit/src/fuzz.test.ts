import type { BackendWants, DeviceSpec, InputEvent, InputPort } from '@machinist/api'
import { debugPort, fwCfg, goldfishRtc, i440fx, i8042, i8254, mc146818, nvme, piix3, piix3Ide, port92, syscon, uart16550a, vga, vmgenid } from '@machinist/devices'
import { aclintMswi, aclintMtimer, aclintSswi, clint, i8259, ioApic, localApic, plic } from '@machinist/interrupts'
import { fakeBlock, fakeChar, fakeEntropy, fakePower, fakeWallClock } from '@machinist/registers/testing'
import { pciHost } from '@machinist/bus'
import { virtioBlock, virtioBlockPci, virtioConsole, virtioEntropy, virtioPlaceholders } from '@machinist/virtio'
import { describe, expect, it } from 'vitest'
import { fuzzDevice, type FuzzOptions } from './fuzz.ts'
import type { Random } from './random.ts'
import { hostileVirtioDriver } from './virtio-driver.ts'

type Run = (seed: number) => ReturnType<typeof fuzzDevice>
const operations = 4000

function runs<Config, S, Irq extends string, Wants extends BackendWants>(
  spec: DeviceSpec<Config, S, Irq, Wants>,
  input: unknown,
  options: () => Omit<FuzzOptions<Config, S, Irq, Wants>, 'seed' | 'operations'>,
): Run {
  return (seed) => fuzzDevice(spec, input, { ...options(), seed, operations })
}

/** A terminal that types and drains, and the option that makes it do so. */
function terminal() {
  const char = fakeChar()
  char.room = 100
  return {
    char,
    host: (random: Random): void => {
      if (random.chance(0.5)) char.drain(random.below(200))
      else if (char.waiting < 10_000) char.type(Array.from({ length: random.below(300) }, () => random.below(256)))
      char.sent.length = 0
    },
  }
}

/** A disk whose requests complete late, and fail now and then. */
function disk(readOnly: boolean) {
  const block = fakeBlock({ size: 32768, readOnly })
  return {
    block,
    host: (random: Random): void => {
      if (random.chance(0.1)) block.failures.push(random.pick(['io-error', 'no-space', 'unsupported'] as const))
      block.complete(random.between(1, 4))
    },
  }
}

/** A PCI host whose bus is not empty. */
const crowded: typeof pciHost = {
  ...pciHost,
  create(config, context) {
    const host = pciHost.create(config, context)
    const spec = virtioBlockPci
    for (const device of [1, 3]) {
      const bytes = new Uint8Array(0x4000)
      const disk = spec.configure({}, 'disk')
      const about = spec.pci?.(disk)
      if (about !== undefined) {
        host.pci?.plug({ device, function: 0 }, about, spec.regions(disk), {
          name: 'disk', interrupts: true, dma: context.dma, message() {},
          read: (_region, offset) => bytes[offset] ?? 0, write: (_region, offset, _width, value) => { bytes[offset] = value },
        })
      }
    }
    return host
  },
}

/** A driver of NVMe with queues wherever they are, one on another and on lists and data, whose pages name each other. */
function hostileNvmeDriver(dut: { read(offset: number): number; write(offset: number, value: number): void; readonly context: { readonly memory: Uint8Array } }, random: Random): void {
  const page = (): number => 4096 * random.below(16)
  if ((dut.read(0x1c) & 3) !== 1) {
    for (const [offset, value] of [[0x14, 0], [0x24, 0x000f_000f], [0x28, page()], [0x30, page()], [0x14, 0x0046_0001]] as const) dut.write(offset, value)
  }
  const view = new DataView(dut.context.memory.buffer)
  const at = 64 * random.below(dut.context.memory.length / 64)
  view.setUint32(at, random.pick([0, 1, 2, 2, 4, 5, 5, 6, 8, 9, 12]) | random.below(0x1_0000) << 16, true)
  view.setUint32(at + 4, random.below(3), true)
  for (const place of [24, 32]) view.setBigUint64(at + place, BigInt(page() + random.below(2) * 8), true)
  for (const place of [40, 44, 48]) view.setUint32(at + place, random.pick([0, 1, 3, 0x1_0001, 0x7_0001, 511]), true)
  dut.write(0x1000 + 4 * random.below(6), random.below(16))
}

/** A driver of IDE that gives commands, moves some data, and starts the bus master. */
function hostileIdeDriver({ device }: { readonly device: { read(region: number, offset: number, width: 2): number; write(region: number, offset: number, width: 1 | 2 | 4, value: number): void } }, random: Random): void {
  device.write(0, 0, 2, 0x8000)
  for (let at = 1; at < 7; at++) device.write(2, at, 1, random.pick([0, 1, 2, random.below(256)]))
  device.write(2, 7, 1, random.pick([0x20, 0x30, 0x24, 0x34, 0xc8, 0xca, 0x25, 0x35, 0xa0, 0xa1, 0xec, 0xe7, 0x90, 0x08, 0xc6, 0xc4, 0xc5]))
  device.write(1, 4, 4, 8 * random.below(8192))
  device.write(1, 0, 1, random.pick([0, 1, 9]))
  for (let words = random.below(300); words > 0; words--) {
    if (random.chance(0.5)) device.read(2, 0, 2)
    else device.write(2, 0, 2, random.below(0x1_0000))
  }
}

/** Every device there is. */
const devices: Readonly<Record<string, Run>> = {
  'uart-16550a': runs(uart16550a, {}, () => {
    const { char, host } = terminal()
    return { backends: { console: char }, host }
  }),
  'goldfish-rtc': runs(goldfishRtc, {}, () => ({ backends: { clock: fakeWallClock(1_700_000_000_000_000_000n) } })),
  'mc146818': runs(mc146818, {}, () => {
    const clock = fakeWallClock(1_700_000_000_000_000_000n)
    return { backends: { clock }, host: (random) => { clock.time += BigInt(random.pick([1, 10 ** 6, 10 ** 9, 10 ** 14])) }, times: [0, 1, 1000, 10 ** 6, 10 ** 8] }
  }),
  'syscon': runs(syscon, {}, () => ({ backends: { power: fakePower() } })),
  'vmgenid': runs(vmgenid, {}, () => ({ backends: { entropy: fakeEntropy() } })),
  'plic': runs(plic, { harts: 4 }, () => ({ backends: {} })),
  'aclint-mtimer': runs(aclintMtimer, { harts: 3 }, () => ({ backends: {} })),
  'aclint-mswi': runs(aclintMswi, { harts: 3 }, () => ({ backends: {} })),
  'aclint-sswi': runs(aclintSswi, { harts: 3 }, () => ({ backends: {} })),
  'clint': runs(clint, { harts: 3 }, () => ({ backends: {} })),
  'i8254': runs(i8254, {}, () => ({ backends: {}, times: [0, 1, 500, 1000, 10 ** 5, 10 ** 7] })),
  'io-apic': runs(ioApic, {}, () => ({
    backends: {},
    driver: (dut, random) => {
      dut.write(0, 0x10 + random.below(48))
      dut.write(0x10, random.u32())
    },
  })),
  'local-apic': runs(localApic, { harts: 3 }, () => ({ backends: {}, times: [0, 1, 1000, 10 ** 6, 10 ** 7] })),
  'debug-port': runs(debugPort, {}, () => ({ backends: { console: fakeChar() } })),
  'port-92': runs(port92, {}, () => ({ backends: { power: fakePower() } })),
  'piix3': runs(piix3, {}, () => ({ backends: {} })),
  'i440fx': runs(i440fx, {}, () => ({ backends: { power: fakePower() } })),
  'fw-cfg': runs(fwCfg, {}, () => ({ backends: {} })),
  'fw-cfg, in memory': runs(fwCfg, { space: 'mmio' }, () => ({ backends: {} })),
  'vga': runs(vga, { memory: 1 }, () => ({ backends: { screen: { size: () => null, show() {}, present() {}, cursor() {}, moveCursor() {}, listen() {} } }, times: [0, 1, 10 ** 7, 10 ** 8] })),
  'i8042': runs(i8042, {}, () => {
    const waiting: InputEvent[][] = []
    const port: InputPort = { receive: () => waiting.shift() ?? null, status() {}, listen() {} }
    return {
      backends: { keyboard: port, mouse: port, power: fakePower() },
      host: (random) => { if (waiting.length < 50) waiting.push([{ type: random.below(3), code: random.pick([random.below(0x120), 0x110, 0, 1, 8]), value: random.u32() | 0 }]) },
    }
  }),
  'i8259': runs(i8259, {}, () => ({ backends: {} })),
  'i8259, without ELCR': runs(i8259, { elcr: false }, () => ({ backends: {} })),
  'nvme': runs(nvme, { queues: 2 }, () => {
    const { block, host } = disk(false)
    return { backends: { disk: block }, host, memoryBase: 0, times: [0, 1], driver: hostileNvmeDriver }
  }),
  'piix3-ide': runs(piix3Ide, { primaryMaster: 'disk', primarySlave: 'cdrom' }, () => {
    const [first, second] = [disk(false), disk(true)]
    const backends = { primaryMaster: first.block, primarySlave: second.block, secondaryMaster: first.block, secondarySlave: first.block }
    return { backends, host: (random) => { (random.chance(0.5) ? first : second).host(random) }, memoryBase: 0, times: [0, 1], driver: (dut, random) => { hostileIdeDriver(dut, random) } }
  }),
  'virtio-block': runs(virtioBlock, {}, () => {
    const { block, host } = disk(false)
    return { backends: { disk: block }, host, driver: hostileVirtioDriver(1) }
  }),
  'virtio-block, read-only': runs(virtioBlock, {}, () => {
    const { block, host } = disk(true)
    return { backends: { disk: block }, host, driver: hostileVirtioDriver(1) }
  }),
  'virtio-block, legacy': runs(virtioBlock, { legacy: true }, () => {
    const { block, host } = disk(false)
    return { backends: { disk: block }, host }
  }),
  'virtio-placeholders': runs(virtioPlaceholders, { count: 3 }, () => ({ backends: {} })),
  'virtio-console': runs(virtioConsole, {}, () => {
    const { char, host } = terminal()
    return { backends: { console: char }, host, driver: hostileVirtioDriver(4) }
  }),
  'virtio-block, on PCI': runs(virtioBlockPci, {}, () => {
    const { block, host } = disk(false)
    return { backends: { disk: block }, host }
  }),
  'pci-host': runs(crowded, {}, () => ({ backends: {} })),
  'virtio-entropy': runs(virtioEntropy, {}, () => ({ backends: { entropy: fakeEntropy() }, driver: hostileVirtioDriver(1) })),
}

describe('random operations and a hostile driver', () => {
  for (const [name, run] of Object.entries(devices)) {
    it(`do not upset ${name}`, () => {
      for (let seed = 1; seed <= 6; seed++) expect(run(seed), `seed ${seed}`).toBeNull()
    })
  }
})
