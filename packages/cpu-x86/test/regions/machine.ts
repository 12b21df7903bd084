import { createTable } from '@machinist/wasm'
import { CORE } from '@machinist/cpu-core'
import { Exit, RegionCompiler } from '@machinist/translator'
import type { X86Config } from '../../src/cpu.ts'
import { Engine } from '../../src/engine.ts'
import { DenseKey } from '../../src/emit/op-format.ts'
import { lackedBy } from '../../src/model/forms.ts'
import { models } from '../../src/model/models.ts'
import { longMode, testMachine, type TestMachine } from '../../src/test-machine.ts'
import { ENTRY_MAP_BYTES, Regions } from '../../src/translate/regions.ts'

/** What a region may do beyond its budget. */
const SLACK = 1100
const GDT = 0x8000
const MODEL = 'x86-64-v2'
/** The test translates by itself. */
const OPTIONS = { translate: 'off', hot: 1 } as const

/** A processor with RAM, in long mode or flat protected mode, whose memory is its own at the same addresses. */
export function flatMachine(mode: 32 | 64, pc: number, options: Pick<X86Config, 'translate' | 'hot'> = OPTIONS): TestMachine {
  const machine = testMachine({ model: MODEL, ...options }, { ramMiB: 8 })
  const { cpu, memory, hart } = machine
  const start = longMode(memory, pc)
  if (mode === 32) memory.write(GDT + 16, new Uint8Array(BigUint64Array.of(0x00cf_9b00_0000_ffffn, 0x00cf_9300_0000_ffffn).buffer))
  cpu.reset('cold', { pc: 0, args: [], start: mode === 64 ? start : { kind: 'protected', pc, gdt: { base: GDT, limit: 31 }, eax: 0, ebx: 0, esi: 0 } })
  hart.record.set64('cr4', hart.record.get64('cr4') | 0x600n)
  return machine
}

interface Translated {
  readonly page: number
  readonly slot: number
  readonly entries: ReadonlyMap<number, number>
}

/** Executes such a processor by regions where there are any, and else step by step. */
export class RegionMachine {
  readonly machine: TestMachine
  readonly #mode: 32 | 64
  readonly #engine: Engine
  readonly #table = createTable(1)
  readonly #compiler: RegionCompiler
  readonly #regions: Regions
  readonly #translated: Translated[] = []
  /** Steps that regions have done; and how often they were left in which way. */
  steps = 0
  readonly exits: Record<number, number> = {}

  constructor(machine: TestMachine, mode: 32 | 64) {
    this.machine = machine
    this.#mode = mode
    this.#engine = Engine.of(machine.memory.arena, models[MODEL], OPTIONS)
    const { window: { address }, exports } = this.#engine
    this.#regions = new Regions(address, true, lackedBy(models[MODEL]))
    this.#compiler = new RegionCompiler({
      table: this.#table, imports: { host: { memory: machine.memory.arena.memory }, [CORE]: { ...exports } }, prepare: this.#regions.prepare, mode: 'now',
    })
  }

  /** Translates a page, as far as `reached` says. */
  translate(page: number, roots: readonly number[], reached: (offset: number) => boolean = () => true): void {
    const { arena } = this.machine.memory
    const entryMap = arena.allocate(ENTRY_MAP_BYTES)
    const bytes = new Uint8Array(4096)
    this.machine.memory.read(page, bytes)
    this.#compiler.request({
      roots, arrivals: [], ...this.#regions.page(() => new DataView(bytes.buffer), reached, entryMap, this.#mode === 64 ? DenseKey.long : DenseKey.flat),
      ready: (slot, entries) => {
        entries.forEach((offset, number) => { arena.data.setUint16(entryMap + 2 * offset, number + 1, true) })
        this.#translated.push({ page, slot, entries: new Map(entries.map((offset, number) => [offset, number])) })
      },
      failed: (error) => { throw error },
    })
  }

  get size(): number {
    return this.#compiler.stats.bytes
  }

  /** Does so many steps. */
  run(steps: number): void {
    const { hart: { record } } = this.machine
    for (let left = steps; left > 0;) {
      const pc = record.get64('pc')
      const found = left > SLACK && pc < 2n ** 32n ? this.#find(Number(pc)) : null
      if (found === null || record.get('attention') !== 0) {
        this.#crawl(1)
        left--
        continue
      }
      const region = this.#table.get(found.slot) as (entry: number, unit: bigint, budget: number) => number
      const budget = left - SLACK
      // The processor is in the window.
      const rest = region(found.entry, BigInt(found.page), budget)
      const used = budget - rest
      left -= used
      this.steps += used
      record.set64('steps', record.get64('steps') + BigInt(used))
      const exit = record.get('exitKind')
      this.exits[exit] = (this.exits[exit] ?? 0) + 1
      if (exit === Exit.escape || exit === Exit.miss) {
        this.#crawl(1)
        left--
      }
    }
  }

  #crawl(steps: number): void {
    this.machine.hart.run(steps, true)
  }

  #find(pc: number): { readonly slot: number; readonly entry: number; readonly page: number } | null {
    for (const { page, slot, entries } of this.#translated) {
      const entry = page === pc - pc % 4096 ? entries.get(pc - page) : undefined
      if (entry !== undefined) return { slot, entry, page }
    }
    return null
  }
}
