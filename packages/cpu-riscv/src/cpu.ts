import { type BootEntry, type CountedCpu, type CpuContext, type CpuSpec, type IrqLine, machinistError } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import { recentPages } from '@machinist/cpu-core'
import { frameOf, type GuestMemory, PAGE_CODE, PAGE_SIZE } from '@machinist/memory'
import { HsmState, Sbi } from '@machinist/sbi'
import { Interrupt } from './cause.ts'
import { describeHarts } from './describe.ts'
import { Cluster } from './cluster.ts'
import { Engine } from './engine.ts'
import { Hart } from './hart.ts'
import { MAX_IDENTITIES } from './interrupt-file.ts'

/** Interpreted instructions after which a page is translated unless the configuration says otherwise. */
const HOT = 1_500_000

/** Most harts of one machine. */
export const MAX_HARTS = 64

export interface RiscvConfig {
  /** 1 to {@link MAX_HARTS}. */
  readonly harts: number
  /** `'sbi'`: the built-in SBI serves S-mode, and hart 0 starts there. `'none'`: harts start in M-mode. */
  readonly firmware: 'sbi' | 'none'
  /** Translation of hot code to WebAssembly: in the background (the default), at once, or not at all. */
  readonly translate?: 'later' | 'now' | 'off'
  /** Instructions executed in a page of code, about, after which it is translated; 1 to 2^24. */
  readonly hot?: number
  /**
   * External interrupts that messages can ask for in supervisor mode: 63 to 2047, one less than a multiple of 64. Harts then have Ssaia, and
   * inputs `hartN.simsic` in the place of `hartN.seip` (AIA 1.0, chapters 2 and 3). None, 0, by default.
   */
  readonly identities?: number
}

type Wants = { readonly power: 'power'; readonly console: 'char' }

const inputs: Readonly<Record<string, number>> = {
  meip: Interrupt.meip,
  seip: Interrupt.seip,
  mtip: Interrupt.mtip,
  msip: Interrupt.msip,
}

/** The local interrupt that each input raises, by its cause: messages end as a supervisor external interrupt (AIA 1.0, 3.7). */
const localInterrupts: Readonly<Record<string, number>> = { ...inputs, ssip: Interrupt.ssip, simsic: Interrupt.seip }

/** All harts of a machine. */
export class RiscvCpu implements CountedCpu {
  readonly vcpus: readonly Hart[]
  readonly #engine: Engine
  readonly #cluster: Cluster
  readonly #config: RiscvConfig
  readonly #sbi: Sbi

  constructor(config: RiscvConfig, context: CpuContext<GuestMemory, AddressSpace, Wants>) {
    this.#config = config
    this.#engine = Engine.of(context.memory.arena, config.translate ?? 'later', config.hot ?? HOT)
    this.#cluster = new Cluster(context.memory, context.bus, context.counter, config.harts)
    this.#engine.add(this.#cluster)
    this.vcpus = Array.from(
      { length: config.harts },
      (_, index) => new Hart(this.#engine, this.#cluster, index, () => context.clock.now(), (hart) => this.#sbi.call(hart), config.identities ?? 0, () => this.vcpus),
    )
    this.#sbi = new Sbi({
      harts: this.vcpus,
      memory: context.memory,
      console: context.backends.console,
      powerOff: (status) => context.backends.power.off(status),
      reset: () => context.backends.power.reset(),
    })
    context.counter.onWrite(() => {
      for (const hart of this.vcpus) hart.updateTimeBase()
    })
  }

  /**
   * Instructions executed as translated code, and one at a time by the precise stepper; misses of the TLB; accesses to
   * devices. And for all machines of the arena together: regions translated, refused by the host, and dropped, modules compiled, bytes of WebAssembly written; pages
   * of decoded code held, and evicted so far.
   */
  get stats(): Readonly<Record<string, number>> {
    const { cache, translation } = this.#engine
    const sum = (field: 'regionSteps' | 'slowSteps' | 'tlbMisses'): number => this.vcpus.reduce((total, { record }) => total + record.getNumber(field), 0)
    return {
      translated: sum('regionSteps'),
      stepped: sum('slowSteps'),
      tlbMisses: sum('tlbMisses'),
      deviceAccesses: this.#cluster.deviceAccesses,
      ...translation.stats,
      dropped: cache.dropped,
      codePages: cache.size,
      evicted: cache.evicted,
    }
  }

  input(line: string): IrqLine | null {
    const match = /^hart(\d+)\.(\w+)$/.exec(line)
    const hart = match ? this.vcpus[Number(match[1])] : undefined
    if (!match || !hart) return null
    if (match[2] === 'ssip') {
      // An edge sets the bit; software clears it (ACLINT specification, chapter 4).
      const raise = (): void => hart.raiseSoftwareInterrupt()
      return { set: (level) => (level ? raise() : undefined), pulse: raise, send: () => undefined }
    }
    const { file } = hart
    if (match[2] === 'simsic' && file !== null) return { set: () => undefined, pulse: () => undefined, send: (identity) => file.message(identity) }
    // It has one driver.
    if (match[2] === 'seip' && file !== null) return null
    const code = inputs[match[2] ?? '']
    if (code === undefined) return null
    return {
      set: (level) => hart.setLine(code, level),
      pulse: () => {
        hart.setLine(code, true)
        hart.setLine(code, false)
      },
      send: () => undefined,
    }
  }

  reset(_kind: 'cold' | 'warm', entry: BootEntry): void {
    this.#engine.window.leave()
    for (const hart of this.vcpus) {
      hart.reset(entry.pc)
      entry.args.forEach((arg, i) => hart.setX(10 + i, BigInt(arg === 'hartid' ? hart.index : arg)))
      if (this.#config.firmware === 'none') continue
      if (hart.index === 0) hart.start(BigInt(entry.pc), hart.getX(11))
      else hart.hsm = HsmState.stopped
    }
  }

  renewCode(): void {
    this.#engine.renew()
  }

  recentPages(): readonly number[] {
    return recentPages(this.#cluster.memory, this.#cluster.banks)
  }

  memoryChanged(address: number, length: number): void {
    const { memory, banks } = this.#cluster
    // The page map may have changed: translations hold frames.
    this.#engine.flushBanks(banks)
    for (let at = address - (address % PAGE_SIZE); at < address + length; at += PAGE_SIZE) {
      const entry = memory.entryAddress(at)
      const value = memory.arena.u32[entry >>> 2] ?? 0
      if (entry !== 0 && (value & PAGE_CODE) !== 0) this.#engine.cache.written(frameOf(value), entry, PAGE_SIZE)
    }
  }

  dispose(): void {
    this.#engine.remove(this.#cluster)
    for (const hart of this.vcpus) hart.dispose()
  }
}

/** RV64GC harts with a built-in SBI; see {@link RiscvConfig}. */
export const riscv: CpuSpec<RiscvConfig, GuestMemory, AddressSpace, Wants> = {
  kind: 'riscv',
  stateVersion: 1,
  backends: { power: 'power', console: 'char' },
  configure(input, name) {
    const fail = (field: string, value: unknown, remedy: string): never => {
      throw machinistError({ code: 'bad-config', part: name, value: `${field} = ${String(value)}`, remedy }, 'a setting is not valid')
    }
    if (typeof input !== 'object' || input === null) return fail('configuration', input, 'Give an object.')
    const { harts = 1, firmware = 'sbi', translate = 'later', hot = HOT, identities = 0, ...rest } = input as Record<string, unknown>
    const unknown = Object.keys(rest)[0]
    if (unknown !== undefined) fail(unknown, rest[unknown], 'Settings are harts, firmware, translate, hot and identities.')
    if (typeof harts !== 'number' || !Number.isInteger(harts) || harts < 1 || harts > MAX_HARTS) {
      return fail('harts', harts, `Use a whole number from 1 to ${MAX_HARTS}.`)
    }
    if (firmware !== 'sbi' && firmware !== 'none') return fail('firmware', firmware, "Use 'sbi' or 'none'.")
    if (translate !== 'later' && translate !== 'now' && translate !== 'off') return fail('translate', translate, "Use 'later', 'now' or 'off'.")
    if (typeof hot !== 'number' || !Number.isInteger(hot) || hot < 1 || hot > 2 ** 24) return fail('hot', hot, 'Use a whole number from 1 to 16777216.')
    if (typeof identities !== 'number' || !Number.isInteger(identities) || identities < 0 || identities > MAX_IDENTITIES || (identities > 0 && identities % 64 !== 63)) {
      return fail('identities', identities, `Use one less than a multiple of 64, up to ${MAX_IDENTITIES}, or 0 for none.`)
    }
    return { harts, firmware, translate, hot, identities }
  },
  harts: (config) => config.harts,
  inputReference(line) {
    const [, hart, input = ''] = /^(hart\d+)\.(\w+)$/.exec(line) ?? []
    const cause = localInterrupts[input]
    return hart === undefined || cause === undefined ? null : { ref: hart, cells: [cause] }
  },
  create: (config, context) => new RiscvCpu(config, context),
  describe(config, at, out) {
    if (out.fdt) describeHarts(out.fdt, config, at.timeFrequency)
  },
}
