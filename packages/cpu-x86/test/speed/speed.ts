import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Interpreter } from '../../src/index.ts'

/** Measures programs of kernels.c in 64-bit user code, by hand: bundle it with esbuild and run it. */

const programs = [['sieve', 3], ['crc32', 8], ['sha256', 12_000], ['qsort', 6], ['calls', 200], ['records', 20_000]] as const
const [RSP, RSI, RDI] = [4, 6, 7]
const BASE = 0x40_0000
const SIZE = 0x80_0000

const source = process.argv[2] ?? 'packages/cpu-x86/test/speed/kernels.c'
const directory = mkdtempSync(join(tmpdir(), 'x86-speed-'))
const binary = join(directory, 'kernels')
execFileSync('gcc', ['-O2', '-fno-tree-vectorize', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fcf-protection=none', '-fno-pic', '-no-pie', '-Wl,--build-id=none', '-o', binary, source])
const elf = readFileSync(binary)
rmSync(directory, { recursive: true })

let product = 1
programs.forEach(([name, rounds], which) => {
  const cpu = new Interpreter({ mode: 64, base: BigInt(BASE), size: SIZE })
  const headers = Number(elf.readBigUInt64LE(32))
  for (let i = 0; i < elf.readUInt16LE(56); i++) {
    const at = headers + 56 * i
    if (elf.readUInt32LE(at) !== 1) continue
    const [from, to, bytes] = [Number(elf.readBigUInt64LE(at + 8)), Number(elf.readBigUInt64LE(at + 16)), Number(elf.readBigUInt64LE(at + 32))]
    cpu.memory.set(elf.subarray(from, from + bytes), to - BASE)
  }
  cpu.rip = elf.readBigUInt64LE(24)
  cpu.setRegister(RSP, BigInt(BASE + SIZE - 4096))
  cpu.setRegister(RDI, BigInt(which))
  cpu.setRegister(RSI, BigInt(rounds))
  // V8 takes optimised code up between runs.
  const SLICE = 4_000_000
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
  console.log(name.padEnd(10), `${best.toFixed(0)} MIPS`, `${(total / 1e6).toFixed(0)} million`, `checksum ${cpu.register(0).toString(16)}`)
})
console.log('geometric mean', (product ** (1 / programs.length)).toFixed(0))
