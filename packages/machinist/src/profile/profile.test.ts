import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encode } from '@machinist/cpu-riscv/isa'
import type { MachineSample } from '@machinist/machine'
import { afterAll, expect, test, vi } from 'vitest'
import { main } from '../main.ts'
import { type CpuProfile, ProfileBuilder } from './cpu-profile.ts'
import { SymbolTable } from './symbols.ts'
import { functionTimes } from './top.ts'

const RAM = 0x8000_0000
const folder = mkdtempSync(join(tmpdir(), 'machinist-profile-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

/** What the readers of the format rely on. Returns each sample's functions, outermost first. */
function stacksOf(profile: CpuProfile): string[][] {
  const { nodes, samples, timeDeltas, startTime, endTime } = profile
  const parents = new Map<number, number>()
  nodes.forEach(({ id, children, callFrame }, index) => {
    expect(id).toBe(index + 1)
    expect(typeof callFrame.functionName).toBe('string')
    expect(Number.isInteger(callFrame.lineNumber)).toBe(true)
    for (const child of children) {
      expect(parents.has(child)).toBe(false)
      expect(child).toBeGreaterThan(id)
      parents.set(child, id)
    }
  })
  expect(nodes[0]?.callFrame.functionName).toBe('(root)')
  expect(parents.size).toBe(nodes.length - 1)
  expect(timeDeltas).toHaveLength(samples.length)
  expect(timeDeltas.every((delta) => Number.isInteger(delta) && delta >= 0)).toBe(true)
  expect(startTime).toBeGreaterThan(0)
  expect(startTime + timeDeltas.reduce((a, b) => a + b, 0)).toBe(endTime)
  const hits = new Map<number, number>()
  for (const id of samples) hits.set(id, (hits.get(id) ?? 0) + 1)
  for (const { id, hitCount } of nodes) expect(hitCount).toBe(hits.get(id) ?? 0)
  return samples.map((sample) => {
    const stack: string[] = []
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) stack.unshift(nodes[id - 1]?.callFrame.functionName ?? '?')
    return stack
  })
}

const run = (duration: number, mode: string, ...stack: readonly bigint[]): MachineSample => ({ kind: 'run', duration, hart: 1, instructions: 1, at: { mode, stack } })

test('samples become nodes, durations and names', () => {
  const symbols = new SymbolTable()
  symbols.add('map', Buffer.from('00001000 T f\n00001100 T g\n00001200 D end\n'))
  const builder = new ProfileBuilder(symbols, 1)
  builder.add(run(1_500_400, 'supervisor', 0x1000n, 0x1200n))
  builder.add({ kind: 'idle', duration: 2_000_000 })
  builder.add(run(1_000_200, 'user', 0x3f_ffff_e123n))
  builder.add(run(1_000_400, 'supervisor', 0x1104n))
  builder.add({ kind: 'host', duration: 3000 })
  const profile = builder.build()
  // A return address behind the last instruction of g belongs to g. Each sample is there twice, where it begins and where it ends.
  const stacks = [['(root)', 'g', 'f'], ['(root)', '(idle)'], ['(root)', '0x3fffffe000 (user)'], ['(root)', 'g'], ['(root)', '(host)']]
  expect(stacksOf(profile)).toEqual(stacks.flatMap((stack) => [stack, stack]))
  expect(profile.timeDeltas).toEqual([0, 1500, 0, 2000, 0, 1001, 0, 1000, 0, 3])
  expect(profile.nodes.map(({ callFrame }) => callFrame.url)).toEqual(['', 'guest://supervisor/map', 'guest://supervisor/map', '', 'guest://user/', ''])
  expect(functionTimes(profile).map(({ name, self }) => [name, self])).toEqual([['(idle)', 2000], ['f', 1500], ['0x3fffffe000 (user)', 1001], ['g', 1000], ['(host)', 3]])
})

test('with several harts each is a node', () => {
  const builder = new ProfileBuilder(new SymbolTable(), 2)
  builder.add(run(1000, 'machine', 0x8000_0000n))
  expect(stacksOf(builder.build())[0]).toEqual(['(root)', 'hart 1', '0x80000000 (machine)'])
})

test('a guest that shows new stacks without end does not fill the memory', () => {
  const builder = new ProfileBuilder(new SymbolTable(), 1)
  let address = 0n
  for (let i = 0; i < 5000; i++) builder.add(run(1000, 'user', ...Array.from({ length: 64 }, () => (address += 4096n))))
  const profile = builder.build()
  expect(profile.nodes.length).toBeLessThanOrEqual(250_000)
  expect(profile.samples).toHaveLength(10_000)
  expect(profile.endTime).toBe(5001)
})

test('machinist profile: a machine runs to its end, and its profile shows where', async () => {
  // main calls work twice as long as rest, both by frame pointers, and powers off.
  const [RA, SP, S0, A0, A1] = [1, 2, 8, 10, 11]
  const li = (rd: number, value: number): number[] => [encode('lui', { rd, imm: ((value + 0x800) & 0xffff_f000) | 0 }), encode('addiw', { rd, rs1: rd, imm: (value << 20) >> 20 })]
  const work = [
    encode('addi', { rd: SP, rs1: SP, imm: -16 }), encode('sd', { rs1: SP, rs2: RA, imm: 8 }), encode('sd', { rs1: SP, rs2: S0, imm: 0 }), encode('addi', { rd: S0, rs1: SP, imm: 16 }),
    encode('addi', { rd: A0, rs1: A0, imm: -1 }), encode('bne', { rs1: A0, rs2: 0, imm: -4 }),
    encode('ld', { rd: RA, rs1: SP, imm: 8 }), encode('ld', { rd: S0, rs1: SP, imm: 0 }), encode('addi', { rd: SP, rs1: SP, imm: 16 }), encode('jalr', { rd: 0, rs1: RA }),
  ]
  const code = [
    encode('auipc', { rd: SP, imm: 0x10_000 }),
    ...li(A0, 20_000_000), encode('jal', { rd: RA, imm: 0x100 - 12 }),
    ...li(A0, 10_000_000), encode('jal', { rd: RA, imm: 0x200 - 24 }),
    ...li(A0, 0x5555), ...li(A1, 0x10_0000), encode('sw', { rs1: A1, rs2: A0, imm: 0 }), encode('jal', { rd: 0, imm: 0 }),
  ]
  const image = new Uint32Array(0x100)
  image.set(code)
  image.set(work, 0x100 / 4)
  image.set(work, 0x200 / 4)
  writeFileSync(join(folder, 'code.bin'), image)
  writeFileSync(join(folder, 'code.map'), '80000000 T main\n80000100 T work\n80000200 T rest\n80000300 D end\n')
  writeFileSync(join(folder, 'machine.json'), JSON.stringify({
    version: 1, name: 'bare', memory: [{ name: 'ram', base: RAM, size: 2 ** 20 }],
    cpu: { kind: 'riscv', config: { firmware: 'none', translate: 'off' }, backends: { console: 'null' } },
    devices: { power: { kind: 'syscon', at: 0x10_0000 } }, time: { instructionsPerSecond: 1e8 },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: { file: 'code.bin' } }], entry: RAM },
  }))
  const out = join(folder, 'out.cpuprofile')
  const said: string[] = []
  const stderr = vi.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0)
  try {
    expect(await main(['profile', join(folder, 'machine.json'), '--out', out, '--symbols', join(folder, 'code.map')])).toBe(0)
    expect(said.join('')).toMatch(/out\.cpuprofile: 0\.60 s, \d+ samples\n +6\d\.\d % +0\.\d\d s {2}work {2}machine\/code\.map\n/)
    expect(await main(['profile', join(folder, 'machine.json'), '--out', join(folder, 'no/such/place')])).toBe(1)
    expect(await main(['profile', join(folder, 'machine.json'), '--symbols', join(folder, 'code.bin')])).toBe(1)
  } finally {
    stderr.mockRestore()
  }
  const profile = JSON.parse(readFileSync(out, 'utf8')) as CpuProfile
  const stacks = stacksOf(profile)
  expect(stacks.length).toBeGreaterThan(300)
  const among = (stack: readonly string[]): number => stacks.filter((each) => each.join() === stack.join()).length
  expect(among(['(root)', 'main', 'work']) + among(['(root)', 'main', 'rest'])).toBeGreaterThan(stacks.length - 10)
  const [work0, rest0] = ['work', 'rest'].map((name) => functionTimes(profile).find((each) => each.name === name)?.self ?? 0)
  expect((work0 ?? 0) / (rest0 ?? 1)).toBeCloseTo(2, 1)
})
