import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { emitSoftfloat, flag, roundingMode } from '@machinist/softfloat'
import { ModuleBuilder } from '@machinist/wasm'
import { afterAll, describe, expect, test } from 'vitest'
import { answerBytes, arithmetic, bench, kindOf, type OperationName, operations, recordBytes, widths } from './harness.ts'
import { Operands, type Width } from './operands.ts'
import { reference } from './reference.ts'

// SOFTFLOAT_CASES and SOFTFLOAT_SEED make longer and other runs.
const seed = Number(process.env['SOFTFLOAT_SEED'] ?? 1)
const scale = Number(process.env['SOFTFLOAT_CASES'] ?? 4000)
const chunk = 50_000

const b = bench(chunk)
const hex = (x: bigint): string => x.toString(16).padStart(16, '0')

/** Before each operation: no flag set, so that exactness must be found out; and NX set, for the fast path. */
const initialFlags = [0, flag.NX]

function operandsOf(index: number): [bigint, bigint, bigint] {
  const at = index * recordBytes
  return [b.records.getBigUint64(at, true), b.records.getBigUint64(at + 8, true), b.records.getBigUint64(at + 16, true)]
}

/** A line per difference between the answers in memory and the wanted ones, at most ten. */
function differences(name: string, width: Width, rm: number, initial: number, count: number, wanted: BigUint64Array): string[] {
  const lines: string[] = []
  for (let i = 0; i < count && lines.length < 10; i++) {
    const result = b.answers[2 * i] ?? -1n
    const flags = b.answers[2 * i + 1] ?? -1n
    const wantedResult = wanted[2 * i] ?? -2n
    const wantedFlags = (wanted[2 * i + 1] ?? -2n) | BigInt(initial)
    if (result === wantedResult && flags === wantedFlags) continue
    const operands = operandsOf(i).map(hex).join(' ')
    lines.push(`${name}${width} rm ${rm} flags ${initial}: ${operands} gave ${hex(result)}/${flags}, not ${hex(wantedResult)}/${wantedFlags}`)
  }
  return lines
}

describe('against exact rational arithmetic', () => {
  for (const width of widths) {
    for (const name of operations) {
      test(`${name} of binary${width} in all rounding modes`, () => {
        const operands = new Operands(seed * 77 + operations.indexOf(name) + width)
        const lines: string[] = []
        for (const rm of Object.values(roundingMode)) {
          const count = Math.min(chunk, Math.ceil(rm === roundingMode.RMM ? scale / 6 : scale / 12))
          operands.fill(b.records, count, width, kindOf(name))
          const wanted = new BigUint64Array(count * 2)
          for (let i = 0; i < count; i++) {
            const answer = reference(name, width, operandsOf(i), rm)
            wanted[2 * i] = answer.result
            wanted[2 * i + 1] = BigInt(answer.flags)
          }
          for (const initial of initialFlags) {
            b.run(width, name, count, rm, initial)
            lines.push(...differences(name, width, rm, initial, count, wanted))
          }
        }
        expect(lines).toEqual([])
      })
    }
  }
})

/** The compiled oracle, or why there is none. */
function buildOracle(): { path: string; folder: string } | { reason: string } {
  if (process.arch !== 'x64') return { reason: `this machine is ${process.arch}, not x86-64` }
  if (spawnSync('gcc', ['--version']).status !== 0) return { reason: 'there is no gcc' }
  const folder = mkdtempSync(join(tmpdir(), 'softfloat-'))
  const path = join(folder, 'oracle')
  execFileSync('gcc', ['-O2', '-o', path, fileURLToPath(new URL('oracle.c', import.meta.url))])
  // Without input it answers nothing, or says what the processor lacks.
  const probe = spawnSync(path, { input: '' })
  if (probe.status === 0) return { path, folder }
  rmSync(folder, { recursive: true })
  return { reason: `the processor has ${probe.stderr.toString().trim()}` }
}

describe("against the host's floating-point unit", () => {
  const oracle = buildOracle()
  if ('reason' in oracle) {
    test.skip(`skipped: ${oracle.reason}`, () => {})
    return
  }
  afterAll(() => rmSync(oracle.folder, { recursive: true }))

  /** Fills the records and asks the oracle about them in one mode. */
  function ask(name: OperationName, width: Width, rm: number, count: number): BigUint64Array {
    const code = operations.indexOf(name) | (width === 32 ? 32 : 0)
    const records = new Uint8Array(b.records.buffer, b.records.byteOffset, count * recordBytes)
    const input = Buffer.concat([Buffer.from(Uint32Array.of(code, rm, count, 0).buffer), records])
    const { stdout, status } = spawnSync('path' in oracle ? oracle.path : '', { input, maxBuffer: 2 ** 30 })
    expect(status).toBe(0)
    expect(stdout.length).toBe(count * answerBytes)
    return new BigUint64Array(stdout.buffer.slice(stdout.byteOffset, stdout.byteOffset + stdout.length))
  }

  for (const width of widths) {
    for (const name of operations) {
      test(`${name} of binary${width}`, () => {
        const operands = new Operands(seed * 1000 + operations.indexOf(name) * 2 + width)
        const lines: string[] = []
        for (let done = 0; done < scale && lines.length === 0; done += chunk) {
          for (const rm of [roundingMode.RNE, roundingMode.RTZ, roundingMode.RDN, roundingMode.RUP]) {
            const count = Math.min(chunk, scale - done)
            operands.fill(b.records, count, width, kindOf(name))
            const wanted = ask(name, width, rm, count)
            for (const initial of initialFlags) {
              b.run(width, name, count, rm, initial)
              lines.push(...differences(name, width, rm, initial, count, wanted))
            }
          }
        }
        expect(lines).toEqual([])
      }, 3_600_000)
    }
  }
})

test('code written in place does what the functions do', () => {
  const operands = new Operands(seed + 5)
  const lines: string[] = []
  const count = 2000
  for (const width of widths) {
    for (const name of arithmetic) {
      for (const rm of Object.values(roundingMode)) {
        operands.fill(b.records, count, width, 'number')
        for (const initial of initialFlags) {
          b.run(width, name, count, rm, initial)
          const wanted = b.answers.slice(0, count * 2)
          b.runInline(width, name, count, rm, initial)
          lines.push(...differences(name, width, rm, initial, count, wanted))
        }
      }
    }
  }
  expect(lines).toEqual([])
})

test('flags are sticky', () => {
  b.records.setFloat64(0, 1, true)
  b.records.setFloat64(8, 0, true)
  b.run(64, 'div', 1, roundingMode.RNE, flag.UF | flag.NV)
  expect(b.answers[0]).toBe(0x7ff0000000000000n)
  expect(b.answers[1]).toBe(BigInt(flag.UF | flag.NV | flag.DZ))
})

test('an address that is none is refused', () => {
  expect(() => emitSoftfloat(new ModuleBuilder(), { flags: -1, nan: 'canonical' })).toThrow(/address/)
})
