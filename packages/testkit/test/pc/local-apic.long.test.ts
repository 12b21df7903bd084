/**
 * A local APIC against QEMU's, in xAPIC mode: a program's accesses, messages and interrupts. What QEMU 7.2 does otherwise than the SDM, and is left out:
 *
 * - it has no x2APIC mode, does not write ESR or check vectors below 16, and knows no suppression of EOI broadcasts;
 * - one that software disables takes interrupts, and its local vector table is not masked;
 * - after a reset the timer counts each nanosecond, although the divide configuration says every other one;
 * - a level-triggered fixed interprocessor interrupt is one; logical destinations have no broadcast;
 * - the timer expires one count later, so that a period has one more: periodic mode is left out, and what is to be seen is looked at before and after.
 */
import { localApic } from '@machinist/interrupts'
import { testDevice } from '@machinist/registers/testing'
import { expect, it } from 'vitest'
import { Random } from '../../src/random.ts'
import { type Access, INSTRUCTION, onGuest } from './guest.ts'
import { x86QemuVersion } from './qtest.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const STEPS = Number(process.env['MACHINIST_STEPS'] ?? 40_000)
const PAGE = 0xfee0_0000
const [ID, TPR, PPR, EOI, LDR, DFR, SVR, ISR, TMR, IRR, ICR, ICR_HIGH, TIMER, LINT0, INITIAL, CURRENT, DIVIDE] =
  [0x20, 0x80, 0xa0, 0xb0, 0xd0, 0xe0, 0xf0, 0x100, 0x180, 0x200, 0x300, 0x310, 0x320, 0x350, 0x380, 0x390, 0x3e0] as const
const MILLISECOND = 1_000_000
/** By the three bits of the divide configuration. */
const DIVISORS = [2, 4, 8, 16, 32, 64, 128, 1] as const

function steps(random: Random): Access[] {
  const list: Access[] = []
  const wait = (): number => random.chance(0.8) ? 0 : random.chance(0.8) ? random.below(40) : random.below(2000)
  const write = (offset: number, value: number): void => { list.push({ kind: 'write32', at: PAGE + offset, value: value >>> 0, wait: wait() }) }
  const read = (offset: number): void => { list.push({ kind: 'read32', at: PAGE + offset, wait: wait() }) }
  const vector = (): number => random.chance(0.5) ? 0x20 + random.below(0x40) : 0x10 + random.below(0xf0)
  // The 8259A is kept out.
  for (const at of [0x21, 0xa1]) list.push({ kind: 'outb', at, value: 0xff })
  write(LINT0, 0x1_0000)
  write(SVR, 0x1ff)
  write(TIMER, 0xef)
  write(DIVIDE, 0)
  write(LDR, 0x0100_0000)
  while (list.length < STEPS) {
    const kind = random.below(30)
    if (kind < 5) {
      // A message, as a device sends it.
      const logical = random.chance(0.4)
      const destination = logical ? random.pick([1, 2, 3, 0x11, 0x12, 0x21]) : random.pick([0, 0, 0, 1, 0xff])
      const data = vector() | random.pick([0, 0, 0x100]) | random.pick([0, 0, 0xc000])
      list.push({ kind: 'write32', at: PAGE + destination * 4096 + (logical ? 12 : 0), value: data, wait: wait() })
    } else if (kind < 8) {
      write(ICR_HIGH, random.pick([0, 0, 1, 0xff]) << 24)
      write(ICR, vector() | random.pick([0, 0x4_0000, 0x8_0000, 0xc_0000]))
    } else if (kind < 15) list.push({ kind: 'take', wait: wait() })
    else if (kind < 19) write(EOI, 0)
    else if (kind < 21) write(TPR, random.chance(0.5) ? 0 : random.below(256))
    else if (kind < 22) write(SVR, 0x100 | random.below(256))
    else if (kind < 23) {
      if (random.chance(0.4)) write(DFR, random.pick([0xffff_ffff, 0x0fff_ffff]))
      else write(LDR, random.pick([0x0100_0000, 0x0300_0000, 0x1100_0000, 0x1200_0000, 0]))
    } else if (kind < 25) {
      // Long enough for some looks at it, and then until it is over: QEMU's timers may be late by some instructions.
      const configuration = random.pick([0, 1, 2, 3, 8, 9, 10, 11])
      const divisor = DIVISORS[configuration & 3 | configuration >> 1 & 4] ?? 1
      const count = Math.ceil((1 + random.below(2 ** random.between(1, 6))) * MILLISECOND / divisor)
      write(DIVIDE, configuration)
      write(TIMER, (random.chance(0.3) ? 0x1_0000 : 0) | vector())
      write(INITIAL, count)
      for (let each = 0; each < 4; each++) list.push({ kind: 'read32', at: PAGE + CURRENT, wait: random.below(20) })
      list.push({ kind: 'read32', at: PAGE + CURRENT, wait: Math.ceil((count * divisor + MILLISECOND) / INSTRUCTION / 2) })
    } else if (kind < 27) read(CURRENT)
    else read(random.pick([ID, TPR, PPR, LDR, DFR, SVR, ICR, TIMER, DIVIDE, INITIAL]))
    read(PPR)
    const word = 16 * random.below(8)
    for (const base of [ISR, TMR, IRR]) read(base + word)
  }
  return list
}

it.skipIf(x86QemuVersion() === null).each([0, 1])('a local APIC is that of QEMU, at every moment (stream %d; skipped without qemu-system-x86_64)', (stream) => {
  const list = steps(new Random(SEED, stream))
  const outcomes = onGuest(list)
  const dut = testDevice(localApic, {}, { backends: {} })
  const { device, context } = dut
  const own = device.local ?? expect.unreachable('it has no registers for harts')
  let trail: unknown[] = []
  let taken = 0
  for (const [index, { kind, at = 0, value = 0 }] of list.entries()) {
    const { time, value: theirs } = outcomes[index] ?? expect.unreachable('a step has no outcome')
    dut.advance(time - context.clock.now())
    let ours = theirs
    if (kind === 'take') {
      ours = context.irq['hart0.intr']?.level === true ? device.acknowledge?.(0) ?? 0 : 0xffff_ffff
      if (ours !== 0xffff_ffff) taken++
    } else if (kind === 'read32') ours = own.read(0, at - PAGE)
    else if (kind === 'write32') {
      if (at % 4096 === 0 || at % 4096 === 12) device.message?.(0, at - PAGE, value)
      else own.write(0, at - PAGE, value)
    }
    if (kind !== 'read32' || theirs !== ours) trail = [...trail.slice(-14), { index, kind, at: at.toString(16), value: value.toString(16), time, theirs: theirs.toString(16), ours: ours.toString(16) }]
    expect(ours, JSON.stringify(trail)).toBe(theirs)
  }
  expect(taken).toBeGreaterThan(STEPS / 200)
}, 20 * 60_000)
