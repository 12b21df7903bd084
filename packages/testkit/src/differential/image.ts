import { encode } from '@machinist/cpu-riscv/isa'
import { CodeBuffer } from './code-buffer.ts'
import { harness, startOfRam, supervisorHandler } from './harness.ts'
import { address, initialCsr, makeWorld, pageTableEntry, type World } from './initial-state.ts'
import { generateUnits, profiles, registerValue } from './instructions.ts'
import {
  CASE_SIZE, CASES, CODE, CODE_SIZE, EDGE_BYTES, HARNESS, inCase, initialCsrs, inSave, MAX_CASES, PTE_SLOTS, RAM_BASE, RECORDS, SAVE_AREA, SCRATCH, SCRATCH_PAGES,
  SUPERVISOR_HANDLER,
} from './memory-map.ts'
import { Random } from '../random.ts'
import { floatValue } from './values.ts'

/** One sequence: it can be made again from these, on any machine. */
export interface CaseKey {
  readonly seed: number
  readonly index: number
  /** Units replaced by no-operations, while looking for a smaller case. */
  readonly dropped?: ReadonlySet<number>
}

/** What is known of a case besides what is in the image. */
export interface CaseInfo {
  readonly key: CaseKey
  readonly world: World
  /** Offsets in bytes at which its units start, and at last the end. */
  readonly units: readonly number[]
}

/** The image ends here: the code comes last. */
export const IMAGE_SIZE: number = CODE + MAX_CASES * CODE_SIZE - RAM_BASE

/** RAM as both sides get it. One is made and used again and again. */
export class Image {
  readonly bytes: Uint8Array = new Uint8Array(IMAGE_SIZE)
  readonly #u32: Uint32Array = new Uint32Array(this.bytes.buffer)
  readonly #u16: Uint16Array = new Uint16Array(this.bytes.buffer)
  /** Bytes in use, from the start. */
  used = 0

  /** Fills the image with cases. All have the same harness, whose choice of registers `variant` decides. */
  build(keys: readonly CaseKey[], variant: number): CaseInfo[] {
    if (keys.length > MAX_CASES) throw new RangeError(`${keys.length} cases; at most ${MAX_CASES} fit`)
    this.bytes.fill(0, 0, Math.max(this.used, CODE - RAM_BASE))
    const random = new Random(variant, 0x6861_726e)
    const spare = random.between(1, 31)
    const swapped = random.pick(registersBut(spare))
    this.#program(RAM_BASE, startOfRam())
    this.#program(HARNESS, harness(spare, swapped))
    this.#program(SUPERVISOR_HANDLER, supervisorHandler(SUPERVISOR_HANDLER))
    for (let page = 0; page < SCRATCH_PAGES; page++) {
      for (let i = 0; i < 1024; i++) this.#u32[at(SCRATCH + page * 4096) / 4 + i] = random.u32()
    }
    this.#u32[at(SAVE_AREA + inSave.count) / 4] = keys.length
    this.used = at(CODE + keys.length * CODE_SIZE)
    return keys.map((key, place) => this.#case(key, place, spare))
  }

  #program(address: number, words: readonly number[]): void {
    words.forEach((word, i) => (this.#u32[at(address) / 4 + i] = word))
  }

  #case(key: CaseKey, place: number, spare: number): CaseInfo {
    const random = new Random(key.seed, key.index)
    const base = at(CASES + place * CASE_SIZE) / 4
    const world = makeWorld(random, place, key)
    const code = new CodeBuffer()
    const put = (offset: number, index: number): void => {
      this.#u32[base + offset / 4 + 2 * index] = random.lo
      this.#u32[base + offset / 4 + 2 * index + 1] = random.hi
    }
    for (let i = 1; i < 32; i++) {
      if (i !== spare && random.chance(i === 2 || (i >= 8 && i < 16) ? 0.55 : 0.3)) code.holdsAddress(i, address(random, world))
      else registerValue(random)
      put(inCase.x, i)
    }
    for (let i = 0; i < 32; i++) {
      floatValue(random)
      put(inCase.f, i)
    }
    initialCsrs.forEach((name, i) => {
      initialCsr(random, world, name)
      put(inCase.csrs, i)
    })
    PTE_SLOTS.forEach((_, i) => {
      pageTableEntry(random, world, i)
      put(inCase.ptes, i)
    })
    for (let i = 0; i < EDGE_BYTES / 8; i++) {
      registerValue(random)
      put(inCase.edges, i)
    }
    // M-mode with MPRV may see its own code's page otherwise than it fetches from it: through page tables, or with what PMP
    // leaves to S- or U-mode. QEMU 7.2 keeps one translation for both, so that a store passes where the fetch did.
    const modifiable = world.mode !== 3 || !(world.translated || world.pmp)
    generateUnits(
      { random, code, mode: world.mode, csrs: world.csrs, spare, near: world.pmp, nowhere: world.nowhere, modifiable, address: () => address(random, world), waitTraps: world.wait },
      random.pick(profiles),
      random.between(6, random.pick([12, 30, 64])),
    )
    const end = code.bytes
    code.word(encode('ecall'))
    for (const unit of key.dropped ?? []) code.halves.fill(1, code.units[unit] ?? 0, code.units[unit + 1] ?? 0)
    this.#u16.set(code.halves.subarray(0, code.length), at(world.codePa) / 2)
    const set = (field: keyof typeof inCase, value: number): void => {
      this.#u32[base + inCase[field] / 4] = value
    }
    set('codeVa', world.codeVa)
    set('codePa', world.codePa)
    set('end', world.pc + end)
    set('endVa', world.codeVa + end)
    set('endPa', world.codePa + end)
    for (const [field, low] of [['codeHighVa', world.codeVa], ['endHighVa', world.codeVa + end]] as const) {
      random.set((low | 0xc000_0000) >>> 0, 0xffff_ffff)
      put(inCase[field], 0)
    }
    return { key, world, units: code.units.map((half) => 2 * half) }
  }

  /** The half-word of code at `offset` bytes from the start of a case. */
  half(info: CaseInfo, offset: number): number {
    return this.#u16[(at(info.world.codePa) + offset) / 2] ?? 0
  }

  /** A 64-bit word of case number `place`. */
  word(place: number, offset: number): bigint {
    const index = (at(CASES + place * CASE_SIZE) + offset) / 4
    return BigInt(this.#u32[index + 1] ?? 0) << 32n | BigInt(this.#u32[index] ?? 0)
  }
}

function registersBut(one: number): number[] {
  return Array.from({ length: 31 }, (_, i) => i + 1).filter((i) => i !== one)
}

/** Offset in the image. */
function at(address: number): number {
  return address - RAM_BASE
}

/** Where records start, in the image. */
export const RECORDS_AT: number = at(RECORDS)

