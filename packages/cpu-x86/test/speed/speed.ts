import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestMachine } from '../../src/test-machine.ts'
import { flatMachine } from '../regions/machine.ts'

/** Measures programs of kernels.c in code of 64 and of 32 bits, interpreted and translated, by hand: bundle it with esbuild and run it with the path of kernels.c. Rates are the best of a slice: those of warm code. */

const programs = [['sieve', 3], ['crc32', 8], ['sha256', 12_000], ['qsort', 6], ['calls', 200], ['records', 20_000]] as const
const [RSP, RSI, RDI] = [4, 6, 7]
const STACK = 0x78_0000
const LOAD = 1
/** V8 takes optimised code up between runs. */
const SLICE = 4_000_000
const HOT = 1_500_000

function build(mode: 32 | 64): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'x86-speed-'))
  const binary = join(directory, 'kernels')
  const flags = ['-O2', '-fno-tree-vectorize', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fcf-protection=none', '-fno-pic', '-no-pie', '-Wl,--build-id=none', '-Wl,-Ttext-segment=0x400000']
  execFileSync('gcc', [`-m${mode}`, ...flags, '-o', binary, process.argv[2] ?? 'kernels.c'])
  const elf = readFileSync(binary)
  rmSync(directory, { recursive: true })
  return elf
}

function load(machine: TestMachine, elf: Buffer, mode: 32 | 64): void {
  const long = mode === 64
  const word = (at: number): number => long ? Number(elf.readBigUInt64LE(at)) : elf.readUInt32LE(at)
  const headers = word(long ? 32 : 28)
  const count = elf.readUInt16LE(long ? 56 : 44)
  for (let i = 0; i < count; i++) {
    const at = headers + (long ? 56 : 32) * i
    if (elf.readUInt32LE(at) !== LOAD) continue
    const [from, to, bytes] = long ? [word(at + 8), word(at + 16), word(at + 32)] : [word(at + 4), word(at + 8), word(at + 16)]
    machine.memory.write(to, elf.subarray(from, from + bytes))
  }
  machine.hart.record.set64('pc', BigInt(word(24)))
}

async function main(): Promise<void> {
  for (const mode of [64, 32] as const) {
    const elf = build(mode)
    for (const translate of ['off', 'later'] as const) {
      let product = 1
      for (const [which, [name, rounds]] of programs.entries()) {
        const machine = flatMachine(mode, 0x400000, { translate, hot: HOT })
        const { hart, hart: { record }, memory } = machine
        load(machine, elf, mode)
        record.set64('registers', BigInt(STACK), RSP)
        if (mode === 64) {
          record.set64('registers', BigInt(which), RDI)
          record.set64('registers', BigInt(rounds), RSI)
        } else [which, rounds].forEach((value, i) => { memory.write(STACK + 4 * i, new Uint8Array(Uint32Array.of(value).buffer)) })
        let [best, total] = [0, 0]
        for (;;) {
          const start = process.cpuUsage()
          const before = hart.steps
          const exit = hart.run(SLICE, false)
          const { user, system } = process.cpuUsage(start)
          if (exit !== 'budget') break
          total += SLICE
          best = Math.max(best, (hart.steps - before) / (user + system))
          await new Promise((resolve) => { setImmediate(resolve) })
        }
        product *= best
        const { translated = 0, regions, dropped, bytes } = machine.cpu.stats
        console.log(mode, translate.padEnd(5), name.padEnd(10), `${best.toFixed(0)} MIPS`, `${(total / 1e6).toFixed(0)} million`, `translated ${(100 * translated / hart.steps).toFixed(1)} %, ${regions} regions, ${dropped} dropped, ${bytes} bytes`, `checksum ${record.get64('registers', 0).toString(16)}`)
        machine.cpu.dispose()
      }
      console.log(mode, translate, 'geometric mean', (product ** (1 / programs.length)).toFixed(0))
    }
  }
}

await main()
