import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Interpreter } from '../../src/index.ts'

/** Measures programs of kernels.c in user code of 64 and of 32 bits, by hand: bundle it with esbuild and run it with the path of kernels.c. */

const programs = [['sieve', 3], ['crc32', 8], ['sha256', 12_000], ['qsort', 6], ['calls', 200], ['records', 20_000]] as const
const [RSP, RSI, RDI] = [4, 6, 7]
const BASE = 0x40_0000
const SIZE = 0x80_0000
const STACK = BASE + SIZE - 4096
const LOAD = 1
/** V8 takes optimised code up between runs. */
const SLICE = 4_000_000

function build(mode: 32 | 64): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'x86-speed-'))
  const binary = join(directory, 'kernels')
  const flags = ['-O2', '-fno-tree-vectorize', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fcf-protection=none', '-fno-pic', '-no-pie', '-Wl,--build-id=none', '-Wl,-Ttext-segment=0x400000']
  execFileSync('gcc', [`-m${mode}`, ...flags, '-o', binary, process.argv[2] ?? 'kernels.c'])
  const elf = readFileSync(binary)
  rmSync(directory, { recursive: true })
  return elf
}

function load(cpu: Interpreter, elf: Buffer, mode: 32 | 64): void {
  const long = mode === 64
  const word = (at: number): number => long ? Number(elf.readBigUInt64LE(at)) : elf.readUInt32LE(at)
  const headers = word(long ? 32 : 28)
  const count = elf.readUInt16LE(long ? 56 : 44)
  for (let i = 0; i < count; i++) {
    const at = headers + (long ? 56 : 32) * i
    if (elf.readUInt32LE(at) !== LOAD) continue
    const [from, to, bytes] = long ? [word(at + 8), word(at + 16), word(at + 32)] : [word(at + 4), word(at + 8), word(at + 16)]
    cpu.memory.set(elf.subarray(from, from + bytes), to - BASE)
  }
  cpu.rip = BigInt(word(24))
}

for (const mode of [64, 32] as const) {
  const elf = build(mode)
  let product = 1
  programs.forEach(([name, rounds], which) => {
    const cpu = new Interpreter({ mode, base: BigInt(BASE), size: SIZE })
    load(cpu, elf, mode)
    cpu.setRegister(RSP, BigInt(STACK))
    if (mode === 64) {
      cpu.setRegister(RDI, BigInt(which))
      cpu.setRegister(RSI, BigInt(rounds))
    } else [which, rounds].forEach((value, i) => { new DataView(cpu.memory.buffer, cpu.memory.byteOffset).setUint32(STACK - BASE + 4 * i, value, true) })
    let [best, total] = [0, 0]
    for (;;) {
      const start = process.cpuUsage()
      const { kind } = cpu.run(SLICE)
      const { user, system } = process.cpuUsage(start)
      if (kind !== 'done') break
      total += SLICE
      best = Math.max(best, SLICE / (user + system))
    }
    product *= best
    console.log(mode, name.padEnd(10), `${best.toFixed(0)} MIPS`, `${(total / 1e6).toFixed(0)} million`, `checksum ${cpu.register(0).toString(16)}`)
  })
  console.log(mode, 'geometric mean', (product ** (1 / programs.length)).toFixed(0))
}
