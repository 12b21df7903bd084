import { legacyRegion } from '../../src/extended-state.ts'
import { EXTENDED_STATE_SIZE } from '../../src/index.ts'
import type { Form } from '../../src/isa/index.ts'
import { isX87 } from '../../src/isa/form.ts'
import { isMmx, isVector } from '../../src/isa/operand.ts'
import type { Run } from './host.ts'
import type { Random } from './random.ts'

/** Whether a form has XMM, YMM or MMX registers. */
export function takesVectors(form: Form): boolean {
  return form.operands.some(({ kind }) => isVector.has(kind) || isMmx.has(kind))
}

/** Whether it has anything of what `randomExtended` makes. */
export function takesExtended(form: Form): boolean {
  return takesVectors(form) || isX87(form) || form.strict
}

const exponentsOf = { 32: { bits: 8n, at: 23n, bias: 127 }, 64: { bits: 11n, at: 52n, bias: 1023 } } as const

/** A random number of a format, of which many are at its borders: zeros, denormals, NaNs of both kinds, ties. */
export function float(random: Random, width: 32 | 64): bigint {
  const { bits, at, bias } = exponentsOf[width]
  const ones = (1n << bits) - 1n
  const sign = BigInt(random.below(2)) << BigInt(width - 1)
  const fractions = [0n, 1n, (1n << at) - 1n, 1n << (at - 1n), random.bits64() & ((1n << at) - 1n), random.bits64() & ((1n << at) - 1n), (random.bits64() & 0xffn) << (at - 8n)]
  const fraction = random.of(fractions)
  switch (random.below(12)) {
    case 0: return sign
    case 1: return sign | fraction
    case 2: return sign | ones << at
    case 3: return sign | ones << at | fraction
    case 4: return sign | 1n << at | fraction
    case 5: return sign | (ones - 1n) << at | fraction
    case 6: return sign | BigInt(bias + random.below(65)) << at | (random.bits64() & ((1n << at) - 1n))
    case 7: return sign | BigInt(random.below(Number(ones))) << at | fraction
    default: return sign | BigInt(bias - 4 + random.below(8)) << at | fraction
  }
}

/** 64 bits as numbers of a format, or anything. */
export function floats(random: Random): bigint {
  switch (random.below(4)) {
    case 0: return random.bits64()
    case 1: return float(random, 64)
    default: return float(random, 32) << 32n | float(random, 32)
  }
}

/** The significand and the sign with the exponent of a number of 80 bits; some are unsupported encodings. */
function extendedNumber(random: Random): [bigint, number] {
  const sign = random.below(2) << 15
  const whole = 1n << 63n
  const any = random.bits64() & (whole - 1n)
  // Among them ties of each precision, and of integers.
  const fraction = random.of([0n, 1n, whole - 1n, whole >> 1n, any, any, (any >> 55n) << 55n, (any >> 40n) << 40n, (any >> 40n) << 40n | 1n << 39n, (any >> 11n) << 11n | 1n << 10n, (any >> 60n) << 60n])
  switch (random.below(14)) {
    case 0: return [0n, sign]
    case 1: return [fraction, sign]
    case 2: return [whole, sign | 0x7fff]
    case 3: return [whole | fraction, sign | 0x7fff]
    case 4: return [random.bits64(), sign | random.below(0x8000)]
    case 5: return [whole | fraction, sign | 1]
    case 6: return [whole | fraction, sign | 0x7ffe]
    case 7: return [whole | random.bits64(), sign | 0x3fff + random.below(66)]
    case 8: return [whole | fraction, sign | random.of([0x3fff - 1023, 0x3fff - 127, 0x3fff + 127, 0x3fff + 1023, 0x3fff + 128, 0x3fff + 1024, 0x3fff - 1075, 0x3fff - 150]) + random.below(3) - 1]
    default: return [whole | fraction, sign | 0x3fff - 4 + random.below(8)]
  }
}

const ALL_MASKED = 0x3f
const SUMMARY_AND_BUSY = 0x8080

/** A random state of the x87 FPU, of SSE and of AVX. Masks are mostly all set, and no x87 exception is pending. With `indices` half of the vectors hold small numbers, of 32 or 64 bits. */
export function randomExtended(random: Random, indices: boolean): Uint8Array {
  const image = new Uint8Array(EXTENDED_STATE_SIZE)
  const view = new DataView(image.buffer)
  const masks = (): number => random.below(3) === 0 ? random.below(64) : ALL_MASKED
  const x87Masks = masks()
  const status = random.below(0x10000) & ~SUMMARY_AND_BUSY
  view.setUint16(legacyRegion.control, x87Masks | 0x40 | random.of([0, 2, 3, 3]) << 8 | random.below(4) << 10, true)
  view.setUint16(legacyRegion.status, (status & ~ALL_MASKED) | (random.below(2) === 0 ? 0 : status & x87Masks), true)
  view.setUint8(legacyRegion.tags, random.below(3) === 0 ? 0xff : random.below(256) | random.below(256))
  // DAZ and FTZ are rare.
  const mode = random.below(4) === 0 ? random.below(4) : 0
  view.setUint32(legacyRegion.mxcsr, (random.below(2) === 0 ? 0 : random.below(64)) | (mode & 1) << 6 | masks() << 7 | random.below(4) << 13 | (mode >> 1) << 15, true)
  for (let i = 0; i < 8; i++) {
    const [significand, exponent] = extendedNumber(random)
    view.setBigUint64(legacyRegion.stack + 16 * i, significand, true)
    view.setUint16(legacyRegion.stack + 16 * i + 8, exponent, true)
  }
  for (let at: number = legacyRegion.vectors; at < legacyRegion.vectors + 256; at += 8) view.setBigUint64(at, floats(random), true)
  for (let at: number = legacyRegion.upper; at < legacyRegion.upper + 256; at += 8) view.setBigUint64(at, floats(random), true)
  if (indices) {
    const small = (): number => random.below(400) - 200
    for (let i = 0; i < 16; i++) {
      const wide = random.below(2) === 0
      if (random.below(2) === 0) for (const from of [legacyRegion.vectors + 16 * i, legacyRegion.upper + 16 * i]) {
        for (let at = from; at < from + 16; at += 8) {
          if (wide) view.setBigInt64(at, BigInt(small()), true)
          else view.setBigInt64(at, BigInt(small()) << 32n | BigInt(small() >>> 0), true)
        }
      }
    }
  }
  return image
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).reverse().toString('hex')

/** What differs, in words. The addresses of the last x87 instruction and operand are not compared: AMD saves them only when an exception is pending. */
export function extendedDifference(run: Run, here: Uint8Array, host: Uint8Array): string[] {
  const wrong: string[] = []
  const compare = (name: string, at: number, bytes: number): void => {
    const [mine, theirs, was] = [here, host, run.extended].map((image) => hex(image.subarray(at, at + bytes)))
    if (mine !== theirs) wrong.push(`${name} ${mine}, host ${theirs}, was ${was}`)
  }
  compare('control', legacyRegion.control, 2)
  compare('status', legacyRegion.status, 2)
  compare('tags', legacyRegion.tags, 1)
  compare('mxcsr', legacyRegion.mxcsr, 4)
  for (let i = 0; i < 8; i++) compare(`st${i}`, legacyRegion.stack + 16 * i, 10)
  for (let i = 0; i < (run.mode === 64 ? 16 : 8); i++) {
    compare(`xmm${i}`, legacyRegion.vectors + 16 * i, 16)
    compare(`ymm${i} upper`, legacyRegion.upper + 16 * i, 16)
  }
  return wrong
}
