/**
 * The I/O APIC against QEMU's: the table, remote IRR, ends. Messages are not to be seen there. What QEMU does otherwise than the data sheet, and is left out: reserved bits of entries keep what is
 * written; an input that is high when its entry becomes a level is not seen; input 0 is 2.
 */
import { ioApic } from '@machinist/interrupts'
import { testDevice } from '@machinist/registers/testing'
import { expect, it } from 'vitest'
import { Random } from '../../src/random.ts'
import { qomPaths, qtest, x86QemuVersion } from './qtest.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const STEPS = Number(process.env['MACHINIST_STEPS'] ?? 40_000)
const BASE = 0xfec0_0000
const [SELECT, WINDOW, EOI] = [0x00, 0x10, 0x40] as const
const [LEVEL, REMOTE_IRR] = [0x8000, 0x4000] as const
const VECTORS = [0x31, 0x32, 0x41, 0x51] as const

it.skipIf(x86QemuVersion() === null).each([0, 1])('the I/O APIC is that of QEMU, step by step (stream %d; skipped without qemu-system-x86_64)', async (stream) => {
  const random = new Random(SEED, stream)
  const [path] = qomPaths('ioapic')
  const dut = testDevice(ioApic, {}, { backends: {} })
  const commands: string[] = []
  const expected: (number | null)[] = []
  const write = (offset: number, value: number): void => {
    dut.write(offset, value)
    commands.push(`writel 0x${(BASE + offset).toString(16)} 0x${value.toString(16)}`)
    expected.push(null)
  }
  const read = (index: number): void => {
    write(SELECT, index)
    expected.push(dut.read(WINDOW))
    commands.push(`readl 0x${(BASE + WINDOW).toString(16)}`)
  }
  let ends = 0
  while (commands.length < STEPS) {
    // Few, so that much happens to each.
    const pin = random.between(1, 5) * 4 + 3
    const { low, levels } = dut.device.save()
    const high = (levels >>> pin & 1) === 1
    const entry = low[pin] ?? 0
    const kind = random.below(12)
    if (kind < 4) {
      dut.device.input?.(pin, !high)
      commands.push(`set_irq_in ${path} unnamed-gpio-in ${pin} ${high ? 0 : 1}`)
      expected.push(null)
    } else if (kind < 6) {
      const trigger = high ? entry & LEVEL : random.chance(0.8) ? LEVEL : 0
      write(SELECT, 0x10 + 2 * pin)
      write(WINDOW, (random.chance(0.2) ? 0x1_0000 : 0) | trigger | random.below(16) << 8 & 0x2f00 | random.pick(VECTORS))
    } else if (kind < 7) {
      write(SELECT, 0x11 + 2 * pin)
      write(WINDOW, random.below(256) * 2 ** 24)
    } else if (kind < 9) {
      write(EOI, random.pick(VECTORS))
      if ((entry & REMOTE_IRR) !== 0) ends++
    } else if (kind < 11) read(0x10 + 2 * pin + random.below(2))
    else if (random.chance(0.5)) {
      write(SELECT, 0)
      write(WINDOW, random.below(16) * 2 ** 24)
      read(0)
    } else read(random.below(3))
    read(0x10 + 2 * pin)
  }
  const answers = await qtest(commands)
  const wrong = answers.findIndex(({ value }, step) => expected[step] !== null && expected[step] !== value)
  expect({ wrong, trail: wrong < 0 ? [] : commands.slice(Math.max(0, wrong - 12), wrong + 1), ours: expected[wrong], theirs: answers[wrong]?.value }).toEqual({ wrong: -1, trail: [], ours: undefined, theirs: undefined })
  expect(ends).toBeGreaterThan(STEPS / 200)
})
