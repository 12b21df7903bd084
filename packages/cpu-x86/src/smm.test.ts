import { describe, expect, test } from 'vitest'
import { EAX, EBX, ECX } from '../test/machine/assembler.ts'
import { place, SmallSystem } from '../test/system/machine.ts'
import { Random } from '../test/host/random.ts'
import { type Interpreter, Vector } from './index.ts'
import { models } from './model/models.ts'

const SMBASE = 0x3_0000
const RSM = [0x0f, 0xaa]
const TF = 0x100

/** One whose handler is code of 16 bits. */
function system(mode: 32 | 64, handler: readonly number[] = RSM, narrow = false): SmallSystem {
  const small = new SmallSystem(mode, narrow ? { model: models.i686 } : {})
  small.cpu.memory.set(handler, SMBASE + 0x8000)
  return small
}
/** What a program can see of a processor. */
const seen = (cpu: Interpreter): unknown => [cpu.rip, cpu.flags, cpu.mode, cpu.privilege, ...Array.from({ length: 16 }, (_, n) => cpu.register(n)), ...[0, 1, 2, 3, 4, 5].map((n) => cpu.selector(n))]
/** All of memory below SMBASE. */
const digest = (cpu: Interpreter): number => cpu.memory.subarray(0, SMBASE).reduce((sum, byte) => Math.imul(sum ^ byte, 0x0100_0193), 0)

describe.each([['64 bits', 64, false], ['32 bits', 32, false], ["32 bits, and has no others", 32, true]] as const)('an SMI of a processor with %s', (_name, mode, narrow) => {
  test('saves the state and begins at SMBASE + 8000H, and RSM goes on as if nothing had been (SDM volume 3, 32.4 and 32.5)', () => {
    const small = system(mode, [0x90, ...RSM], narrow).code((a) => a.set(EAX, 0x1234_5678).raw(...new Array<number>(16).fill(0x90)))
    small.cpu.step()
    const before = seen(small.cpu)
    small.cpu.signal('systemManagement')
    expect(small.cpu.step().kind).toBe('done')
    // The first instruction of the handler is over.
    expect([small.cpu.rip, small.cpu.mode, small.cpu.privilege, small.cpu.flags, small.cpu.selector(1), small.cpu.selector(2)]).toEqual([0x8001n, 16, 0, 2, 0x3000, 0])
    const at = narrow ? { eax: 0x1d0, rip: 0x1f0, smbase: 0xf8 } : { eax: 0x1f8, rip: 0x178, smbase: 0x100 }
    expect([small.word(SMBASE + 0xfe00 + at.eax), small.word(SMBASE + 0xfe00 + at.rip), small.word(SMBASE + 0xfe00 + at.smbase), small.word(SMBASE + 0xfefc)]).toEqual([0x1234_5678, place.code + 5, SMBASE, narrow ? 0x2_0000 : 0x2_0064])
    small.cpu.step()
    expect(seen(small.cpu)).toEqual(before)
  })

  test('may come anywhere in a program, again and again: it ends as without', () => {
    // Pushes, pops, memory, flags, a string operation, an interrupt with IRET, and round again.
    const program = (small: SmallSystem): SmallSystem => {
      small.cpu.memory.set(mode === 64 ? [0xff, 0xc3, 0x48, 0xcf] : [0x43, 0xcf], small.handler(0x40))
      return small.code((a) => a.set(ECX, 5).raw(0x83, 0xc0, 0x7f, 0x50, 0x9c, 0x9d, 0x59, 0xd1, 0xe9, 0x31, 0xc8, 0xfc, 0xbf, 0x00, 0xc0, 0, 0, 0xb9, 5, 0, 0, 0, 0xf3, 0xaa).int(0x40).raw(0xf9, 0x11, 0xc3).jump(place.code))
    }
    const STEPS = 300
    const plain = program(system(mode, RSM, narrow))
    plain.step(STEPS)
    expect(plain.cpu.register(EBX)).not.toBe(0n)
    const random = new Random(7)
    for (let run = 0; run < 4; run++) {
      const small = program(system(mode, RSM, narrow))
      let managed = 0
      for (let step = 0; step < STEPS; step++) {
        if (random.below(4) === 0) {
          small.cpu.signal('systemManagement')
          // RSM alone, then the program's own.
          small.step()
          managed++
        }
        small.step()
      }
      expect(managed).toBeGreaterThan(20)
      expect(seen(small.cpu)).toEqual(seen(plain.cpu))
      expect(digest(small.cpu)).toBe(digest(plain.cpu))
    }
  })

  test('finds SMBASE moved by the handler before it, and registers as that left them (32.11)', () => {
    const offset = narrow ? [0xf8, 0xfe] : [0x00, 0xff]
    const rax = narrow ? [0xd0, 0xff] : [0xf8, 0xff]
    // mov dword [cs:…], 20000h; mov word [cs:…], 4711h; rsm
    const small = system(mode, [0x2e, 0x66, 0xc7, 0x06, ...offset, 0, 0, 2, 0, 0x2e, 0xc7, 0x06, ...rax, 0x11, 0x47, ...RSM], narrow).code((a) => a.raw(...new Array<number>(16).fill(0x90)))
    small.cpu.memory.set([0x90, 0x90], 0x2_8000)
    small.cpu.signal('systemManagement')
    small.step(3)
    expect([small.cpu.rip, small.cpu.register(EAX) & 0xffffn]).toEqual([BigInt(place.code), 0x4711n])
    small.cpu.signal('systemManagement')
    small.step()
    expect([small.cpu.rip, small.cpu.selector(1)]).toEqual([0x8001n, 0x2000])
  })

  test('keeps NMI, INIT and further ones until RSM, and a trap of the instruction before it (32.3.1, 32.8)', () => {
    const small = system(mode, [0x90, 0x90, 0x90, ...RSM], narrow).code((a) => a.raw(...new Array<number>(16).fill(0x90)))
    small.cpu.flags |= TF
    small.cpu.step()
    for (const line of ['systemManagement', 'nonMaskable'] as const) small.cpu.signal(line)
    small.step()
    expect(small.cpu.rip).toBe(0x8001n)
    small.cpu.signal('systemManagement')
    small.cpu.signal('init')
    small.step(2)
    expect([small.cpu.rip, small.cpu.mode]).toEqual([0x8003n, 16])
    // RSM, then the second SMI, which comes before all else.
    small.step(2)
    expect(small.cpu.rip).toBe(0x8001n)
    // INIT is taken when that has ended: it is what is left.
    small.step(3)
    small.cpu.step()
    expect([small.cpu.selector(1), small.cpu.rip >= 0xfff0n]).toEqual([0xf000, true])
    // Without INIT the trap comes, then NMI.
    const other = system(mode, [0x90, ...RSM], narrow).code((a) => a.raw(...new Array<number>(16).fill(0x90)))
    other.cpu.flags |= TF
    other.cpu.step()
    for (const line of ['systemManagement', 'nonMaskable'] as const) other.cpu.signal(line)
    other.step(2)
    expect(other.cpu.rip).toBe(BigInt(place.code + 1))
    other.step()
    expect(other.vector).toBe(Vector.debug)
    other.step()
    expect(other.vector).toBe(Vector.nonMaskable)
  })

  test('ends a HLT, which goes on after RSM unless the handler says otherwise (32.10)', () => {
    const halt = narrow ? [0x02, 0xff] : [0xc9, 0xfe]
    for (const [handler, kind] of [[RSM, 'halted'], [[0x2e, 0xc6, 0x06, ...halt, 0, ...RSM], 'done']] as const) {
      const small = system(mode, handler, narrow).code((a) => a.raw(0xf4, 0x90, 0x90))
      small.step()
      expect(small.cpu.step().kind).toBe('halted')
      small.cpu.signal('systemManagement')
      small.step(handler.length > 2 ? 2 : 1)
      expect([small.cpu.step().kind, small.cpu.rip]).toEqual([kind, BigInt(place.code + (kind === 'done' ? 2 : 1))])
    }
  })
})

test('RSM is #UD elsewhere, and of an area with an impossible state it is shutdown (SDM volume 3, 32.3.2 and volume 2)', () => {
  const small = system(32).code((a) => a.raw(...RSM))
  expect(small.cpu.step()).toMatchObject({ kind: 'exception', vector: Vector.invalidOpcode })
  for (const [at, value] of [[0x158, 0x8000_0000], [0x158, 0x2000_0011], [0x148, 0x8000_0000], [0xd0, 0x400], [0x154, 0x100]] as const) {
    const broken = system(32, [0x90, ...RSM]).code((a) => a.raw(0x90))
    broken.cpu.signal('systemManagement')
    broken.step()
    broken.words(SMBASE + 0xfe00 + at, value)
    broken.step()
    expect(broken.cpu.step().kind, at.toString(16)).toBe('shutdown')
  }
})

test('RSM takes no bits of CR0 that there are not, and no PDPTE with reserved bits (SDM volume 3, 4.4.1)', () => {
  const area = SMBASE + 0xfe00
  const left = (change: (small: SmallSystem) => void): SmallSystem => {
    const small = system(32, [0x90, ...RSM]).code((a) => a.raw(0x0f, 0x20, 0xc0))
    small.cpu.signal('systemManagement')
    small.step()
    change(small)
    small.step()
    return small
  }
  const odd = left((small) => { small.words(area + 0x158, 0x1ff8_0011 | 0x40) })
  odd.step()
  expect(odd.cpu.register(0)).toBe(0x11n)
  for (const [pdpte, ends] of [[0x7, true], [0x2_0001, false], [0x6, false]] as const) {
    const small = left((it) => {
      it.words(area + 0x158, 0x8000_0011)
      it.words(area + 0x148, 0x20)
      it.words(area + 0x150, place.paging)
      it.words(place.paging, pdpte, 0, 0, 0, 0, 0, 0, 0)
      it.words(0x2_0000, 0x83, 0)
    })
    expect([pdpte, small.cpu.step().kind === 'shutdown']).toEqual([pdpte, ends])
  }
})

test('whatever is in the area, the processor goes on with it or is shut down', () => {
  const random = new Random(11)
  let [shutdown, went] = [0, 0]
  for (let run = 0; run < 60; run++) {
    const small = system(run % 2 === 0 ? 64 : 32, [0x90, ...RSM], run % 6 === 1).code((a) => a.raw(0x90))
    small.cpu.signal('systemManagement')
    small.step()
    for (let change = random.below(6); change >= 0; change--) small.cpu.memory[SMBASE + 0xfe00 + random.below(0x200)] = random.bits32()
    small.step()
    const { kind } = small.step(3)
    if (kind === 'shutdown') shutdown++
    else went++
    expect([small.cpu.privilege >= 0, [16, 32, 64].includes(small.cpu.mode)]).toEqual([true, true])
  }
  expect(shutdown).toBeGreaterThan(2)
  expect(went).toBeGreaterThan(2)
})
