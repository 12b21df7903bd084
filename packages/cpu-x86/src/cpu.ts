import { type BootEntry, type CountedCpu, type CpuSpec, type IrqLine, machinistError } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import { Cluster, recentPages, type TranslationMode } from '@machinist/cpu-core'
import type { GuestMemory } from '@machinist/memory'
import { BANKS_PER_HART } from './emit/tlb.ts'
import { Line } from './emit/system/events.ts'
import { Engine } from './engine.ts'
import { type X86Context, X86Hart, type X86Wants } from './hart.ts'
import { cpuid } from './model/cpuid.ts'
import { type ModelName, models } from './model/models.ts'
import { checkedStart } from './start.ts'

/** Most processors of one machine: as many as have an APIC identifier of 8 bits, but for that of all. */
export const MAX_PROCESSORS = 255

/** What {@link x86} processors are. */
export interface X86Config {
  /** 1 to {@link MAX_PROCESSORS}. */
  readonly harts: number
  /** Which instructions and registers they have, and what CPUID tells. */
  readonly model: ModelName
  /** Translation of hot code to WebAssembly: in the background (the default), at once, or not at all. */
  readonly translate?: TranslationMode
  /** Instructions executed in a page of code, about, after which it is translated; 1 to 2^24. */
  readonly hot?: number
}

const modes: ReadonlySet<unknown> = new Set<TranslationMode>(['off', 'later', 'now'])
/** As RISC-V has it. */
const HOT = 1_500_000
const MAX_HOT = 2 ** 24

const edges: Readonly<Record<string, number>> = { nmi: Line.nonMaskable, smi: Line.systemManagement, init: Line.init }

/** All processors of a machine. */
export class X86Cpu implements CountedCpu {
  readonly vcpus: readonly X86Hart[]
  readonly #engine: Engine
  readonly #cluster: Cluster

  constructor({ harts: count, model: name, translate = 'later', hot = HOT }: X86Config, context: X86Context) {
    const model = models[name]
    this.#engine = Engine.of(context.memory.arena, model, { translate, hot })
    this.#cluster = new Cluster(context.memory, context.bus, count * BANKS_PER_HART)
    this.#engine.add(this.#cluster)
    this.vcpus = Array.from({ length: count }, (_, index) => new X86Hart({ engine: this.#engine, cluster: this.#cluster, context, model, index, count, harts: () => this.vcpus }))
    context.counter.onWrite(() => {
      for (const hart of this.vcpus) hart.updateTimeBase()
    })
  }

  /**
   * Instructions executed as translated code; misses of the TLB; accesses to devices by address. And for all machines of the arena together: regions translated, refused by the host, and dropped, modules compiled, bytes of
   * WebAssembly written; pages of decoded code held, and evicted so far.
   */
  get stats(): Readonly<Record<string, number>> {
    const { cache, translation } = this.#engine
    const sum = (field: 'regionSteps' | 'tlbMisses'): number => this.vcpus.reduce((total, { record }) => total + record.getNumber(field), 0)
    return {
      translated: sum('regionSteps'), tlbMisses: sum('tlbMisses'), deviceAccesses: this.#cluster.deviceAccesses,
      ...translation.stats, dropped: cache.dropped, codePages: cache.size, evicted: cache.evicted,
    }
  }

  input(line: string): IrqLine | null {
    const [, number, name = ''] = /^hart(\d+)\.(\w+)$/.exec(line) ?? []
    const hart = number === undefined ? undefined : this.vcpus[Number(number)]
    if (hart === undefined) return null
    const nothing = (): void => undefined
    if (name === 'intr') {
      return {
        set: (level) => { hart.setLine(Line.interrupt, level) },
        pulse: () => {
          hart.setLine(Line.interrupt, true)
          hart.setLine(Line.interrupt, false)
        },
        send: nothing,
      }
    }
    if (name === 'sipi') return { set: nothing, pulse: nothing, send: (vector) => { hart.startUp(vector) } }
    // A20M# (SDM volume 3, 9.7.8): while it is asserted, bit 20 of addresses is 0.
    if (name === 'a20m') {
      return {
        set: (level) => {
          if (hart.maskA20(level)) this.#engine.flushBanks(this.#cluster.banks)
        },
        pulse: nothing, send: nothing,
      }
    }
    const edge = Object.hasOwn(edges, name) ? edges[name] : undefined
    if (edge === undefined) return null
    const raise = (): void => { hart.setLine(edge, true) }
    return { set: (level) => (level ? raise() : undefined), pulse: raise, send: nothing }
  }

  reset(_kind: 'cold' | 'warm', entry: BootEntry): void {
    this.#engine.window.leave()
    const start = checkedStart(entry.start)
    for (const hart of this.vcpus) hart.reset(start)
  }

  renewCode(): void {
    this.#engine.renew()
  }

  recentPages(): readonly number[] {
    return recentPages(this.#cluster.memory, this.#cluster.banks)
  }

  memoryChanged(address: number, length: number): void {
    this.#engine.memoryChanged(this.#cluster, address, length)
  }

  dispose(): void {
    this.#engine.remove(this.#cluster)
    for (const hart of this.vcpus) hart.dispose()
  }
}

/** x86 processors from the 486 to the third level of x86-64; see {@link X86Config}. */
export const x86: CpuSpec<X86Config, GuestMemory, AddressSpace, X86Wants> = {
  kind: 'x86',
  stateVersion: 1,
  backends: { power: 'power', entropy: 'entropy' },
  portSpace: true,
  configure(input, name) {
    const fail = (field: string, value: unknown, remedy: string): never => {
      throw machinistError({ code: 'bad-config', part: name, value: `${field} = ${String(value)}`, remedy }, 'a setting is not valid')
    }
    if (typeof input !== 'object' || input === null) return fail('configuration', input, 'Give an object.')
    const { harts = 1, model = 'x86-64-v2', translate = 'later', hot = HOT, ...rest } = input as Record<string, unknown>
    const unknown = Object.keys(rest)[0]
    if (unknown !== undefined) fail(unknown, rest[unknown], 'Settings are harts, model, translate and hot.')
    if (typeof harts !== 'number' || !Number.isInteger(harts) || harts < 1 || harts > MAX_PROCESSORS) return fail('harts', harts, `Use a whole number from 1 to ${MAX_PROCESSORS}.`)
    if (typeof model !== 'string' || !Object.hasOwn(models, model)) return fail('model', model, `Use one of ${Object.keys(models).join(', ')}.`)
    if (!modes.has(translate)) return fail('translate', translate, 'Use later, now or off.')
    if (typeof hot !== 'number' || !Number.isInteger(hot) || hot < 1 || hot > MAX_HOT) return fail('hot', hot, `Use a whole number from 1 to ${MAX_HOT}.`)
    return { harts, model: model as ModelName, translate: translate as TranslationMode, hot }
  },
  harts: (config) => config.harts,
  create: (config, context) => new X86Cpu(config, context),
  // Programs of these machines learn of processors by other tables than device trees.
  describe({ harts, model }, { timeFrequency }, { acpi }) {
    const [signature, , , features] = cpuid(models[model], 1, 0, { hart: 0, harts, timeFrequency, osxsave: false, xcr0: 0, apic: true })
    acpi?.processors(signature >>> 0, features >>> 0)
  },
}
