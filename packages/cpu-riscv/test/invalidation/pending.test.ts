import { expect, test } from 'vitest'
import { encode } from '../../src/isa/index.ts'
import { Guest, later, translatedSteps } from './guest.ts'
import { Program } from './program.ts'
import { page } from './supervisor.ts'

const give = (imm: number): number => encode('addi', { rd: 7, imm })

/** Lets the host finish what it compiles. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => { setTimeout(resolve, 0) })
}

/** Runs the loop that hart 0 is in until translated code has executed. */
async function untilTranslated(g: Guest): Promise<void> {
  for (let i = 0; translatedSteps(g.hart()) === 0; i++) {
    if (i === 1000) throw new RangeError('nothing is translated')
    g.hart().run(40, false)
    await settle()
  }
}

test.each(['patched', 'taken for data', 'reset', 'changed from outside'] as const)('a page that is %s while its translation is under way', async (change) => {
  const g = new Guest(later)
  const p = new Program(page(0)).label('loop').label('target').word(give(0)).op('add', { rd: 11, rs1: 11, rs2: 7 }).op('addi', { rd: 9, rs1: 9, imm: 1 }).go('loop')
  g.load(p)
  g.setPc(page(0))
  await untilTranslated(g)
  let translated = 0
  for (let i = 2; i < 40; i++) {
    // More is asked for, and not there yet.
    for (let k = 0; k < 12; k++) g.hart().run(40, false)
    if (change === 'reset') g.machine.cpu.reset('warm', { pc: page(0), args: [] })
    if (change === 'changed from outside') {
      g.machine.memory.arena.data.setUint32(g.machine.memory.resolve(p.address('target')), give(i), true)
      g.machine.cpu.memoryChanged(page(0), 4096)
    } else for (let n = 0; n < (change === 'taken for data' ? 70 : 1); n++) g.writeWord(p.address('target'), give(i))
    await settle()
    // Past an addition that may have been half done.
    while (Number(g.hart().record.get64('pc')) !== p.address('target')) g.hart().run(1, true)
    const before = { sum: g.x(11), rounds: g.x(9), steps: translatedSteps(g.hart()) }
    g.hart().run(4000, true)
    expect(g.x(11) - before.sum).toBe(BigInt(i) * (g.x(9) - before.rounds))
    translated += translatedSteps(g.hart()) - before.steps
  }
  expect(translated).toBeGreaterThanOrEqual(0)
})
