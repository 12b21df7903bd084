import { machinistError } from '@machinist/api'
import { imageUnsupported } from '../format.ts'
import type { CheckReport, CreateOptions, ResizeOptions } from '../format.ts'

/** Collects what a check finds. */
export class Findings {
  readonly report: { -readonly [Field in keyof CheckReport]: CheckReport[Field] } = { corruptions: 0, leaks: 0, corruptionsFixed: 0, leaksFixed: 0, problems: [] }
  readonly #problems: string[] = []

  corruption(problem: string, fixed: boolean = false): void {
    if (fixed) this.report.corruptionsFixed += 1
    else this.report.corruptions += 1
    this.#note(fixed ? `${problem} (repaired)` : problem)
  }

  leak(problem: string, units: number = 1, fixed: boolean = false): void {
    if (fixed) this.report.leaksFixed += units
    else this.report.leaks += units
    this.#note(fixed ? `${problem} (repaired)` : problem)
  }

  #note(problem: string): void {
    if (this.#problems.length < 100) this.#problems.push(problem)
    this.report.problems = this.#problems
  }
}

/** Checks a new size. Returns false when nothing is to be done. */
export function checkResize(name: string, format: string, from: number, to: number, options: ResizeOptions | undefined): boolean {
  if (!Number.isSafeInteger(to) || to <= 0 || to % 512 !== 0) {
    throw machinistError({ code: 'disk-size', part: name, value: to, remedy: 'Use a positive multiple of 512 bytes' }, 'is not a size for a disk')
  }
  if (to < from) {
    if (options?.shrink !== true) {
      throw machinistError({ code: 'disk-shrink', part: name, value: to, remedy: 'Say that it may shrink; what is beyond the new size is lost' }, `would lose what is beyond, for the disk has ${String(from)} bytes`)
    }
    throw imageUnsupported(name, format, 'making it smaller', 'Make a smaller image and copy the content into it')
  }
  return to !== from
}

/** The parameter of an image that is one of a few words; the first is the default. */
export function choice<Word extends string>(options: CreateOptions, parameter: string, words: readonly [Word, ...Word[]]): Word {
  const given = options.parameters?.[parameter]
  if (given === undefined) return words[0]
  const found = words.find((word) => word === given)
  if (found === undefined) {
    throw machinistError({ code: 'disk-parameter', part: options.name, value: `${parameter}=${given}`, remedy: `Use one of ${words.join(', ')}` }, 'has no such choice')
  }
  return found
}

/** A parameter that is a power of two, in bytes, perhaps with `k`, `M` or `G`. */
export function powerOfTwo(options: CreateOptions, parameter: string, least: number, most: number, otherwise: number): number {
  const given = options.parameters?.[parameter]
  if (given === undefined) return otherwise
  const match = /^(\d{1,12})([kKmMgG]?)$/.exec(given)
  const value = Number(match?.[1] ?? NaN) * 1024 ** ' kmg'.indexOf((match?.[2] ?? '').toLowerCase() || ' ')
  if (!(value >= least && value <= most && Number.isInteger(Math.log2(value)))) {
    throw machinistError({ code: 'disk-parameter', part: options.name, value: `${parameter}=${given}`, remedy: `Use a power of two from ${String(least)} to ${String(most)}` }, 'is not a size of that kind')
  }
  return value
}

/** Checks what every `create` is given. */
export function checkCreate(format: string, size: number, most: number, options: CreateOptions, known: Readonly<Record<string, string>>): void {
  if (!Number.isSafeInteger(size) || size <= 0 || size % 512 !== 0 || size > most) {
    throw machinistError({ code: 'disk-size', part: options.name, value: size, remedy: `Use a positive multiple of 512 bytes, at most ${String(most)}` }, `is not a size for a ${format} image`)
  }
  if (options.backing !== undefined) throw imageUnsupported(options.name, format, 'a new image over another', 'Make an overlay, or an image without a parent')
  for (const parameter of Object.keys(options.parameters ?? {})) {
    if (!Object.hasOwn(known, parameter)) {
      throw machinistError({ code: 'disk-parameter', part: options.name, value: parameter, remedy: `Use ${Object.keys(known).join(', ')}` }, `${format} has no such parameter`)
    }
  }
}

/** Bytes of tables that are held at once when all of one is gone through. */
export const tableChunk: number = 1 << 20
