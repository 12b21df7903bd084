import type { BackendWants, DeviceSpec, Width } from '@machinist/api'
import { type TestDevice, testDevice, type TestDeviceOptions } from '@machinist/registers/testing'
import { plain } from './plain.ts'
import { Random } from './random.ts'

/** One of two equal devices with what is around it. */
export interface ShortcutSide<Config, S, Irq extends string, Wants extends BackendWants> extends Omit<TestDeviceOptions<Irq, Wants>, 'shortcuts'> {
  /** Things that happen on the host's side. */
  readonly host?: (random: Random) => void
  /** Does now and then what a driver would. */
  readonly driver?: (dut: TestDevice<Config, S, Irq, Wants>, random: Random) => void
  /** What came out at the backends so far. */
  readonly output?: () => unknown
}

/** How a device's shortcuts are tried. */
export interface ShortcutOptions {
  readonly seed: number
  /** Operations. */
  readonly operations: number
}

/** What came of it. */
export interface ShortcutComparison {
  /** The first difference, and the operations before it, oldest first; null when there is none. */
  readonly difference: { readonly problem: string; readonly trail: readonly string[] } | null
  /** Accesses that the device did not have when they were made. */
  readonly served: number
}

/** A device for a driver whose answers are of interest. */
function noting<Config, S, Irq extends string, Wants extends BackendWants>(dut: TestDevice<Config, S, Irq, Wants>): { readonly noted: TestDevice<Config, S, Irq, Wants>; readonly answers: readonly number[] } {
  const { device } = dut
  const answers: number[] = []
  const read = (region: number, offset: number, width: Width): number => {
    const answer = device.read(region, offset, width)
    answers.push(answer)
    return answer
  }
  return {
    answers,
    noted: {
      ...dut,
      device: {
        read,
        write: (region, offset, width, value) => { device.write(region, offset, width, value) },
        reset: (kind) => { device.reset(kind) },
        save: () => device.save(),
        restore: (state) => { device.restore(state) },
      },
      read: (offset, width = 4, region = 0) => read(region, offset, width),
    },
  }
}

/**
 * Does the same at random to two equal devices: one is asked for each access, of the other what it declares is made use of. A guest must not be able to tell them apart: not by what registers say, nor by interrupts. Nor must
 * anybody else once all stores have been made: not by the backends' data, by memory, or by what is saved.
 *
 * @param side - makes what is around a device, the same each time
 */
export function compareShortcuts<Config, S, Irq extends string, Wants extends BackendWants>(
  spec: DeviceSpec<Config, S, Irq, Wants>, input: unknown, side: () => ShortcutSide<Config, S, Irq, Wants>, { seed, operations }: ShortcutOptions,
): ShortcutComparison {
  const random = new Random(seed)
  const sides = [false, true].map((shortcuts) => {
    const around = side()
    return { around, dut: testDevice(spec, input, { ...around, shortcuts }) }
  })
  const config = spec.configure(input, 'dut')
  const regions = spec.regions(config)
  const declared = spec.shortcuts?.(config) ?? []
  const inputs = spec.inputs?.(config) ?? 0
  const irqs = spec.irqs(config)
  const served = sides[1]?.dut.served
  const trail: string[] = []
  const saved: S[] = []

  /** Does something to both. Returns how their answers differ. */
  const both = (what: string, act: (each: (typeof sides)[number]) => unknown): string | null => {
    trail.push(what)
    const [one, other] = sides.map(act)
    if (one === other) return null
    const [first, second] = [plain(one), plain(other)]
    return first === second ? null : `${what}: ${first.slice(0, 600)} without, ${second.slice(0, 600)} with shortcuts`
  }
  const place = (): { region: number; offset: number; width: Width } => {
    if (declared.length > 0 && random.chance(0.6)) return { region: 0, ...random.pick(declared) }
    const region = random.below(regions.length)
    const width = random.pick<Width>([1, 2, 4, 4])
    const offset = random.below(Math.min(regions[region]?.size ?? 4, 0x200) - width + 1)
    return { region, width, offset: random.chance(0.9) ? offset - offset % width : offset }
  }
  /** The interrupts, which a doorbell that was not heard yet may be about to change. */
  const lines = (): string | null => {
    if (served?.rung === true) return null
    const [one, other] = sides.map(({ dut }) => dut.context.irq)
    const irq = irqs.find((each) => one?.[each].level !== other?.[each].level || one?.[each].edges !== other?.[each].edges)
    return irq === undefined ? null : `${irq}: ${String(one?.[irq].level)} without, ${String(other?.[irq].level)} with shortcuts`
  }
  const memory = (): string | null => {
    const [one, other] = sides.map(({ dut }) => dut.context.memory)
    const at = one?.findIndex((byte, index) => byte !== other?.[index]) ?? -1
    return at < 0 ? null : `memory at ${at}: ${String(one?.[at])} without, ${String(other?.[at])} with shortcuts`
  }
  const all = (): string | null => {
    for (const { dut } of sides) dut.served?.drain()
    return lines() ?? both('state', ({ dut, around }) => [dut.device.save(), around.output?.(), irqs.map((irq) => dut.context.irq[irq].sent.length), irqs.map((irq) => dut.context.irq[irq].sent.slice(-16)), dut.context.warnings.splice(0)]) ?? memory()
  }
  const steps: readonly (readonly [share: number, step: () => string | null])[] = [
    [40, () => {
      const { region, offset, width } = place()
      return both(`read ${region}+0x${offset.toString(16)}, ${width}`, ({ dut }) => dut.device.read(region, offset, width))
    }],
    [40, () => {
      const { region, offset, width } = place()
      const value = random.pick([0, 1, 2, 3, random.below(16), random.below(256), random.u32()]) % 2 ** (8 * width)
      return both(`write ${region}+0x${offset.toString(16)}, ${width}: 0x${value.toString(16)}`, ({ dut }) => { dut.device.write(region, offset, width, value) })
    }],
    [6, () => {
      const time = random.pick([0, 1, 1000, 10 ** 6, 10 ** 9])
      return both(`time +${time}`, ({ dut }) => { dut.advance(time) })
    }],
    [inputs > 0 ? 12 : 0, () => {
      const [line, level] = [random.below(inputs), random.chance(0.5)]
      return both(`input ${line} ${String(level)}`, ({ dut }) => { dut.device.input?.(line, level) })
    }],
    [8, () => {
      const own = random.u32()
      return both('host', ({ dut, around }) => {
        dut.served?.drain()
        around.host?.(new Random(own))
      })
    }],
    [8, () => {
      const own = random.u32()
      return both('driver', ({ dut, around }) => {
        // What a driver does to memory after it rang may be seen or not.
        dut.served?.drain()
        const { noted, answers } = noting(dut)
        around.driver?.(noted, new Random(own))
        return answers
      })
    }],
    [1, () => {
      const kind = random.pick(['cold', 'warm'] as const)
      return both(`reset ${kind}`, ({ dut }) => { dut.device.reset(kind) })
    }],
    [2, () => {
      const [state] = sides.map(({ dut }) => dut.device.save())
      if (state !== undefined) saved.push(state)
      if (saved.length > 8) saved.shift()
      const back = random.chance(0.5) ? state : random.pick(saved)
      return both('restore', ({ dut }) => { if (back !== undefined) dut.device.restore(back) })
    }],
    [4, all],
  ]
  const total = steps.reduce((sum, [share]) => sum + share, 0)
  for (let n = 0; n < operations; n++) {
    let left = random.below(total)
    const step = steps.find(([share]) => (left -= share) < 0)?.[1] ?? all
    const problem = step() ?? lines()
    if (problem !== null) return { difference: { problem, trail: trail.slice(-40) }, served: served?.served ?? 0 }
    if (trail.length > 400) trail.splice(0, 300)
  }
  const problem = all()
  return { difference: problem === null ? null : { problem, trail: trail.slice(-40) }, served: served?.served ?? 0 }
}
