import { type CpuSpec, type Exit, machinistError, type TimedCpu, type TimedVcpu } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { GuestMemory } from '@machinist/memory'
import { cpuOf, type FakeAccess, type FakeConfig, FakeHart, fakeCpu } from './fake-cpu.ts'

/** Configuration of the {@link timedCpu}. */
export interface TimedConfig extends FakeConfig {
  /** Processors besides that of the machine's own thread, on which harts run side by side; none, 0, unless given. */
  readonly processors: number
}

/** Instructions between two looks at the clock. */
const STRIDE = 8

/** Away, a hart stops at an access to a device. */
class TimedHart extends FakeHart implements TimedVcpu {
  /** Harts that are away get on; whether one has come back. */
  others: () => boolean = () => false
  goesOn?: (until: number) => boolean
  /** What it would leave for it has done in between, every other time. */
  #stays = false
  #access: FakeAccess | null = null
  #away = false
  /** How its run ended, elsewhere. */
  #came: () => Exit = () => 'budget'
  #until = 0

  run(until: number): Exit {
    this.enter(false)
    while (this.context.clock.now() < until) {
      const exit = this.#stride()
      if (exit !== null && !(exit === 'yield' && this.#mayStay(until))) return exit
      if (this.others()) return 'yield'
    }
    return 'budget'
  }

  #mayStay(until: number): boolean {
    this.#stays = this.#access === null && !this.#stays
    if (!this.#stays || this.goesOn?.(until) !== true || !this.runnable) return false
    this.enter(false)
    return true
  }

  #stride(): Exit | null {
    for (let done = 0; done < STRIDE; done++) {
      const { exit } = this.step()
      if (exit !== null) return exit
      if (this.kicked || this.#access !== null) return 'yield'
    }
    return null
  }

  start(until: number): void {
    this.enter(false)
    this.#until = until
    this.#away = true
  }

  /** Gets on a little elsewhere. True: it comes back. */
  advance(): boolean {
    try {
      const exit = this.kicked ? 'yield' : this.context.clock.now() >= this.#until ? 'budget' : this.#stride()
      if (exit === null) return false
      this.#came = () => exit
    } catch (error) {
      this.#came = () => { throw error }
    }
    this.#away = false
    return true
  }

  finish(): Exit {
    const access = this.#access
    if (access === null) return this.#came()
    this.#access = null
    super.access(access)
    return 'budget'
  }

  protected override access(access: FakeAccess): void {
    if (this.#away) this.#access = access
    else super.access(access)
  }

  override save(): ReturnType<FakeHart['save']> {
    if (this.#away || this.#access !== null) throw new Error('saved while it runs, or in the middle of an access')
    return super.save()
  }
}

/** The {@link fakeCpu} as hardware would be: it goes by the clock, and harts may run elsewhere, side by side. Those that are away get on as a hart runs here, and whenever somebody looks whether one has come back. */
export const timedCpu: CpuSpec<TimedConfig, GuestMemory, AddressSpace, { readonly power: 'power' }> = {
  kind: 'timed',
  stateVersion: 1,
  backends: fakeCpu.backends,
  configure(input, name) {
    const processors = typeof input === 'object' && input !== null && 'processors' in input ? input.processors : 0
    if (typeof processors !== 'number') throw machinistError({ code: 'config', part: `${name}.processors`, remedy: 'Give a number.' }, 'not a number')
    return { ...fakeCpu.configure(input, name), processors }
  },
  harts: (config) => config.harts,
  create({ harts: count, processors }, context): TimedCpu {
    const harts = Array.from({ length: count }, (_, index) => new TimedHart(index, context))
    const away = new Set<TimedHart>()
    const back: TimedHart[] = []
    let runs = false
    const advance = (): boolean => {
      for (const hart of away) {
        if (!hart.advance()) continue
        away.delete(hart)
        back.push(hart)
      }
      return back.length > 0
    }
    for (const hart of harts) hart.others = advance
    return {
      ...cpuOf(harts),
      budget: 'time',
      timeRuns(origin) {
        runs = origin !== null
        if (!runs && away.size > 0) throw new Error('time stands still while harts run')
      },
      ...(processors > 0 && {
        parallel: {
          start(index: number, until: number) {
            const hart = harts[index]
            if (hart === undefined || away.size >= processors) return false
            if (!runs || away.has(hart)) throw new Error('started while time stands still, or twice')
            hart.start(until)
            away.add(hart)
            return true
          },
          exited(wait: boolean) {
            while (!advance() && wait && away.size > 0) { /* They were kicked. */ }
            return back.shift()?.index ?? -1
          },
          finish: (index: number) => harts[index]?.finish() ?? 'budget',
        },
      }),
    }
  },
  describe: (config, at, out) => { fakeCpu.describe(config, at, out) },
}
