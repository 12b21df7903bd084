import { Random } from '../host/random.ts'
import { type Family, randomCases } from './cases.ts'
import { runHere } from './here.ts'
import { buildImage, type Case } from './image.ts'
import { RECORD, selector } from './layout.ts'
import { knownWords, type Places } from './known.ts'
import { type LongFamily, randomLongCases } from './long-cases.ts'
import { buildLongImage, long, LONG_RECORD } from './long-image.ts'
import { runQemu } from './qemu.ts'

const names = ['cr3', 'cr2', 'cr0', 'ldtr', 'tr', 'ss', 'gs', 'fs', 'es', 'ds', 'edi', 'esi', 'ebp', 'esp', 'ebx', 'edx', 'ecx', 'eax', 'vector', 'error', 'eip', 'cs', 'eflags', 'esp outside', 'ss outside', 'es outside', 'ds outside', 'fs outside', 'gs outside']

/** What a record has, and which bits of its words are not compared. */
interface Format {
  readonly words: number
  readonly names: readonly string[]
  readonly ignored: Readonly<Record<number, number>>
  readonly places: Places
}

/** Where names, a word's each, say that it is; `descriptors` by selector. */
function placesOf(names: readonly string[], ip: string, long: Places['long'], descriptors: readonly (readonly [number, number])[]): Places {
  const at = (name: string): number => names.indexOf(name)
  return { vector: at('vector'), error: at('error'), ip: at(ip), cs: at('cs'), cr0: at('cr0'), long, descriptors: new Map(descriptors.map(([which, word]) => [which >> 3, word])) }
}

function wordsOf(log: Uint8Array, record: number, words: number): number[] {
  const view = new DataView(log.buffer, log.byteOffset + record * words * 4, words * 4)
  return Array.from({ length: words }, (_, i) => view.getUint32(4 * i, true))
}

const RESUME = 1 << 16
/**
 * What is not compared. RF in the flags that a fault pushes, wherever they are in a record, and the accessed bit of descriptors of CS and of SS that a far transfer loads: QEMU sets neither (SDM volume 3,
 * 18.3.1.1 and 3.4.5.1). IP of a 16-bit task that could not be entered, which is in word 59: QEMU's is of the old one. Bit 0 of an error code, EXT, which it often leaves out.
 */
const ignored: Readonly<Record<number, number>> = { 19: 1, 49: 1 << 8, 51: 1 << 8, 53: 1 << 8, 59: -1 }

const protectedFormat: Format = { words: RECORD, names, ignored, places: placesOf(names, 'eip', null, [[selector.subject, 49], [selector.second, 51], [selector.third, 53]]) }
const longNames = ['efer', 'kernel gs', 'gs', 'fs'].flatMap((name) => [`${name} base, high`, `${name} base`]).concat(['cr4', 'cr3', 'cr2', 'cr0', 'ldtr', 'tr', 'ss', 'gs', 'fs', 'es', 'ds'], registerNames(), ['vector', 'error', 'rip', 'cs', 'rflags', 'rsp outside', 'ss outside'])
const LONG_VECTOR = longNames.indexOf('vector')
/** Of the stack beyond the frame, where error codes of before are. */
const LEFT_OVER = Array.from({ length: 16 }, (_, i) => 84 + i)
/** As above; the accessed bits of the two descriptors are words 117 and 121. */
const longWords = longNames.flatMap((name) => [name, `${name}, upper`])
const longFormat: Format = { words: LONG_RECORD, names: longWords, places: placesOf(longWords, 'rip', { upperIp: longWords.indexOf('rip, upper'), stack: [longWords.indexOf('ss'), longWords.indexOf('rsp'), ...Array.from({ length: 8 }, (_, i) => 84 + i)] }, [[long.subject, 117], [long.second, 121]]), ignored: { [2 * LONG_VECTOR + 2]: 1, ...Object.fromEntries(LEFT_OVER.map((word) => [word, 1])), 117: 1 << 8, 121: 1 << 8 } }

function registerNames(): string[] {
  return ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', ...Array.from({ length: 8 }, (_, i) => `r${i + 8}`)]
}

/** Compares random cases of a family with QEMU; returns the first few that differ, in words. */
export function compareWithQemu(family: Family, count: number, seed: number): string[] {
  const cases = randomCases(new Random(seed), family, count)
  return compareImages(cases, buildImage(cases), protectedFormat)
}

/** The same in 64-bit mode. */
export function compareLongWithQemu(family: LongFamily, count: number, seed: number): string[] {
  const cases = randomLongCases(new Random(seed), family, count)
  return compareImages(cases, buildLongImage(cases), longFormat)
}

/** RF, which QEMU does not set, on a stack that is off by a byte, too (beside bit 1 of the flags, which is always set); and its index of a gate in an error code, which in 64-bit mode counts twice (SDM volume 2, INT n: `error_code`). */
function otherwise(value: number, qemu: number): boolean {
  return value === qemu + RESUME || value === qemu + (RESUME << 8) && (value & 2 << 8) !== 0 || (value & 2) !== 0 && qemu === (value >> 3 << 4 | 2)
}

function compareImages(cases: readonly Case[], image: Uint8Array, { words, names, ignored, places }: Format): string[] {
  const here = runHere(image)
  const there = runQemu(image, 'max,vendor=GenuineIntel')
  const found: string[] = []
  const vector = names.indexOf('vector')
  cases.forEach(({ name }, i) => {
    if (found.length >= 10) return
    const size = (i + 1) * words * 4
    if (here.length < size || there.length < size) {
      if (here.length !== there.length) found.push(`${i} ${name}: ended ${here.length < size ? 'here' : 'in QEMU'}`)
      return
    }
    const [a, b] = [wordsOf(here, i, words), wordsOf(there, i, words)]
    const known = knownWords({ here: a, there: b, name }, places)
    const different = a.flatMap((value, at) => {
      const other = b[at] ?? 0
      return known.includes(at) || ((value ^ other) & ~(ignored[at] ?? 0)) === 0 || otherwise(value, other) ? [] : [`${names[at] ?? `word ${at}`} ${value.toString(16)}, QEMU ${other.toString(16)}`]
    })
    if (different.length > 0) found.push(`${i} ${name} (vector ${a[vector]?.toString(16)}; QEMU ${b[vector]?.toString(16)}): ${different.join('; ')}`)
  })
  const whole = cases.length * words * 4
  if (found.length === 0 && (here.length !== whole || there.length !== whole)) found.push(`${here.length} bytes of answer, QEMU ${there.length}, of ${whole}`)
  return found
}
