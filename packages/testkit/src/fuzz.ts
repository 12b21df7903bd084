import { type BackendWants, type DeviceSpec, isMachinistError, type LocalController, type Width } from '@machinist/api'
import { type TestDevice, testDevice, type TestDeviceOptions } from '@machinist/registers/testing'
import { plain } from './plain.ts'
import { Random } from './random.ts'

/** What a fuzzed device is given, and how hard it is tried. */
export interface FuzzOptions<Config, S, Irq extends string, Wants extends BackendWants> extends TestDeviceOptions<Irq, Wants> {
  readonly seed: number
  /** Operations. */
  readonly operations: number
  /**
   * Does now and then what a driver would: chance alone does not get past a negotiation of many steps. It may put
   * anything into `dut.context.memory`.
   */
  readonly driver?: (dut: TestDevice<Config, S, Irq, Wants>, random: Random) => void
  /** Things that happen on the host's side: input arrives, a request completes. */
  readonly host?: (random: Random) => void
  /** Steps of virtual time, in nanoseconds; up to 1000 s when absent, which is long for a device with a timer that never rests. */
  readonly times?: readonly number[]
  /** Most characters that the saved state may take as JSON; 1 MiB when absent. */
  readonly stateLimit?: number
}

/** What went wrong, and after which operations. */
export interface FuzzFailure {
  readonly problem: string
  /** The last operations, oldest first. */
  readonly trail: readonly string[]
}

/**
 * Drives a device through its registers with random operations, over memory full of random data, with timers, inputs,
 * events of the host, resets, and saving and restoring in between. It must never throw, never answer with more than a
 * register holds, keep its state small, and save after restoring what it saved before.
 *
 * @returns the first failure, or null
 */
export function fuzzDevice<Config, S, Irq extends string, Wants extends BackendWants>(
  spec: DeviceSpec<Config, S, Irq, Wants>,
  input: unknown,
  options: FuzzOptions<Config, S, Irq, Wants>,
): FuzzFailure | null {
  const random = new Random(options.seed)
  const dut = testDevice(spec, input, options)
  const { device, config, context } = dut
  const regions = spec.regions(config)
  const inputs = spec.inputs?.(config) ?? 0
  const outputs = spec.irqs(config).length
  const stateLimit = options.stateLimit ?? 2 ** 20
  const trail: string[] = []
  const seen: (number | undefined)[] = []
  const saved: S[] = []
  const failure = (problem: string): FuzzFailure => ({ problem, trail: trail.slice(-40) })

  const value = (): number => {
    switch (random.below(7)) {
      case 0:
        return random.pick([0, 1, 2, 3, 4, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
      case 1:
        return 2 ** random.below(32)
      case 2:
        return (context.memoryBase + random.below(context.memory.length)) >>> 0
      case 3:
        return (context.memoryBase + 16 * random.below(context.memory.length / 16)) >>> 0
      case 4:
        return seen.length === 0 ? random.below(16) : random.pick(seen) ?? 0
      case 5:
        return random.below(256)
      default:
        return random.u32()
    }
  }

  const steps: readonly (() => string | null)[] = [
    () => {
      const { region, offset, width } = place()
      trail.push(`read ${region}+0x${offset.toString(16)}, ${width}`)
      const got = device.read(region, offset, width)
      seen[random.below(16)] = got
      return Number.isInteger(got) && got >= 0 && got < 2 ** (8 * width) ? null : `it answered ${String(got)}`
    },
    () => {
      const { region, offset, width } = place()
      const what = value() % 2 ** (8 * width)
      trail.push(`write ${region}+0x${offset.toString(16)}, ${width}: 0x${what.toString(16)}`)
      device.write(region, offset, width, what)
      return null
    },
    () => {
      const at = random.below(context.memory.length)
      trail.push(`memory at ${at}`)
      for (let i = at; i < Math.min(at + random.below(64), context.memory.length); i++) context.memory[i] = random.below(256)
      return null
    },
    () => {
      const time = random.pick(options.times ?? [0, 1, 1000, 10 ** 6, 10 ** 9, 10 ** 12])
      trail.push(`time +${time}`)
      dut.advance(time)
      return null
    },
    () => {
      if (device.acknowledge && random.chance(0.5)) {
        const output = random.below(outputs)
        trail.push(`acknowledge ${output}`)
        const got = device.acknowledge(output)
        if (!Number.isInteger(got) || got < -inputs || got > 0xff) return `it gave the vector ${String(got)}`
      }
      if (device.receive && random.chance(0.3)) {
        const [line, data] = [random.below(inputs), value()]
        trail.push(`message to input ${line}: 0x${data.toString(16)}`)
        device.receive(line, data)
      }
      if (device.local && random.chance(0.8)) return local(device.local)
      if (inputs > 0 && device.input) {
        const line = random.below(inputs)
        trail.push(`input ${line}`)
        device.input(line, random.chance(0.5))
      }
      return null
    },
    () => {
      trail.push('host')
      options.host?.(random)
      return null
    },
    () => {
      trail.push('driver')
      options.driver?.(dut, random)
      return null
    },
    () => (random.chance(0.1) ? restart() : null),
    () => (random.chance(0.2) ? saveAndRestore() : null),
    () => (random.chance(0.2) ? restoreRubbish() : null),
  ]
  const shares = [30, 40, 3, 6, 4, 6, 4, 1, 2, 2]

  function place(): { region: number; offset: number; width: Width } {
    const region = random.below(regions.length)
    const picked = random.pick<Width>([1, 2, 4, 4, 4])
    const size = regions[region]?.size ?? picked
    // A region of ports may be smaller than an access.
    const width = picked <= size ? picked : size < 2 ? 1 : 2
    // Mostly near the start, where registers are, and mostly aligned.
    const reach = random.chance(0.7) ? Math.min(size, 0x200) : size
    const offset = random.below(reach - width + 1)
    return { region, width, offset: random.chance(0.9) ? offset - (offset % width) : offset }
  }

  /** What a hart does to its own controller. */
  function local(own: LocalController): string | null {
    const hart = random.below(4)
    // Those of x2APIC, and two others.
    const [offset, msr, what] = [4 * random.below(0x400) & (random.chance(0.8) ? 0x3f0 : 0xffc), random.chance(0.8) ? 0x800 + random.below(0x40) : random.pick([0x1b, 0x6e0]), value()]
    const high = random.chance(0.5) ? 0 : value()
    const words = new Uint32Array(2)
    trail.push(`hart ${hart}: page 0x${offset.toString(16)}, MSR 0x${msr.toString(16)}, 0x${what.toString(16)}, 0x${high.toString(16)}`)
    switch (random.below(6)) {
      case 0: {
        const got = own.read(hart, offset)
        return Number.isInteger(got) && got >= -1 && got < 2 ** 32 ? null : `it answered ${String(got)}`
      }
      case 1: own.write(hart, offset, what); break
      case 2: own.readMsr(hart, msr, words); break
      case 3: own.writeMsr(hart, msr, what, high); break
      // Into a mode, as a driver does.
      case 4: own.writeMsr(hart, 0x1b, 0xfee0_0000 | random.pick([0x800, 0xc00, 0xc00]), 0); break
      default:
        own.writePriority(hart, what & 15)
        if (own.readPriority(hart) > 15) return 'a priority above 15'
    }
    return null
  }

  function restart(): null {
    const kind = random.pick(['cold', 'warm'] as const)
    trail.push(`reset ${kind}`)
    device.reset(kind)
    return null
  }

  function saveAndRestore(): string | null {
    const before = device.save()
    const text = plain(before)
    if (text.length > stateLimit) return `its state is ${text.length} characters long`
    trail.push('save and restore')
    device.restore(before)
    const after = plain(device.save())
    if (after !== text) return `it saved ${text.slice(0, 400)} and, restored, ${after.slice(0, 400)}`
    if (saved.length < 8) saved.push(before)
    else if (random.chance(0.3)) device.restore(random.pick(saved))
    return null
  }

  function restoreRubbish(): string | null {
    const before = plain(device.save())
    const rubbish = damage(device.save(), random)
    trail.push(`restore ${plain(rubbish).slice(0, 200)}`)
    try {
      device.restore(rubbish as S)
    } catch (error) {
      if (!isMachinistError(error)) return `restoring threw ${String(error)}`
      if (plain(device.save()) !== before) return 'a refused state has changed it'
    }
    return null
  }

  const total = shares.reduce((sum, share) => sum + share, 0)
  for (let n = 0; n < options.operations; n++) {
    let left = random.below(total)
    const step = steps[shares.findIndex((share) => (left -= share) < 0)]
    if (trail.length > 400) trail.splice(0, 300)
    try {
      const problem = step?.() ?? null
      if (problem !== null) return failure(problem)
    } catch (error) {
      return failure(error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
  }
  device.dispose?.()
  return null
}

/** A copy of a state with one thing in it replaced. */
function damage(state: unknown, random: Random): unknown {
  const rubbish = (): unknown => random.pick<unknown>([null, -1, 0, 1, 1.5, NaN, Infinity, 2 ** 53, 2 ** 32, 'x', [], {}, true, [1, 2, 3], 5n])
  if (typeof state !== 'object' || state === null || random.chance(0.1)) return rubbish()
  if (ArrayBuffer.isView(state)) return random.chance(0.5) ? rubbish() : new Uint8Array(random.below(64))
  if (Array.isArray(state)) {
    if (state.length === 0) return [rubbish()]
    const at = random.below(state.length)
    return state.map((item: unknown, i) => (i === at ? damage(item, random) : item))
  }
  const entries = Object.entries(state)
  if (entries.length === 0) return rubbish()
  const at = random.below(entries.length)
  return Object.fromEntries(entries.flatMap(([key, item], i) => (i !== at ? [[key, item]] : random.chance(0.2) ? [] : [[key, damage(item, random)]])))
}
