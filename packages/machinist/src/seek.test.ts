/** A recording can be gone about in, forwards and backwards. */
import type { DebugStop } from '@machinist/api'
import { virt } from '@machinist/boards'
import { type CharBackend, nodeHost, stream } from '@machinist/host-node'
import { createMachine, type Machine, type MachineBlueprint, Seeker } from '@machinist/machine'
import { Random } from '@machinist/testkit'
import { expect, test } from 'vitest'
import { machineDigest } from '../test/digest.ts'
import { RAM, randomProgram } from '../test/random-program.ts'

const SEED = Number(process.env['SEEK_SEED'] ?? 1)
const INSTRUCTIONS = 40_000

function blueprintOf(program: Uint8Array, harts: number, console: CharBackend): MachineBlueprint {
  const blueprint = virt({ harts, console })
  const { definition } = blueprint
  return { ...blueprint, definition: {
    ...definition,
    memory: [{ name: 'ram', base: RAM, size: 2 ** 20 }],
    time: { instructionsPerSecond: 1e8 },
    cpu: { ...definition.cpu, config: { harts, firmware: 'none', translate: 'off' } },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: program }], entry: RAM },
  } }
}

interface Recorded {
  readonly seeker: Seeker
  readonly steps: number
  /** What was said, then and now. */
  readonly said: string
  readonly again: () => string
}

/** Records a random program, at which somebody types. */
async function record(seed: number, harts: number): Promise<Recorded> {
  const random = new Random(seed, harts)
  const program = randomProgram((limit) => random.below(limit), harts)
  let said = ''
  const console = stream({ output: (bytes) => { said += Buffer.from(bytes).toString('latin1') } })
  const blueprint = blueprintOf(program, harts, console)
  const parts: Uint8Array[] = []
  const machine = createMachine(blueprint, nodeHost(), { record: { sink: { write: (bytes) => { parts.push(bytes) }, end() {} }, checkEvery: 5000, checkMemoryEvery: 20_000 } })
  machine.start({ drive: 'caller' })
  while (machine.stats.retired < INSTRUCTIONS) {
    machine.runSlice(0)
    if (random.below(3) === 0) console.type(Uint8Array.of(33 + random.below(90)))
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  machine.stopRecording()
  const { steps } = machine.stats
  machine.dispose()
  let again = ''
  const seeker = new Seeker({
    make: (onSay) => createMachine(blueprint, nodeHost(), { replay: { source: { part: (index) => parts[index] ?? null }, onSay } }),
    onSay: ({ part, member, args }) => { if (part === 'uart0.console' && member === 'write') again += Buffer.from(args[0] as Uint8Array).toString('latin1') },
    loop: nodeHost().loop, spacing: 2000, most: 8,
  })
  return { seeker, steps, said, again: () => again }
}

const state = (machine: Machine): object => ({ digest: machineDigest(machine), time: machine.stats.virtualTime, events: machine.stats.events, retired: machine.stats.retired, steps: machine.stats.steps })

test.each([[1, 1], [3, 1], [3, 2]])('%d harts, program %d: what it is at a place is what it was when it was there first', async (harts, program) => {
  const { seeker, steps, said, again } = await record(SEED * 1000 + program, harts)
  const random = new Random(SEED, program)
  const places = Array.from({ length: 20 }, () => random.below(steps)).sort((a, b) => a - b)
  const first = new Map<number, object>()
  for (const at of places) {
    expect(await seeker.seek({ steps: at })).toEqual({ kind: 'there' })
    first.set(at, state(seeker.machine))
  }
  for (let times = 0; times < 20; times++) {
    const at = places[random.below(places.length)] ?? 0
    expect(await seeker.seek({ steps: at })).toEqual({ kind: 'there' })
    expect(state(seeker.machine)).toEqual(first.get(at))
  }
  expect(await seeker.run()).toEqual({ kind: 'end' })
  expect([seeker.machine.replay, again()]).toMatchObject([{ whole: true, difference: null }, said])
  seeker.dispose()
})

/** A place, and what a debugger says of it. */
type Seen = readonly [steps: number, hart: number, kind: string]

test.each([[1, 1], [3, 1], [3, 2]])('%d harts, program %d: going back comes by the same stops as going forwards, and steps back are steps', async (harts, program) => {
  const { seeker, steps } = await record(SEED * 1000 + program, harts)
  const random = new Random(SEED, program)
  const stops: DebugStop[] = [
    ...Array.from({ length: 3 }, (): DebugStop => ({ kind: 'breakpoint', address: BigInt(RAM + 4 * (70 + random.below(150))) })),
    // The handler, to which interrupts lead; a word that all add to; where harts keep theirs.
    { kind: 'breakpoint', address: BigInt(RAM + 4) },
    { kind: 'watchpoint', address: BigInt(RAM + 0x4_0000), length: 8, on: 'write' },
    { kind: 'watchpoint', address: BigInt(RAM + 0x4_1000 + 8 * random.below(16)), length: 8, on: 'access' },
  ]
  // All the stops there are, by going on from each for a step without them.
  const forwards: Seen[] = []
  const last = Math.min(steps, 900)
  for (let off = false; seeker.machine.stats.steps < last;) {
    seeker.setStops(off ? stops.filter(({ kind }) => kind === 'watchpoint') : stops)
    const halt = await seeker.run({ steps: off ? seeker.machine.stats.steps + 1 : last })
    off = halt.kind === 'stop' && halt.reason.kind === 'breakpoint'
    if (halt.kind === 'stop') forwards.push([seeker.machine.stats.steps - (off ? 0 : 1), halt.hart, halt.reason.kind])
  }
  expect(forwards.length).toBeGreaterThan(3)
  // Of those at one place, the later one is met.
  const expected = new Map(forwards.filter(([at]) => at < last).map((seen) => [seen[0], seen]))
  seeker.setStops(stops)
  await seeker.seek({ steps: last })
  const backwards: Seen[] = []
  for (;;) {
    const halt = await seeker.runBack()
    if (halt.kind !== 'stop') {
      expect([halt, seeker.machine.stats.steps]).toEqual([{ kind: 'begin' }, 0])
      break
    }
    const { stats, vcpus } = seeker.machine
    backwards.push([stats.steps, halt.hart, halt.reason.kind])
    if (halt.reason.kind === 'breakpoint') expect((vcpus[halt.hart]?.save() as { csr: { pc: bigint } }).csr.pc).toBe(halt.reason.address)
  }
  expect(backwards).toEqual([...expected.values()].reverse())

  await seeker.seek({ steps: steps - 10 })
  for (let times = 0; times < 12; times++) {
    const hart = random.below(harts)
    const before = seeker.machine.vcpus.map((vcpu) => vcpu.steps)
    expect(await seeker.stepBack(hart)).toEqual({ kind: 'there' })
    const after = seeker.machine.vcpus.map((vcpu) => vcpu.steps)
    expect(after[hart]).toBe((before[hart] ?? 0) - 1)
    // The next step is that hart's.
    const now = seeker.machine.stats.steps
    await seeker.seek({ steps: now + 1 })
    expect(seeker.machine.vcpus[hart]?.steps).toBe(before[hart])
    await seeker.seek({ steps: now })
  }
  seeker.dispose()
})

test('it goes to where so many instructions have been retired, and no further than the recording', async () => {
  const { seeker, steps } = await record(SEED, 1)
  for (const retired of [500, 20_000, 19_999, 1, 0]) {
    expect(await seeker.seek({ retired })).toEqual({ kind: 'there' })
    expect(seeker.machine.stats.retired).toBe(retired)
  }
  expect([await seeker.seek({ steps: steps + 1 }), await seeker.run(), seeker.machine.stats.steps]).toEqual([{ kind: 'end' }, { kind: 'end' }, steps])
  await seeker.seek({ retired: 10 })
  const running = [seeker.run(), seeker.runBack()]
  seeker.interrupt()
  expect(await Promise.all(running)).toEqual([{ kind: 'interrupted' }, { kind: 'interrupted' }])
  expect(await seeker.stepBack(0)).toEqual({ kind: 'there' })
  seeker.dispose()
})
