import { expect, test } from 'vitest'
import { Cause, Mode } from './cause.ts'
import { Csr } from './csr-numbers.ts'
import { Engine } from './engine.ts'
import type { GuestMemory } from '@machinist/memory'
import type { Hart } from './hart.ts'
import { saveHart } from './hart-state.ts'
import { encode, instructions } from './isa/index.ts'
import { RAM, testMachine } from './test-machine.ts'

const li = (rd: number, value: number): number[] => [
  encode('lui', { rd, imm: ((value + 0x800) & 0xffff_f000) | 0 }),
  encode('addiw', { rd, rs1: rd, imm: (value << 20) >> 20 }),
]
/** Without translated code, and with every page of code translated when control arrives in it again. */
const engines = [
  ['interpreted', { translate: 'off' }],
  ['translated', { translate: 'now', hot: 2 }],
] as const

const loop = encode('jal', { rd: 0, imm: 0 })

test.each(engines)('an access of 8 bytes to a device is two of 4, the low one first, at one instant (%s)', (_name, engine) => {
  const t = testMachine(engine)
  const seen: unknown[] = []
  let instant = 0
  t.bus.onAccess = () => { instant += 1 }
  t.bus.attach('counter', 0x1000_0000, 16, 0, {
    read: (_region, offset) => seen.push(['read', offset, instant]) && instant * 16 + offset,
    write: (_region, offset, width, value) => { seen.push(['write', offset, width, value, instant]) },
  })
  t.hart.setX(5, 0x1000_0000n)
  t.program([encode('ld', { rd: 6, rs1: 5 }), encode('lw', { rd: 7, rs1: 5, imm: 4 }), encode('sd', { rs1: 5, rs2: 6, imm: 8 }), loop])
  t.hart.run(10, true)
  expect(seen).toEqual([['read', 0, 1], ['read', 4, 1], ['read', 4, 2], ['write', 8, 4, 16, 3], ['write', 12, 4, 20, 3]])
  expect([t.hart.getX(6), t.hart.getX(7)]).toEqual([(20n << 32n) + 16n, 36n])
})

test('straight arithmetic, and the count of instructions', () => {
  const t = testMachine()
  t.program([...li(5, 1234567), encode('mul', { rd: 6, rs1: 5, rs2: 5 }), loop])
  expect(t.hart.run(3, true)).toBe('budget')
  expect(t.hart.retired).toBe(3)
  expect(t.hart.getX(6)).toBe(1234567n * 1234567n)
  expect(t.hart.record.get64('pc')).toBe(BigInt(RAM + 12))
  t.hart.run(1_000_000, true)
  expect(t.hart.retired).toBe(1_000_003)
})

test.each(engines)('a guest that jumps to itself, traps without end or runs off memory stays within its budget (%s)', (_name, engine) => {
  for (const program of [[loop], [0], [encode('jalr', { rd: 0, rs1: 0 })], [encode('ecall')], [encode('ebreak')]]) {
    const t = testMachine(engine)
    t.program(program)
    expect(t.hart.run(100_000, true)).toBe('budget')
    expect(t.hart.run(100_000, false)).toBe('budget')
  }
})

test.each(engines)('code that changes itself is executed as changed (%s)', (_name, engine) => {
  const t = testMachine(engine)
  // Writes `addi x7, x0, 2` over `addi x7, x0, 1` just ahead, a thousand times with different immediates.
  const body = [
    encode('addi', { rd: 7, rs1: 0, imm: 0 }),
    encode('slli', { rd: 8, rs1: 9, imm: 20 }),
    encode('addi', { rd: 10, rs1: 8, imm: 0x393 }),
    encode('sw', { rs1: 5, rs2: 10, imm: 0 }),
    encode('jal', { rd: 0, imm: 0x100 - 4 * 4 }),
  ]
  t.program([...body, ...Array<number>(0x40 - body.length).fill(0), encode('addi', { rd: 7, rs1: 0, imm: 1 }), encode('add', { rd: 11, rs1: 11, rs2: 7 }), encode('addi', { rd: 9, rs1: 9, imm: 1 }), encode('jal', { rd: 0, imm: -0x10c })])
  t.hart.setX(5, BigInt(RAM + 0x100))
  t.hart.run(9 * 100, true)
  // x11 is the sum of the immediates 0, 1, …, 99.
  expect(t.hart.getX(11)).toBe(4950n)
})

test.each(engines)('DMA into code is seen (%s)', (_name, engine) => {
  const t = testMachine(engine)
  t.program([encode('addi', { rd: 5, rs1: 0, imm: 1 }), encode('jal', { rd: 0, imm: -4 })])
  t.hart.run(100, true)
  t.program([encode('addi', { rd: 5, rs1: 0, imm: 2 })])
  t.hart.run(2, true)
  expect(t.hart.getX(5)).toBe(2n)
})

test.each(engines)('no hart reaches a frame that its page lost, not even the one that runs (%s)', (_name, engine) => {
  const DEVICE = 0x1000_0000
  const PAGES = 8
  const pageAt = (page: number): number => RAM + 0x10_0000 + page * 4096
  const t = testMachine({ ...engine, harts: 3 })
  const model = new Map<number, bigint>()
  let fresh = 1n
  const word = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer)
  const put = (page: number, value: bigint): void => {
    t.memory.write(pageAt(page), word(value))
    model.set(page, value)
  }
  const drop = (page: number): void => {
    t.memory.release(pageAt(page), 4096)
    model.delete(page)
  }
  t.bus.attach('balloon', DEVICE, 4096, 0, {
    read: () => 0,
    write: (_region, _offset, _width, value) => {
      if (value < PAGES) drop(value)
      // Whatever the page had is somebody else's now.
      put(PAGES + (value % PAGES), fresh++)
    },
  })
  t.program([
    encode('ld', { rd: 6, rs1: 5, imm: 0 }), encode('sd', { rs1: 8, rs2: 7, imm: 0 }), encode('sw', { rs1: 10, rs2: 9, imm: 0 }),
    encode('ld', { rd: 11, rs1: 5, imm: 0 }), encode('ld', { rd: 12, rs1: 8, imm: 0 }), loop,
  ])
  let random = 1
  const below = (limit: number): number => (random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0) % 65521 % limit
  for (let round = 0; round < 600; round++) {
    const hart = t.cpu.vcpus[below(3)] ?? t.hart
    const [from, to, lost] = [below(PAGES), below(PAGES), below(2 * PAGES)]
    for (const [register, value] of [[5, pageAt(from)], [8, pageAt(to)], [9, lost], [10, DEVICE]] as const) hart.setX(register, BigInt(value))
    const value = fresh++
    hart.setX(7, value)
    const before = model.get(from) ?? 0n
    hart.record.set64('pc', BigInt(RAM))
    // Not exactly: what is exact at the end of a run does not use the TLB.
    hart.run(20, false)
    // The store came before the release, of whichever page.
    const at = (page: number): bigint => (page === lost ? 0n : page === to ? value : model.get(page) ?? 0n)
    expect([hart.getX(6), hart.getX(11), hart.getX(12)], `round ${round}`).toEqual([before, at(from), at(to)])
    if (to !== lost) model.set(to, value)
    if (below(4) === 0) drop(below(2 * PAGES))
    if (below(4) === 0) put(below(2 * PAGES), fresh++)
    const got = new Uint8Array(8)
    for (let page = 0; page < 2 * PAGES; page++) {
      t.memory.read(pageAt(page), got)
      expect(got, `round ${round}, page ${page}`).toEqual(word(model.get(page) ?? 0n))
    }
  }
})

test.each(engines)('code in a released page is gone, though its frame has code again (%s)', (_name, engine) => {
  const t = testMachine({ ...engine, harts: 2 })
  const [at, other] = [RAM + 0x10_0000, RAM + 0x20_0000]
  const code = (value: number): number[] => [encode('addi', { rd: 5, rs1: 0, imm: value }), encode('jal', { rd: 0, imm: -4 })]
  t.program(code(1), at)
  const go = (hart: Hart, to: number): void => {
    hart.record.set64('pc', BigInt(to))
    hart.run(50, true)
  }
  for (const hart of t.cpu.vcpus) go(hart, at)
  const frame = t.memory.resolve(at)
  t.memory.release(at, 4096)
  t.program(code(2), other)
  expect(t.memory.resolve(other)).toBe(frame)
  const handler = RAM + 0x1000
  t.program([encode('addi', { rd: 6, rs1: 6, imm: 1 }), loop], handler)
  for (const hart of t.cpu.vcpus) {
    hart.record.set64('mtvec', BigInt(handler))
    hart.setX(5, 0n)
    go(hart, at)
    expect([hart.getX(5), hart.getX(6)]).toEqual([0n, 1n])
    go(hart, other)
    expect(hart.getX(5)).toBe(2n)
  }
})

test.each(engines)('an instruction across two pages follows both of them (%s)', (_name, engine) => {
  const t = testMachine(engine)
  const at = RAM + 4096 - 2
  t.memory.write(at, new Uint8Array(Uint32Array.of(encode('addi', { rd: 5, rs1: 5, imm: 3 })).buffer))
  t.memory.write(at + 4, new Uint8Array(Uint32Array.of(encode('jal', { rd: 0, imm: -4 })).buffer))
  t.program([encode('jal', { rd: 0, imm: 4094 })])
  t.hart.run(1 + 20, true)
  expect(t.hart.getX(5)).toBe(30n)
  // The second half alone is replaced.
  t.memory.write(RAM + 4096, new Uint8Array(Uint16Array.of(encode('addi', { rd: 5, rs1: 5, imm: 4 }) >>> 16).buffer))
  t.hart.run(20, true)
  expect(t.hart.getX(5)).toBe(70n)
})

test('traps enter M-mode with cause, value and address', () => {
  const cases: [number[], number, bigint][] = [
    [[0xffff_ffff], Cause.illegalInstruction, 0xffff_ffffn],
    [[encode('ecall')], Cause.ecallFromM, 0n],
    [[encode('ebreak')], Cause.breakpoint, BigInt(RAM + 8)],
    [[encode('ld', { rd: 1, rs1: 0, imm: 64 })], Cause.loadAccess, 64n],
    [[encode('sd', { rs2: 1, rs1: 0, imm: 64 })], Cause.storeAccess, 64n],
    [[encode('lr.d', { rd: 1, rs1: 5 })], Cause.loadMisaligned, BigInt(RAM + 0x1001)],
    [[encode('amoadd.w', { rd: 1, rs1: 5, rs2: 2 })], Cause.storeMisaligned, BigInt(RAM + 0x1001)],
    [[encode('csrrs', { rd: 1, imm: 0x5c0 })], Cause.illegalInstruction, BigInt(encode('csrrs', { rd: 1, imm: 0x5c0 }))],
    [[encode('csrrw', { rd: 0, rs1: 1, imm: Csr.mhartid })], Cause.illegalInstruction, BigInt(encode('csrrw', { rd: 0, rs1: 1, imm: Csr.mhartid }))],
    [[encode('fadd.d', { rd: 1, rs1: 1, rs2: 1 })], Cause.illegalInstruction, BigInt(encode('fadd.d', { rd: 1, rs1: 1, rs2: 1 }))],
  ]
  for (const [program, cause, value] of cases) {
    for (const fast of [true, false]) {
      const t = testMachine()
      t.program([...li(6, RAM + 0x800), ...program])
      t.hart.record.set64('mtvec', BigInt(RAM + 0x800))
      t.hart.setX(5, BigInt(RAM + 0x1001))
      t.program([loop], RAM + 0x800)
      t.hart.run(fast ? 10_000 : 10, !fast)
      expect(t.hart.record.get64('mcause')).toBe(BigInt(cause))
      expect(t.hart.record.get64('mtval')).toBe(value)
      expect(t.hart.record.get64('mepc')).toBe(BigInt(RAM + 8))
      expect(t.hart.record.get64('pc')).toBe(BigInt(RAM + 0x800))
    }
  }
})

/** A generator of numbers in the manner of xorshift. */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state % below
  }
}

/** A random program of about a page that mostly stays inside itself, with data behind it. */
function randomProgram(random: (below: number) => number): Uint8Array {
  const usable = instructions.filter(({ name, extension }) => name !== 'illegal' && name !== 'pause' && extension !== 'priv' && !name.startsWith('csr') && !name.startsWith('cbo'))
  const words = new Uint32Array(1200)
  for (let i = 0; i < words.length; i++) {
    const instruction = usable[random(usable.length)]
    if (!instruction) continue
    const { fields, format } = instruction
    const near = (random(64) - 32) * 4 || 4
    const imm =
      format === 'B' || format === 'J' ? near
      : format === 'U' ? (random(2 ** 20) << 12)
      : fields.has('iimm') && instruction.name === 'jalr' ? random(512) * 4
      : fields.has('iimm') || format === 'S' ? random(2048) - 1024
      : random(64)
    // x5 and x6 hold addresses; x0 to x4 are left alone.
    const memory = /^(f?[ls][bhwd]u?$|lr|sc|amo|jalr)/.test(instruction.name)
    words[i] = encode(instruction.name, { rd: 7 + random(25), rs1: memory ? 5 + random(2) : random(32), rs2: random(32), rs3: random(32), rm: [0, 1, 2, 3, 4, 7][random(6)] ?? 0, imm })
    if (random(10) === 0) words[i] = random(2 ** 16) | (random(2 ** 16) << 16)
  }
  return new Uint8Array(words.buffer)
}

function stateOf(hart: Hart, memory: GuestMemory): unknown {
  return { ...saveHart(hart.record, memory), reservation: null }
}

test('translated code, the interpreter and the precise stepper are the same machine', () => {
  let translated = 0
  for (let seed = 1; seed <= 60; seed++) {
    const runs: unknown[] = []
    for (const engine of ['translated', 'interpreted', 'stepped'] as const) {
      const t = testMachine(engine === 'translated' ? { translate: 'now', hot: 5 } : { translate: 'off' }, 1)
      const random = numbers(seed)
      t.memory.write(RAM, randomProgram(random))
      // Traps go to a handler that skips the instruction and goes on.
      const handler = [
        encode('csrrs', { rd: 3, imm: Csr.mepc }),
        encode('addi', { rd: 3, rs1: 3, imm: 4 }),
        encode('andi', { rd: 3, rs1: 3, imm: 0x7fc }),
        encode('add', { rd: 3, rs1: 3, rs2: 4 }),
        encode('csrrw', { rd: 0, rs1: 3, imm: Csr.mepc }),
        encode('mret'),
      ]
      t.program(handler, RAM + 0x8000)
      const { record } = t.hart
      record.set64('mtvec', BigInt(RAM + 0x8000))
      record.set64('mstatus', record.get64('mstatus') | (3n << 13n) | (3n << 11n) | (1n << 63n))
      for (let i = 7; i < 32; i++) t.hart.setX(i, BigInt.asUintN(64, BigInt(random(2 ** 32)) << BigInt(random(40))))
      for (let i = 0; i < 32; i++) record.set64('f', (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32)), i)
      t.hart.setX(4, BigInt(RAM))
      t.hart.setX(5, BigInt(RAM + 0x9000))
      t.hart.setX(6, BigInt(RAM + 0xafe0))
      t.hart.refresh()
      // The slow way: never enough budget for the fast interpreter.
      const total = 20_000
      if (engine !== 'stepped') t.hart.run(total, true)
      else for (let done = 0; done < total; done += 1000) t.hart.run(1000, true)
      const bytes = new Uint8Array(0xc000)
      t.memory.read(RAM, bytes)
      let hash = 0
      for (const byte of bytes) hash = (Math.imul(hash, 31) + byte) | 0
      if (engine === 'translated') translated += t.cpu.stats['regions'] ?? 0
      runs.push({ seed, state: stateOf(t.hart, t.memory), hash, retired: t.hart.retired })
    }
    expect(runs[1]).toEqual(runs[2])
    expect(runs[0]).toEqual(runs[2])
  }
  expect(translated).toBeGreaterThan(50)
})

test.each(engines)('a hart does not notice that its code is made anew (%s)', (_name, engine) => {
  const [all, some] = [20_000, 700]
  const states = [false, true].map((renew) => {
    const t = testMachine({ ...engine, hot: 2 }, 1)
    const { exports } = Engine.of(t.memory.arena, engine.translate, 2)
    const random = numbers(5)
    t.memory.write(RAM, randomProgram(random))
    t.program([encode('csrrs', { rd: 3, imm: Csr.mepc }), encode('addi', { rd: 3, rs1: 3, imm: 4 }), encode('andi', { rd: 3, rs1: 3, imm: 0x7fc }), encode('add', { rd: 3, rs1: 3, rs2: 4 }), encode('csrrw', { rd: 0, rs1: 3, imm: Csr.mepc }), encode('mret')], RAM + 0x8000)
    const { record } = t.hart
    record.set64('mtvec', BigInt(RAM + 0x8000))
    for (const [register, value] of [[4, RAM], [5, RAM + 0x9000], [6, RAM + 0xafe0]] as const) t.hart.setX(register, BigInt(value))
    t.hart.refresh()
    for (let done = 0; done < all; done += some) {
      t.hart.run(some, true)
      if (renew) t.cpu.renewCode()
    }
    expect(Engine.of(t.memory.arena, engine.translate, 2).exports === exports).toBe(!renew)
    return { state: stateOf(t.hart, t.memory), retired: t.hart.retired }
  })
  expect(states[1]).toEqual(states[0])
})

test('a hart is saved and restored', () => {
  const t = testMachine()
  t.program([encode('addi', { rd: 5, rs1: 5, imm: 1 }), encode('jal', { rd: 0, imm: -4 })])
  t.hart.run(101, true)
  const saved = structuredClone(t.hart.save())
  t.hart.run(100, true)
  const later = t.hart.getX(5)
  t.hart.restore(saved)
  expect(t.hart.getX(5)).toBe(51n)
  t.hart.run(100, true)
  expect(t.hart.getX(5)).toBe(later)
  for (const bad of [null, 1, {}, { ...(saved as object), x: [] }, { ...(saved as object), small: { mode: 2 } }]) {
    expect(() => t.hart.restore(bad)).toThrow(/saved state is not valid/)
  }
})

test('interrupts are taken by priority, when enabled, and wake WFI', () => {
  const t = testMachine()
  t.program([encode('wfi'), encode('addi', { rd: 5, rs1: 5, imm: 1 }), loop])
  t.program([loop], RAM + 0x100)
  const { record } = t.hart
  record.set64('mtvec', BigInt(RAM + 0x100))
  record.set64('mie', 0x888n)
  expect(t.hart.run(100, true)).toBe('halt')
  expect(t.hart.runnable).toBe(false)
  const timer = t.cpu.input('hart0.mtip')
  const software = t.cpu.input('hart0.msip')
  timer?.set(true)
  expect(t.hart.runnable).toBe(true)
  // Globally disabled: WFI ends, and execution goes on.
  t.hart.run(2, true)
  expect(t.hart.getX(5)).toBe(1n)
  software?.set(true)
  record.set64('mstatus', record.get64('mstatus') | 8n)
  t.hart.run(1, true)
  expect(record.get64('mcause')).toBe((1n << 63n) | 3n)
  expect(record.get('mode')).toBe(Mode.machine)
})

test('Sstc: the supervisor timer is pending when time reaches stimecmp', () => {
  const t = testMachine({ firmware: 'sbi' })
  t.program([encode('csrrw', { rd: 0, rs1: 5, imm: Csr.stimecmp }), encode('wfi'), encode('csrrs', { rd: 6, imm: Csr.sip }), loop])
  t.hart.setX(5, 1000n)
  t.hart.record.set64('mie', 0x20n)
  expect(t.hart.run(100, true)).toBe('halt')
  expect(t.hart.deadline()).toBe(100_000)
  t.time = 99_999
  expect(t.hart.runnable).toBe(false)
  t.time = 100_000
  expect(t.hart.runnable).toBe(true)
  t.hart.run(2, true)
  expect(t.hart.getX(6)).toBe(0x20n)
})

test('below our SBI, programs read cycle, time and instret: the vDSO of Linux does so without being told', () => {
  const t = testMachine({ firmware: 'sbi' })
  t.time = 4200
  t.program([encode('csrrs', { rd: 6, imm: Csr.time }), encode('csrrs', { rd: 7, imm: Csr.instret }), encode('csrrs', { rd: 8, imm: Csr.cycle }), loop])
  t.hart.record.set('mode', Mode.user)
  t.hart.restore(t.hart.save())
  t.hart.run(3, true)
  expect([t.hart.getX(6), t.hart.getX(7)]).toEqual([42n, 1n])
  expect(t.hart.record.get64('scause')).toBe(0n)
})
