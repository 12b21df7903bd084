import { describe, expect, test } from 'vitest'
import { Random } from '../host/random.ts'
import { Paged } from './paged.ts'
import { kinds, Program, regions } from './programs.ts'

const seed = Number(process.env['MACHINIST_SEED'] ?? 1)
const count = Number(process.env['MACHINIST_RUNS'] ?? 60)
const STEPS = 150

function contents(paged: Paged): Buffer {
  return Buffer.concat(regions.map(([base, size]) => {
    const bytes = new Uint8Array(size)
    paged.guest.read(base, bytes)
    return bytes
  }))
}

// Programs that forget what they must (SDM volume 3, 5.10.4) cannot tell whether there is a TLB.
describe('with and without a TLB it is the same', () => {
  for (const kind of kinds) test(kind, () => {
    const paged = new Paged(regions)
    let [hits, accesses, faults] = [0, 0, 0]
    for (let number = 0; number < count; number++) {
      const outcomes = [false, true].map((forgets) => {
        const program = new Program(paged, new Random(seed * 1000 + number), kind, forgets)
        const before = paged.misses
        program.run(STEPS)
        if (!forgets) {
          const mine = program.log.filter((line) => /^(read|write|fetch)/.test(line))
          accesses += mine.length
          faults += mine.filter((line) => line.includes('vector')).length
          hits += mine.filter((line) => !line.includes('vector')).length - (paged.misses - before)
        }
        return { log: program.log, memory: contents(paged) }
      })
      const [with_, without] = outcomes
      const at = with_?.log.findIndex((line, i) => line !== without?.log[i]) ?? -1
      expect(at < 0 ? '' : `program ${number}, step ${at}: ${with_?.log.slice(Math.max(0, at - 8), at + 1).join('\n')}\nwithout: ${without?.log[at]}`).toBe('')
      expect(Buffer.compare(with_?.memory ?? Buffer.alloc(0), without?.memory ?? Buffer.alloc(1)), `memory after program ${number}`).toBe(0)
    }
    // It was of use, and not everything was a fault.
    expect(hits / accesses).toBeGreaterThan(0.05)
    if (kind !== 'none') expect(faults).toBeGreaterThan(count)
  })
})
