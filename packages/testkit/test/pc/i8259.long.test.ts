/**
 * The pair of 8259A against QEMU's. Where QEMU does something else than the data sheet, steps that would show it are left out:
 *
 * - an edge whose input falls before it is served stays a request there ("Edge and Level Triggered Modes"), and so does that of the slave;
 * - the slave's output does not fall when it is served, so with automatic end the master sees no edge of the next one;
 * - ICW1 lets it forget that an input is high, which then rises when it is told so again;
 * - a non-specific end in special mask mode clears masked bits ("End of Interrupt");
 * - in the special fully nested mode it forgets that the slave is served, and lower inputs of the master interrupt it (the quick tests have that mode);
 * - it does not ask at once when special mask mode lets it: the mask is written anew after each such command;
 * - it looks at ELCR when an input changes, not when ELCR does.
 */
import { i8259, type I8259State } from '@machinist/interrupts'
import { testDevice } from '@machinist/registers/testing'
import { expect, it } from 'vitest'
import { Random } from '../../src/random.ts'
import { qomPaths, qtest, x86QemuVersion } from './qtest.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const STEPS = Number(process.env['MACHINIST_STEPS'] ?? 40_000)
const CHIPS = [0x20, 0xa0] as const
const ELCR = 0x4d0

it.skipIf(x86QemuVersion() === null).each([0, 1, 2])('the 8259A are those of QEMU, step by step (stream %d; skipped without qemu-system-x86_64)', async (stream) => {
  const random = new Random(SEED, stream)
  const paths = qomPaths('isa-i8259')
  expect(paths).toHaveLength(2)
  const dut = testDevice(i8259, {}, { backends: {} })
  const { device, context } = dut
  const commands = [`irq_intercept_out ${paths[0]}`]
  const expected: { readonly value: number; interrupt: boolean | null }[] = [{ value: 0, interrupt: false }]
  const told = ['']
  const did = (command: string, value = 0): void => {
    commands.push(command)
    expected.push({ value, interrupt: context.irq.intr.level })
    told.push(`${command} = ${value.toString(16)}, ${JSON.stringify(device.save())}`)
  }
  const out = (chip: number, port: number, value: number): void => {
    dut.write(port, value, 1, chip)
    did(`outb 0x${((CHIPS[chip] ?? ELCR) + port).toString(16)} 0x${value.toString(16)}`)
  }
  const read = (chip: number, port: number): void => {
    const value = dut.read(port, 1, chip)
    did(`inb 0x${((CHIPS[chip] ?? ELCR) + port).toString(16)}`, value)
  }
  const state = (chip: number): I8259State['master'] => chip === 0 ? device.save().master : device.save().slave
  const wire = (line: number, level: boolean): void => {
    device.input?.(line, level)
    did(`set_irq_in ${paths[line >> 3]} unnamed-gpio-in ${line & 7} ${level ? 1 : 0}`)
  }
  const sensitive = (line: number): boolean => ((device.save().elcr[line >> 3] ?? 0) >>> (line & 7) & 1) === 1
  /** Whether it is an edge that nobody has served yet. */
  const waits = (line: number): boolean => !sensitive(line) && (state(line >> 3).edges >>> (line & 7) & 1) === 1
  const initialize = (chip: number): void => {
    const single = random.chance(0.05) ? 2 : 0
    const with4 = random.chance(0.9) ? 1 : 0
    out(chip, 0, 0x10 | single | with4)
    const words = [random.below(256), ...(single === 0 ? [chip === 0 ? 4 : 2] : []), ...(with4 === 1 ? [1 | (random.chance(0.2) ? 2 : 0)] : [])]
    for (const word of words) {
      if (random.chance(0.1)) read(chip, random.below(2))
      out(chip, 1, word)
    }
  }
  const end = (chip: number): void => {
    const kind = random.pick([0x20, 0x20, 0x20, 0x60, 0xa0, 0xe0])
    // What QEMU clears in special mask mode, it should not.
    if ((kind & 0x40) === 0 && state(chip).specialMask) return
    out(chip, 0, kind | random.below(8))
  }
  const specialMask = (chip: number): void => {
    out(chip, 0, random.pick([0x68, 0x48, 0x48, 0x48, 0x28, 0x08]))
    expected[expected.length - 1] = { value: 0, interrupt: null }
    out(chip, 1, state(chip).mask)
  }
  const poll = (chip: number): void => {
    out(chip, 0, 0x0c | random.below(4))
    read(chip, random.below(2))
  }
  /** Does something, unless the slave's output makes a difference. */
  const attempt = (step: () => void): void => {
    const before = device.save()
    const { length } = commands
    step()
    const { master } = device.save()
    const [fell, rose] = [before.master.edges & ~master.edges & 4, ~before.master.edges & master.edges & before.master.levels & 4]
    if (fell === 0 && rose === 0) return
    device.restore(before)
    for (const list of [commands, expected, told]) list.length = length
  }
  initialize(0)
  initialize(1)
  while (commands.length < STEPS) {
    const chip = random.below(2)
    const kind = random.below(40)
    if (kind < 12) {
      const line = random.pick([0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
      const level = (state(line >> 3).levels >>> (line & 7) & 1) === 0
      if (level || !waits(line)) attempt(() => { wire(line, level) })
    } else if (kind < 17) poll(0)
    else if (kind < 20) attempt(() => { poll(1) })
    else if (kind < 27) attempt(() => { end(chip) })
    else if (kind < 30) attempt(() => { out(chip, 1, random.chance(0.4) ? 0 : random.below(256) & random.below(256)) })
    else if (kind < 34) {
      out(chip, 0, 0x0a | random.below(2))
      read(chip, 0)
    } else if (kind < 36) read(chip, 1)
    else if (kind < 37) attempt(() => { specialMask(chip) })
    else if (kind < 38) attempt(() => { out(chip, 0, random.pick([0x00, 0x80, 0xc0, 0xc0, 0x40]) | random.below(8)) })
    else if (random.chance(0.1)) {
      if (chip === 1) attempt(() => { initialize(1) })
      else if ((state(0).levels & 4) === 0) initialize(0)
    } else if (random.chance(0.3) && [0, 1].every((each) => state(each).levels === 0)) {
      out(2, chip, random.below(256))
      read(2, chip)
    }
  }
  const answers = await qtest(commands)
  let interrupt = false
  const wrong = answers.findIndex(({ value, interrupts }, step) => {
    interrupt = interrupts.at(-1)?.level ?? interrupt
    return value !== expected[step]?.value || (expected[step].interrupt ?? interrupt) !== interrupt
  })
  expect({ wrong, seen: answers[wrong], trail: wrong < 0 ? [] : told.slice(Math.max(0, wrong - 3), wrong + 1) }).toEqual({ wrong: -1, seen: undefined, trail: [] })
  // Polls that served something.
  expect(answers.filter(({ value }, step) => commands[step]?.startsWith('inb') && (value & 0xf8) === 0x80).length).toBeGreaterThan(STEPS / 40)
})
