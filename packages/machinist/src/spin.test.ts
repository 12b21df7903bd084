import { virt } from '@machinist/boards'
import { nodeHost } from '@machinist/host-node'
import { createMachine, type Machine, type MachineDefinition } from '@machinist/machine'
import { expect, test } from 'vitest'

const RAM = 0x8000_0000
/** Where the guest keeps its locks; behind them, how often the critical section was run, and how many harts are done. */
const SHARED = RAM + 0x1_0000
const COUNT = SHARED + 64
const DONE = SHARED + 128
const HARTS = 4
const ROUNDS = 300

/**
 * Each hart takes a lock 300 times, and adds one to a common number, which takes about 50 instructions; then it waits for ever. Written in
 * assembly; the comments are the lines that spin.
 */
const programs = {
  // 2: lw t2, 4(s0); bne t2, t1, 2b
  ticket: [
    0x8001_0437, 0x0204_1413, 0x0204_5413, 0x12c0_0493, 0x0010_0293, 0x0054_232f, 0x0044_2383, 0xfe63_9ee3, 0x0404_3e03, 0x0140_0e93, 0xfffe_8e93, 0xfe0e_9ee3,
    0x001e_0e13, 0x05c4_3023, 0x0013_8393, 0x0310_000f, 0x0074_2223, 0xfff4_8493, 0xfc04_96e3, 0x0804_0913, 0x0059_202f, 0x1050_0073, 0xffdf_f06f,
  ],
  // 1: amoswap.w.aq t1, t0, (s0); bnez t1, 1b
  swap: [
    0x8001_0437, 0x0204_1413, 0x0204_5413, 0x12c0_0493, 0x0010_0293, 0x0c54_232f, 0xfe03_1ee3, 0x0404_3e03, 0x0140_0e93, 0xfffe_8e93, 0xfe0e_9ee3, 0x001e_0e13,
    0x05c4_3023, 0x0a04_202f, 0xfff4_8493, 0xfc04_9ce3, 0x0804_0913, 0x0059_202f, 0x1050_0073, 0xffdf_f06f,
  ],
  // 1: lr.w.aq t1, (s0); bnez t1, 1b; sc.w t1, t0, (s0); bnez t1, 1b
  reservation: [
    0x8001_0437, 0x0204_1413, 0x0204_5413, 0x12c0_0493, 0x0010_0293, 0x1404_232f, 0xfe03_1ee3, 0x1854_232f, 0xfe03_1ae3, 0x0404_3e03, 0x0140_0e93, 0xfffe_8e93,
    0xfe0e_9ee3, 0x001e_0e13, 0x05c4_3023, 0x0310_000f, 0x0004_2023, 0xfff4_8493, 0xfc04_96e3, 0x0804_0913, 0x0059_202f, 0x1050_0073, 0xffdf_f06f,
  ],
  // 2: pause; lw t2, 4(s0); bne t2, t1, 2b
  pause: [
    0x8001_0437, 0x0204_1413, 0x0204_5413, 0x12c0_0493, 0x0010_0293, 0x0054_232f, 0x0080_006f, 0x0100_000f, 0x0044_2383, 0xfe63_9ce3, 0x0404_3e03, 0x0140_0e93,
    0xfffe_8e93, 0xfe0e_9ee3, 0x001e_0e13, 0x05c4_3023, 0x0013_8393, 0x0310_000f, 0x0074_2223, 0xfff4_8493, 0xfc04_92e3, 0x0804_0913, 0x0059_202f, 0x1050_0073,
    0xffdf_f06f,
  ],
  // a queue of waiters, each at a word of its own (MCS), as in Linux: 2: lw t2, 8(s3); bnez t2, 2b
  queue: [
    0x8001_0437, 0x0204_1413, 0x0204_5413, 0x12c0_0493, 0x0010_0293, 0x0065_1993, 0x0089_89b3, 0x1009_8993, 0x0009_b023, 0x0059_a423, 0x0f34_332f, 0x0003_0863,
    0x0133_3023, 0x0089_a383, 0xfe03_9ee3, 0x0404_3e03, 0x0140_0e93, 0xfffe_8e93, 0xfe0e_9ee3, 0x001e_0e13, 0x05c4_3023, 0x0009_b303, 0x0203_1063, 0x1004_33af,
    0x0133_9863, 0x1804_332f, 0xfe03_1ae3, 0x0140_006f, 0x0009_b303, 0xfe03_0ee3, 0x0310_000f, 0x0003_2423, 0xfff4_8493, 0xf804_9ee3, 0x0804_0913, 0x0059_202f,
    0x1050_0073, 0xffdf_f06f,
  ],
} as const
type Lock = keyof typeof programs

interface Options {
  readonly time?: MachineDefinition['time']
  readonly translate: 'off' | 'now'
  readonly harts?: number
}

function machineOf(words: readonly number[], { time = 'real', translate, harts = HARTS }: Options): Machine {
  const blueprint = virt({ console: 'null', memory: 64 * 2 ** 20, harts })
  const { definition } = blueprint
  return createMachine({
    ...blueprint,
    definition: {
      ...definition,
      time,
      cpu: { ...definition.cpu, config: { harts, firmware: 'none', translate, hot: 200 } },
      boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: new Uint8Array(Uint32Array.from(words).buffer) }], entry: RAM },
    },
  }, nodeHost())
}

function word(machine: Machine, address: number): number {
  const bytes = new Uint8Array(4)
  machine.memory.read(address, bytes)
  return new DataView(bytes.buffer).getUint32(0, true)
}

/** Instructions of all harts for each time that the lock was held. */
function cost(lock: Lock, options: Options): number {
  const machine = machineOf(programs[lock], options)
  machine.start({ drive: 'caller' })
  while (word(machine, DONE) < HARTS && machine.runSlice(1_000_000).kind === 'runnable');
  expect(word(machine, DONE)).toBe(HARTS)
  expect(word(machine, COUNT)).toBe(HARTS * ROUNDS)
  const { retired } = machine.stats
  machine.dispose()
  return retired / (HARTS * ROUNDS)
}

for (const lock of Object.keys(programs) as Lock[]) {
  test(`harts that spin for a lock hand the turn on: ${lock}`, () => {
    for (const translate of ['off', 'now'] as const) expect(cost(lock, { translate })).toBeLessThan(2000)
  })

  test(`so they do with counted time, in the same way whether code is translated or not: ${lock}`, () => {
    const time = { instructionsPerSecond: 1e8 }
    const interpreted = cost(lock, { time, translate: 'off' })
    expect(interpreted).toBeLessThan(90)
    expect(cost(lock, { time, translate: 'now' })).toBe(interpreted)
  })
}

test('PAUSE costs a hart nothing that is alone, and one that is not its turn', () => {
  // 1: pause; addi t0, t0, -1; bnez t0, 1b; then as many rounds again, for ever
  const loop = [0x0001_02b7, 0x0100_000f, 0xfff2_8293, 0xfe02_9ce3, 0xff1f_f06f]
  for (const translate of ['off', 'now'] as const) {
    const yields = (harts: number): number => {
      const machine = machineOf(loop, { translate, harts, time: { instructionsPerSecond: 1e8 } })
      machine.start({ drive: 'caller' })
      while (machine.stats.retired < 100_000) machine.runSlice(1_000_000)
      const { exits, retired } = machine.stats
      machine.dispose()
      return exits.yield / retired
    }
    expect(yields(1)).toBe(0)
    expect(yields(2)).toBeGreaterThan(0.25)
  }
})
