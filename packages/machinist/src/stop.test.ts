/** A machine that is stopped anywhere, and goes on, is the same as one that is not. */
import { virt } from '@machinist/boards'
import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, type Machine } from '@machinist/machine'
import { Random } from '@machinist/testkit'
import { expect, test } from 'vitest'
import { machineDigest, runTo } from '../test/digest.ts'
import { RAM, randomProgram } from '../test/random-program.ts'

const SEED = Number(process.env['STOP_SEED'] ?? 1)
const PROGRAMS = Number(process.env['STOP_PROGRAMS'] ?? 2)
const INSTRUCTIONS = 60_000

interface Case {
  readonly harts: number
  readonly translate: 'off' | 'now'
  readonly seed: number
}

interface Run {
  machine: Machine
  readonly console: ReturnType<typeof collector>
  /** Told before each byte that the guest says. */
  saying: () => void
}

function make(program: Uint8Array, { harts, translate }: Case): Run {
  const console = collector()
  const blueprint = virt({ memory: 16 * 2 ** 20, harts, console: { ...console, connect: (...args) => {
    const port = console.connect(...args)
    return { ...port, write(bytes) {
      run.saying()
      return port.write(bytes)
    } }
  } } })
  const { definition } = blueprint
  const machine = createMachine({ ...blueprint, definition: {
    ...definition,
    time: { instructionsPerSecond: 1e8 },
    cpu: { ...definition.cpu, config: { harts, firmware: 'none', translate, hot: 200 } },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: program }], entry: RAM },
  } }, nodeHost())
  const run: Run = { machine, console, saying: () => {} }
  machine.start({ drive: 'caller' })
  return run
}

/** Runs to the end of the turn in which it retired so many; what it is then, and when. */
function ended({ machine, console }: Run): object {
  runTo(machine, INSTRUCTIONS)
  const { retired, steps, virtualTime } = machine.stats
  const end = { digest: machineDigest(machine), said: console.text(), retired, steps, virtualTime }
  machine.dispose()
  return end
}

/** Goes on until it pauses. */
function toPause(machine: Machine): void {
  machine.resume()
  while (machine.state === 'running') machine.runSlice(1e6)
}

const cases: readonly Case[] = [1, 3].flatMap((harts) => (['off', 'now'] as const).flatMap((translate) =>
  Array.from({ length: PROGRAMS }, (_, index) => ({ harts, translate, seed: SEED * 1000 + index }))))

/** Runs a random program undisturbed, and then with what `disturb` does to it. */
async function same(each: Case, interrupts: boolean, disturb: (run: Run, random: Random) => Promise<void> | void): Promise<void> {
  const random = new Random(each.seed, each.harts)
  const program = randomProgram((limit) => random.below(limit), each.harts, interrupts)
  const right = ended(make(program, each))
  const run = make(program, each)
  await disturb(run, random)
  expect(run.machine.stats.retired).toBeLessThan(INSTRUCTIONS)
  expect(ended(run)).toEqual(right)
}

const far = (random: Random): number => 1 + random.below([3, 40, 400, 4000][random.below(4)] ?? 1)
const NEARLY = INSTRUCTIONS - 5000

test.each(cases)('$harts harts, code translated: $translate, program $seed: it stops exactly where it is to', async (each) => {
  await same(each, true, ({ machine }, random) => {
    while (machine.stats.retired < NEARLY) {
      const { retired, steps } = machine.stats
      const at = random.below(2) === 0 ? { retired: retired + far(random) } : { steps: steps + far(random) }
      machine.stopAt(at)
      toPause(machine)
      expect(machine.stats).toMatchObject(at)
    }
  })
})

test.each(cases)('$harts harts, code translated: $translate, program $seed: with breakpoints, and pauses from within', async (each) => {
  await same(each, true, (run, random) => {
    const { machine } = run
    let stopped = 0
    run.saying = () => { if (random.below(3) === 0) machine.pause() }
    machine.on('debug', () => { stopped++ })
    while (machine.stats.retired < NEARLY) {
      const address = BigInt(RAM + 4 * (70 + random.below(150)))
      for (const { debug } of machine.vcpus) debug?.setStops([{ kind: 'breakpoint', address }])
      machine.stopAt({ retired: machine.stats.retired + far(random) })
      toPause(machine)
      // It would stay where it is.
      for (const { debug } of machine.vcpus) debug?.setStops([])
      machine.stopAt({ steps: machine.stats.steps + 1 + random.below(2) })
      toPause(machine)
    }
    machine.stopAt(null)
    run.saying = () => {}
    expect(stopped).toBeGreaterThan(0)
  })
})

test.each(cases)('$harts harts, code translated: $translate, program $seed: step by step', async (each) => {
  await same(each, false, ({ machine }, random) => {
    while (machine.stats.retired < NEARLY) {
      machine.stopAt({ retired: machine.stats.retired + far(random) })
      toPause(machine)
      const debug = machine.vcpus[random.below(each.harts)]?.debug
      if (debug === undefined) continue
      debug.mode = 'step'
      for (let times = random.below(60); times > 0 && machine.stats.retired < NEARLY; times--) toPause(machine)
      debug.mode = 'run'
    }
  })
})

test.each(cases)('$harts harts, code translated: $translate, program $seed: copied while stopped, and sampled', async (each) => {
  await same(each, true, async (run, random) => {
    while (run.machine.stats.retired < NEARLY) {
      const { machine } = run
      machine.stopAt({ retired: machine.stats.retired + far(random) })
      machine.sample(random.below(2) === 0 ? null : { interval: 1000 + random.below(100_000) })
      toPause(machine)
      if (random.below(10) > 0) continue
      run.machine = await machine.fork({ exact: true, start: false, backends: { 'uart0.console': run.console } })
      machine.dispose()
      run.machine.start({ drive: 'caller' })
    }
    run.machine.sample(null)
  })
})
