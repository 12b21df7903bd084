import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildHostEngine } from '@machinist/host-metal/build'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prepareEngine } from '../../src/metal/engine.ts'
import { arithmetic } from './arithmetic.ts'
import { calls } from './calls.ts'
import { type Excused, excused, excuseFor } from './excused.ts'
import { type Outcome, runFile } from './run-file.ts'

/** What runs on bare metal, and so must run in the engine for it: plain ECMAScript. */
const portable = [
  'api', 'memory', 'registers', 'boot', 'packets', 'bus', 'mmu', 'sbi', 'schedulers', 'interrupts', 'devices', 'network', 'display', 'machine', 'virtio', 'storage', 'hypervisor',
]
const packages = fileURLToPath(new URL('../../..', import.meta.url))
/** Engines at once. */
const AT_ONCE = 2

const quick = (name: string): string[] => ['src', 'test'].flatMap((folder) => {
  try {
    return readdirSync(join(packages, name, folder), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.test.ts') && !file.endsWith('.long.test.ts')).sort().map((file) => `${name}/${folder}/${file}`)
  } catch {
    return []
  }
})

let engine = ''
const all: Outcome[] = []
const used = new Set<Excused>()

beforeAll(async () => { engine = await buildHostEngine({ engine: await prepareEngine() }) })

test.each(portable)('the quick tests of %s pass in the engine for bare metal, but for those that are excused', async (name) => {
  const files = quick(name)
  const problems: string[] = []
  const work = async (): Promise<void> => {
    for (let file = files.shift(); file !== undefined; file = files.shift()) {
      const whole = excuseFor(file)
      if (whole !== undefined) {
        used.add(whole)
        continue
      }
      for (const outcome of await runFile(engine, join(packages, file))) {
        all.push(outcome)
        if (outcome.outcome !== 'failed') continue
        const excuse = excuseFor(file, outcome.test)
        if (excuse === undefined) problems.push(`${file}: ${outcome.test}: ${outcome.error}`)
        else used.add(excuse)
      }
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  expect(problems).toEqual([])
})

test.each([['computes, compares and finds properties', arithmetic, 9000], ['calls, throws and remembers', calls, 100]] as const)('the engine for bare metal %s as another one does', (_, program, least) => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-same-'))
  try {
    const script = join(folder, 'script.js')
    writeFileSync(script, program)
    const [ours, other] = [engine, process.execPath].map((each) => execFileSync(each, [script], { encoding: 'utf8', maxBuffer: 1 << 28 }).split('\n'))
    expect(other?.length).toBeGreaterThan(least)
    expect(ours?.filter((line, index) => line !== other?.[index])).toEqual([])
    expect(ours?.length).toBe(other?.length)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the engine for bare metal keeps nothing that is gone', () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-gone-'))
  try {
    const script = join(folder, 'script.js')
    // 5 GiB of each, where the engine has less than 4, of which 32 MiB are there at a time.
    writeFileSync(script, `(() => {
      const text = 'x'.repeat(1 << 25)
      for (let i = 0; i < 150; i++) { const both = Array(2).fill(text.slice(i + 1)); if (both.pop() !== both.pop()) throw new Error('not equal') }
      print('references on the stack')
      for (let i = 0; i < 150; i++) { const made = Object.create({ text: text.slice(i + 1) }); made.own = i }
      print('prototypes')
    })()`)
    expect(execFileSync(engine, [script], { encoding: 'utf8' })).toBe('references on the stack\nprototypes\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('nothing is excused that passes, or is not there', () => {
  expect(excused.filter((each) => !used.has(each))).toEqual([])
  expect(all.length).toBeGreaterThan(500)
})

afterAll(() => {
  const count = (outcome: Outcome['outcome']): number => all.filter((each) => each.outcome === outcome).length
  console.log(`In the engine for bare metal ${count('passed')} of ${all.length} tests pass; ${count('skipped')} are skipped, ${count('failed')} do not. ${excused.filter((each) => each.test === undefined).length} files are not tried.`)
})
