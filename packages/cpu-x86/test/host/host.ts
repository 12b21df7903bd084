import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EXTENDED_STATE_SIZE } from '../../src/index.ts'

/** As harness.c has them: a page of code, and two of data. */
export const MEMORY_AT = 0x1000_0000n
export const MEMORY_SIZE = 0x3000
export const CODE_SIZE = 0x1000

/** Code to run, and the state to run it in. The code is at the start of the memory. */
export interface Run {
  readonly mode: 32 | 64
  readonly code: Uint8Array
  readonly registers: readonly bigint[]
  readonly flags: number
  /** What the data pages hold. */
  readonly data: Uint8Array
  /** The registers of x87, MMX, SSE and AVX, as `Interpreter.extendedState` has them. */
  readonly extended: Uint8Array
}

/** How it ended: by an exception, #BP among them, `rip` from the start of the code. */
export interface Outcome {
  readonly vector: number
  readonly registers: readonly bigint[]
  readonly flags: number
  readonly rip: number
  readonly data: Uint8Array
  readonly extended: Uint8Array
}

const RECORD = 8 + 16 * 8 + 8 + EXTENDED_STATE_SIZE
const ANSWER = 8 + 16 * 8 + 16 + EXTENDED_STATE_SIZE
const INT3 = 0xcc
const SIGVTALRM = 26

/** Why this host cannot be compared with, or null. */
export function whyNoHost(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return `the host is ${process.platform} on ${process.arch}, not Linux on x86-64`
  return spawnSync('gcc', ['--version']).status === 0 ? null : 'the host has no gcc'
}

/** The instruction sets that the host's processor has, as /proc/cpuinfo names them. */
export function hostFeatures(): ReadonlySet<string> {
  return new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.trim().split(' '))
}

/** Who made the host's processor, as CPUID leaf 0 names them. */
export function hostVendor(): string {
  return /^vendor_id\s*:\s*(\S+)/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'of an unknown maker'
}

/** Builds the harness; call the result with runs, and `dispose` it at the end. */
export function buildHost(): { run(runs: readonly Run[]): Outcome[]; dispose(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-x86-'))
  const program = join(folder, 'harness')
  const source = fileURLToPath(new URL('harness.c', import.meta.url))
  const built = spawnSync('gcc', ['-O1', '-Wall', '-Wextra', '-o', program, source], { encoding: 'utf8' })
  if (built.status !== 0) throw new Error(`harness.c does not build: ${built.stderr}`)
  return {
    run(runs) {
      const input = Buffer.alloc(runs.length * (RECORD + MEMORY_SIZE))
      runs.forEach((run, i) => writeRun(input.subarray(i * (RECORD + MEMORY_SIZE)), run))
      const answerSize = ANSWER + MEMORY_SIZE - CODE_SIZE
      const { stdout, status, signal } = spawnSync(program, { input, maxBuffer: runs.length * answerSize + 1 })
      if (status !== 0) throw new Error(`the harness ended with ${status ?? signal} after ${Math.floor(stdout.length / answerSize)} of ${runs.length} runs`)
      return runs.map((_, i) => readOutcome(stdout.subarray(i * answerSize, (i + 1) * answerSize)))
    },
    dispose: () => rmSync(folder, { recursive: true }),
  }
}

function writeRun(out: Buffer, { mode, code, registers, flags, data, extended }: Run): void {
  out.writeUInt32LE(mode, 0)
  out.writeUInt32LE(code.length, 4)
  registers.forEach((value, i) => out.writeBigUInt64LE(value, 8 + 8 * i))
  out.writeBigUInt64LE(BigInt(flags), 8 + 16 * 8)
  out.set(extended, RECORD - EXTENDED_STATE_SIZE)
  out.fill(INT3, RECORD, RECORD + CODE_SIZE)
  out.set(code, RECORD)
  out.set(data, RECORD + CODE_SIZE)
}

function readOutcome(answer: Buffer): Outcome {
  const signal = answer.readUInt32LE(0)
  if (signal === SIGVTALRM) throw new Error('the code did not end within 20 s of CPU time')
  const vector = answer.readUInt32LE(4)
  return {
    vector,
    registers: Array.from({ length: 16 }, (_, i) => answer.readBigUInt64LE(8 + 8 * i)),
    flags: Number(answer.readBigUInt64LE(8 + 16 * 8)),
    rip: Number(answer.readBigInt64LE(8 + 17 * 8)),
    data: answer.subarray(ANSWER),
    extended: answer.subarray(ANSWER - EXTENDED_STATE_SIZE, ANSWER),
  }
}
