import { expect, test } from 'vitest'
import { Csr } from './csr-numbers.ts'
import { encode } from './isa/index.ts'
import { RAM, testMachine } from './test-machine.ts'

const [PAUSE, SOFTWARE] = [0x0100_000f, 3]

test('a run that goes on does not look again at what it looked at when it began: harts that could run, timers', () => {
  const t = testMachine({ harts: 2 })
  const [hart, other] = t.cpu.vcpus
  if (hart === undefined || other === undefined) throw new RangeError('two harts')
  t.program([encode('wfi')], RAM + 0x100)
  other.record.set64('pc', BigInt(RAM + 0x100))
  other.record.set64('mie', 1n << BigInt(SOFTWARE))
  expect([other.run(1, true), other.runnable]).toEqual(['halt', false])
  t.program([encode('csrrw', { rd: 0, rs1: 5, imm: Csr.stimecmp }), encode('addi', { rd: 1, rs1: 1, imm: 1 }), PAUSE, PAUSE, PAUSE])
  hart.record.set64('menvcfg', 1n << 63n)
  hart.record.set64('mie', 1n << 5n)
  hart.setX(5, 10n)
  other.setLine(SOFTWARE, true)
  expect(hart.run(2, true)).toBe('budget')
  other.setLine(SOFTWARE, false)
  t.time = 1000
  expect([hart.run(1, true, true), hart.record.get('lines')]).toEqual(['yield', 0])
  expect([hart.run(1, true), hart.record.get('lines')]).toEqual(['budget', 1 << 5])
})

test('a run that a debugger ended, and something else too, says so when it goes on', () => {
  const t = testMachine({ harts: 2 })
  const [hart] = t.cpu.vcpus
  t.program([PAUSE, encode('addi', { rd: 1, rs1: 1, imm: 1 }), encode('addi', { rd: 1, rs1: 1, imm: 1 })])
  if (hart === undefined) throw new RangeError('a hart')
  hart.debug.mode = 'step'
  expect(hart.run(2, true)).toBe('debug')
  hart.debug.mode = 'run'
  const copy = t.fork().cpu.vcpus[0]
  copy?.restoreRun(hart.saveRun())
  expect([hart.run(1, true, true), hart.retired, hart.run(1, true, true), hart.retired]).toEqual(['yield', 1, 'budget', 2])
  expect([copy?.run(1, true, true), copy?.retired]).toEqual(['yield', 1])
})

test('the question whether a hart spins can be put in pieces, by a debugger and in a copy too', () => {
  // amoswap; bnez -4: spins. And a loop of a thousand rounds, which counts.
  const programs = {
    yield: [encode('amoswap.d', { rd: 6, rs1: 5, rs2: 7 }), encode('bne', { rs1: 6, rs2: 0, imm: -4 })],
    budget: [encode('addi', { rd: 6, rs1: 6, imm: 1 }), encode('bne', { rs1: 6, rs2: 0, imm: -4 })],
  }
  for (const [answer, words] of Object.entries(programs)) {
    const make = (): ReturnType<typeof testMachine> => {
      const t = testMachine()
      t.program(words)
      t.hart.setX(5, BigInt(RAM + 0x1000))
      t.hart.setX(7, 1n)
      t.memory.write(RAM + 0x1000, Uint8Array.of(1))
      return t
    }
    const plain = make()
    expect(plain.hart.spin(true)).toBe(answer)
    for (let most = 1; most < 40; most += 3) {
      let t = make()
      let said: string = 'more'
      for (let turn = 0; said === 'more' || said === 'debug'; turn++) {
        const { hart } = t
        hart.debug.mode = turn % 5 === 4 ? 'step' : 'run'
        const before = hart.steps
        said = hart.spin(true, most)
        expect(hart.steps - before).toBeLessThanOrEqual(most)
        if (turn % 3 !== 1) continue
        hart.debug.mode = 'run'
        t = t.fork()
        t.hart.restoreRun(structuredClone(hart.saveRun()))
      }
      expect([said, t.hart.save()]).toEqual([answer, plain.hart.save()])
    }
  }
})

test('a saved run is checked', () => {
  const { hart } = testMachine()
  const look = { until: 32, pc: 0n, stack: 0n, loop: { pc: 0n, registers: new Array<number>(64).fill(0), steps: 3 } }
  const good = { others: true, owed: null, look }
  hart.restoreRun(good)
  expect(hart.saveRun()).toEqual(good)
  const bad = [
    null, 5, {}, { ...good, others: 1 }, { ...good, owed: 'budget' }, { ...good, look: 5 }, { ...good, look: { ...look, until: 33 } }, { ...good, look: { ...look, pc: 0 } },
    { ...good, look: { ...look, loop: { ...look.loop, registers: [] } } }, { ...good, look: { ...look, loop: { ...look.loop, registers: look.loop.registers.map(() => -1) } } },
    { ...good, look: { ...look, loop: { ...look.loop, steps: 49 } } },
  ]
  for (const each of bad) expect(() => { hart.restoreRun(each) }, JSON.stringify(each, (_, value: unknown) => typeof value === 'bigint' ? `${value}` : value)).toThrow(expect.objectContaining({ code: 'bad-state' }))
})
