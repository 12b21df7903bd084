import { disassemble, floatRegisterNames, registerNames } from '@machinist/cpu-riscv/isa'
import { compareRecords, type Difference } from './compare.ts'
import { Core } from './core.ts'
import { type CaseInfo, type CaseKey, Image } from './image.ts'
import { inCase, initialCsrs, MAX_CASES, PTE_SLOTS } from './memory-map.ts'
import { type Outcome, Qemu } from './qemu.ts'

/** A sequence on which the core and QEMU disagree. */
export interface Mismatch {
  /** The sequence, without the units that do not matter. */
  readonly key: CaseKey
  /** Which harness it ran in. */
  readonly variant: number
  readonly differences: readonly Difference[]
  /** Whether it needs no other sequence before it. */
  readonly alone: boolean
  /** Everything a person needs: how to run it again, its code, the state it started from, and what differs. */
  readonly report: string
}

export interface DifferentialOptions {
  /** The first batch; the next ones count up from here. */
  readonly seed: number
  /** How many sequences. */
  readonly sequences: number
  /** How the core executes; see `Core`. */
  readonly engine?: 'default' | 'translated'
  /** Sequences to a run of QEMU. */
  readonly batch?: number
  /** Milliseconds after which no new batch is begun. */
  readonly time?: number
  /** Stop after so many mismatches. */
  readonly mismatches?: number
  /** Told after each batch, with the mismatches so far. */
  readonly progress?: (done: number, mismatches: readonly Mismatch[]) => void
}

export interface DifferentialResult {
  readonly sequences: number
  /** Sequences that did not end, on both sides. */
  readonly endless: readonly CaseKey[]
  readonly mismatches: readonly Mismatch[]
}

interface Run {
  readonly infos: readonly CaseInfo[]
  readonly qemu: Outcome
  readonly core: Outcome
}

/** Milliseconds: a busy host may well stop QEMU for a second. */
const PATIENCE = 4000

/** Both sides, and an image that passes between them. */
class Pair {
  readonly image: Image = new Image()
  readonly core: Core
  readonly qemu: Qemu = new Qemu()

  constructor(engine: DifferentialOptions['engine'] = 'default') {
    this.core = new Core(engine)
  }

  async run(keys: readonly CaseKey[], variant: number): Promise<Run> {
    const infos = this.image.build(keys, variant)
    const qemu = this.qemu.run(this.image, keys.length, PATIENCE)
    const core = this.core.run(this.image, keys.length)
    return { infos, core, qemu: await qemu }
  }
}

/**
 * Runs random sequences on `@machinist/cpu-riscv` and on QEMU and compares everything that a program can see.
 *
 * @throws an Error when QEMU cannot be run
 */
export async function differential(options: DifferentialOptions): Promise<DifferentialResult> {
  const { seed, sequences, batch = MAX_CASES, time = Infinity, mismatches: most = 5 } = options
  const pair = new Pair(options.engine)
  const mismatches: Mismatch[] = []
  const began = performance.now()
  let done = 0
  const endless: CaseKey[] = []
  try {
    for (let variant = seed; done < sequences && performance.now() - began < time && mismatches.length < most; variant++) {
      const count = Math.min(batch, sequences - done)
      let keys: CaseKey[] = Array.from({ length: count }, (_, index) => ({ seed: variant, index }))
      while (keys.length > 0) {
        const run = await pair.run(keys, variant)
        const completed = Math.min(run.qemu.completed, run.core.completed)
        for (let place = 0; place < completed && mismatches.length < most; place++) {
          const differences = compareRecords(run.qemu.records, run.core.records, place)
          const key = keys[place]
          if (differences.length === 0 || !key) continue
          const mismatch = await investigate(pair, key, variant, differences)
          // After the first, others may follow from the state in which it left memory.
          if (mismatch.alone || !mismatches.some((other) => other.variant === variant)) mismatches.push(mismatch)
        }
        if (mismatches.length >= most) break
        if (completed === keys.length) {
          if (mismatches.length === 0 && !Buffer.from(run.qemu.scratch).equals(Buffer.from(run.core.scratch))) {
            mismatches.push(await scratchMismatch(pair, keys, variant))
          }
          break
        }
        // The one that did not end is left out; the rest goes on after it.
        const stuck = keys[completed]
        if (stuck && run.qemu.completed !== run.core.completed) mismatches.push(await investigate(pair, stuck, variant, []))
        else if (stuck) endless.push(stuck)
        keys = keys.slice(completed + 1)
      }
      done += count
      options.progress?.(done, mismatches)
    }
  } finally {
    pair.qemu.dispose()
  }
  return { sequences: done, endless, mismatches }
}

/**
 * Runs one sequence again; see {@link Mismatch.report} for its numbers.
 *
 * @param engine - how the core executes, as when the report was made
 */
export async function repeat(key: CaseKey, variant: number, engine?: DifferentialOptions['engine']): Promise<Mismatch> {
  const pair = new Pair(engine)
  try {
    const run = await pair.run([key], variant)
    return describe(pair, key, variant, run.infos[0], differencesOf(run, 0))
  } finally {
    pair.qemu.dispose()
  }
}

/**
 * What kind of disagreement it is, so that a sequence is not made smaller until it shows another: the first field that
 * differs in the log of traps, with the causes, or else the first of all.
 */
function kind(differences: readonly Difference[]): string {
  const first = differences.find(({ field }) => field.startsWith('trap ')) ?? differences[0]
  if (!first) return ''
  const name = first.field.replace(/^trap \d+ /, '').replace(/\d.*$/, '')
  return name.endsWith('cause') ? `${name} ${first.qemu} ${first.core}` : name
}

function differencesOf(run: Run, place: number): Difference[] {
  const both = [run.qemu, run.core].map((outcome) => BigInt(Number(outcome.completed > place)))
  if (both[0] !== both[1]) return [{ field: 'reaches its end', qemu: both[0] ?? 0n, core: both[1] ?? 0n }]
  return both[0] === 0n ? [] : compareRecords(run.qemu.records, run.core.records, place)
}

/** Finds a smaller sequence that shows the same, and describes it. */
async function investigate(pair: Pair, key: CaseKey, variant: number, seen: readonly Difference[]): Promise<Mismatch> {
  const alone = await pair.run([key], variant)
  const units = (alone.infos[0]?.units.length ?? 1) - 1
  let best: Difference[] = differencesOf(alone, 0)
  if (best.length === 0) {
    return describe(pair, key, variant, alone.infos[0], seen, 'It agrees when run alone: what differs depends on the sequences before it.')
  }
  const wanted = kind(best)
  const dropped = new Set<number>()
  // One whose end is never reached takes its time, so it is not made smaller.
  for (let progress = best[0]?.field !== 'reaches its end'; progress; ) {
    progress = false
    const candidates = Array.from({ length: units }, (_, i) => i).filter((i) => !dropped.has(i))
    const single = await pair.run(candidates.map((i) => ({ ...key, dropped: new Set([...dropped, i]) })), variant)
    const useless = candidates.filter((_, place) => kind(differencesOf(single, place)) === wanted)
    if (useless.length === 0) break
    // Together they may matter: drop as many of the first as still show it.
    const prefixes = useless.map((_, n) => ({ ...key, dropped: new Set([...dropped, ...useless.slice(0, n + 1)]) }))
    const together = await pair.run(prefixes, variant)
    for (let n = prefixes.length - 1; n >= 0; n--) {
      const differences = differencesOf(together, n)
      if (kind(differences) !== wanted) continue
      for (const unit of useless.slice(0, n + 1)) dropped.add(unit)
      best = differences
      progress = true
      break
    }
  }
  const smallest: CaseKey = { ...key, dropped }
  const last = await pair.run([smallest], variant)
  const differences = differencesOf(last, 0)
  return describe(pair, smallest, variant, last.infos[0], differences.length > 0 ? differences : best, '', seen)
}

/** Memory that no record shows differs after a batch: finds the first sequence after which it does. */
async function scratchMismatch(pair: Pair, keys: readonly CaseKey[], variant: number): Promise<Mismatch> {
  let low = 0
  let high = keys.length
  while (low + 1 < high) {
    const middle = (low + high) >> 1
    const run = await pair.run(keys.slice(0, middle), variant)
    if (Buffer.from(run.qemu.scratch).equals(Buffer.from(run.core.scratch))) low = middle
    else high = middle
  }
  const key = keys[low] ?? { seed: variant, index: low }
  const run = await pair.run([key], variant)
  return describe(pair, key, variant, run.infos[0], [], 'Memory of the scratch pages away from their ends differs after it.')
}

const hex = (value: bigint): string => `0x${value.toString(16)}`

function describe(pair: Pair, key: CaseKey, variant: number, info: CaseInfo | undefined, differences: readonly Difference[], remark: string = '', seen: readonly Difference[] = []): Mismatch {
  const dropped = [...(key.dropped ?? [])]
  const lines = [`seed ${key.seed}, sequence ${key.index}, variant ${variant}, dropped [${dropped.join(',')}]`]
  if (remark) lines.push(remark)
  if (info) {
    const { image } = pair
    const { world } = info
    lines.push(`starts in mode ${world.mode} at ${hex(BigInt(world.pc))}, satp.MODE ${world.translation}`)
    const used = listing(image, info, lines)
    for (const register of used) {
      const isFloat = register.startsWith('f') && floatRegisterNames.includes(register)
      const number = (isFloat ? floatRegisterNames : registerNames).indexOf(register)
      if (number > 0 || isFloat) lines.push(`  ${register} = ${hex(image.word(0, (isFloat ? inCase.f : inCase.x) + 8 * number))}`)
    }
    lines.push(`  ${initialCsrs.map((name, i) => `${name}=${hex(image.word(0, inCase.csrs + 8 * i))}`).join(' ')}`)
    if (world.translation !== 0) lines.push(`  ${PTE_SLOTS.map(([level, index], i) => `table${level}[${index}]=${hex(image.word(0, inCase.ptes + 8 * i))}`).join(' ')}`)
  }
  for (const { field, qemu, core } of differences.slice(0, 24)) lines.push(`  ${field}: QEMU ${hex(qemu)}, core ${hex(core)}`)
  if (seen.length > 0) lines.push(`  the whole sequence: ${seen.slice(0, 3).map(({ field, qemu, core }) => `${field}: QEMU ${hex(qemu)}, core ${hex(core)}`).join('; ')}`)
  if (differences.length > 24) lines.push(`  and ${differences.length - 24} more`)
  return { key, variant, differences, alone: remark === '', report: lines.join('\n') }
}

/** Adds the code to `lines`, without what was dropped; returns the registers that it names. */
function listing(image: Image, info: CaseInfo, lines: string[]): Set<string> {
  const used = new Set<string>()
  const end = info.units.at(-1) ?? 0
  for (let offset = 0; offset < end; ) {
    const word = image.half(info, offset) | image.half(info, offset + 2) << 16
    const { text, length } = disassemble(word, info.world.pc + offset)
    if ((word & 0xffff) !== 1) {
      lines.push(`  ${(info.world.pc + offset).toString(16)}: ${(length === 2 ? word & 0xffff : word >>> 0).toString(16).padStart(2 * length, '0')}  ${text}`)
      for (const name of text.match(/\b[a-z]+[0-9]+\b|\b[sgt]p\b|\bra\b/g) ?? []) used.add(name)
    }
    offset += length
  }
  return used
}
