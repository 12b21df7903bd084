import type { BackendWants, DeviceSpec, Shortcut } from '@machinist/api'
import { uart16550a } from '@machinist/devices'
import { imsic, plic } from '@machinist/interrupts'
import { fakeBlock, fakeChar, fakeEntropy } from '@machinist/registers/testing'
import { virtioBlock, virtioEntropy } from '@machinist/virtio'
import { describe, expect, it } from 'vitest'
import type { Random } from './random.ts'
import { compareShortcuts, type ShortcutComparison, type ShortcutSide } from './shortcuts.ts'
import { hostileVirtioDriver } from './virtio-driver.ts'

/** Another seed by `MACHINIST_SEED`. */
const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)

function runs<Config, S, Irq extends string, Wants extends BackendWants>(spec: DeviceSpec<Config, S, Irq, Wants>, input: unknown, side: () => ShortcutSide<Config, S, Irq, Wants>) {
  const run = (tried: typeof spec): ShortcutComparison => {
    const all = Array.from({ length: 4 }, (_, index) => compareShortcuts(tried, input, side, { seed: SEED + index, operations: 3000 }))
    return { difference: all.find(({ difference }) => difference !== null)?.difference ?? null, served: all.reduce((sum, { served }) => sum + served, 0) }
  }
  return {
    right: () => run(spec),
    /** One whose shortcut number `index` is given something else. */
    wrong: (index: number, instead: (value: number) => number) => run({
      ...spec,
      create: (config, context) => spec.create(config, {
        ...context,
        shortcuts: context.shortcuts?.map((shortcut, at): Shortcut => at === index ? { set(value) { shortcut.set(instead(value)) } } : shortcut),
      }),
    }),
  }
}

const uart = runs(uart16550a, {}, () => {
  const console = fakeChar()
  console.room = 10
  return {
    backends: { console },
    host(random: Random) {
      if (random.chance(0.7)) console.drain(random.below(60))
      else if (console.waiting < 200) console.type(Array.from({ length: random.below(20) }, () => random.below(256)))
    },
    // As drivers set it up: the banks, loopback and modem lines at random make little of it work.
    driver(dut, random) {
      dut.device.write(0, 3, 1, random.chance(0.9) ? 3 : 0x83)
      dut.device.write(0, 4, 1, random.chance(0.9) ? 0x0b : 0x1b)
      dut.device.write(0, 1, 1, random.pick([0, 0, 1, 5, 7]))
      if (random.chance(0.7)) dut.device.write(0, 2, 1, 7)
      const prints = random.chance(0.5)
      if (prints) dut.device.read(0, 5, 1)
      for (let times = random.below(20); times > 0; times--) {
        if (prints) dut.device.write(0, 0, 1, random.below(256))
        dut.device.read(0, prints ? random.pick([5, 5, 5, 6]) : random.pick([0, 2, 5, 5, 5, 6]), 1)
        if (random.chance(0.5)) dut.device.write(0, 0, 1, random.below(256))
      }
    },
    output: () => [console.sent, console.held],
  }
})

const controller = runs(plic, { harts: 2, sources: 8, modes: 'S' }, () => ({
  backends: {},
  driver(dut, random) {
    for (let source = 1; source <= 8; source++) dut.device.write(0, 4 * source, 4, random.below(4))
    for (const context of [0, 1]) {
      dut.device.write(0, 0x2000 + 0x80 * context, 4, random.chance(0.8) ? 0x1fe : random.below(512))
      dut.device.write(0, 0x20_0000 + 0x1000 * context, 4, random.chance(0.8) ? 0 : random.below(8))
    }
  },
}))

const block = runs(virtioBlock, {}, () => {
  const disk = fakeBlock({ size: 4096 })
  return { backends: { disk }, host(random) { disk.complete(random.between(1, 4)) }, driver: hostileVirtioDriver(1), output: () => disk.data }
})

const messages = runs(imsic, { harts: 3 }, () => ({ backends: {} }))

const entropy = runs(virtioEntropy, {}, () => ({ backends: { entropy: fakeEntropy() }, driver: hostileVirtioDriver(1) }))

describe('a device answers, interrupts, sends and saves the same when its shortcuts are made use of', () => {
  for (const [name, { right }] of Object.entries({ uart, controller, messages, block, entropy })) {
    it(name, () => {
      const { difference, served } = right()
      expect(difference).toBeNull()
      expect(served).toBeGreaterThan(500)
    })
  }
})

describe('a wrong declaration is found', () => {
  const last = () => {
    let valid = 0
    return (value: number) => value < 0 ? valid : (valid = value)
  }
  const wrong: Readonly<Record<string, () => ShortcutComparison>> = {
    'bytes that the host may not take': () => uart.wrong(0, (most) => most > 0 ? most + 4 : 0),
    'bytes for a register of another bank, or the receiver': () => uart.wrong(0, () => 8),
    'interrupts that are enabled, behind a bank': () => uart.wrong(1, last()),
    'an identification that a read changes': () => uart.wrong(2, last()),
    'a line status that a read changes': () => uart.wrong(3, last()),
    'a line status without the transmitter': () => uart.wrong(3, (value) => value < 0 ? value : value & 0x1f),
    'modem lines that a read clears': () => uart.wrong(4, last()),
    'nothing to claim, although there is': () => controller.wrong(0, () => 0),
    'a completion after which a source asks again': () => controller.wrong(1, () => 8),
    'an interrupt status of before': () => block.wrong(1, () => 0),
  }
  for (const [name, run] of Object.entries(wrong)) {
    it(name, () => { expect(run().difference).not.toBeNull() })
  }
})
