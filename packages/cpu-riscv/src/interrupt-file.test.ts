import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Csr } from './csr-numbers.ts'
import { riscv } from './cpu.ts'
import { encode } from './isa/index.ts'
import { RAM, testMachine, type TestMachine } from './test-machine.ts'

const SEI = 1n << 9n
const MASK = (1n << 64n) - 1n
const HANDLER = RAM + 0x100

/** An interrupt file as AIA 1.0, 3.8 and 3.9, tell of it: sets of identities, and no regard to speed. */
class Model {
  readonly pending = new Set<number>()
  readonly enabled = new Set<number>()
  readonly identities: number
  select = 0
  delivery = 0
  threshold = 0

  constructor(identities: number) {
    this.identities = identities
  }

  get top(): number {
    const all = [...this.pending].filter((each) => this.enabled.has(each) && (this.threshold === 0 || each < this.threshold))
    return Math.min(Infinity, ...all) === Infinity ? 0 : Math.min(...all)
  }

  get signal(): boolean {
    return this.delivery === 1 && this.top !== 0
  }

  /** Null where the access is illegal. */
  read(csr: number): bigint | null {
    if (csr === Csr.siselect) return BigInt(this.select)
    if (csr === Csr.stopei) return BigInt(this.top) * 0x1_0001n
    if (csr === Csr.stopi) return this.signal ? 0x9_0001n : 0n
    if (this.select === 0x70) return BigInt(this.delivery)
    if (this.select === 0x72) return BigInt(this.threshold)
    if (this.select > 0x70 && this.select < 0x80) return 0n
    if (this.select % 2 === 1 || this.select > 0xff) return null
    if (this.select >= 0x30 && this.select < 0x40) return 0n
    if (this.select < 0x80) return null
    const first = this.select % 0x40 * 32
    return [...this.#array].filter((each) => each >= first && each < first + 64).reduce((sum, each) => sum | 1n << BigInt(each - first), 0n)
  }

  write(csr: number, value: bigint): void {
    if (csr === Csr.siselect) this.select = Number(value & 0x1ffn)
    else if (csr === Csr.stopei) this.pending.delete(this.top)
    else if (this.select === 0x70) this.delivery = Number(value & 1n)
    else if (this.select === 0x72) this.threshold = Number(value % BigInt(2 ** Math.ceil(Math.log2(this.identities))))
    else if (this.select >= 0x80) {
      const first = this.select % 0x40 * 32
      for (let bit = 0; bit < 64; bit++) {
        const identity = first + bit
        if ((value >> BigInt(bit) & 1n) === 0n) this.#array.delete(identity)
        else if (identity >= 1 && identity <= this.identities) this.#array.add(identity)
      }
    }
  }

  get #array(): Set<number> {
    return this.select < 0xc0 ? this.pending : this.enabled
  }
}

function begin(t: TestMachine): void {
  t.cpu.reset('cold', { pc: RAM, args: ['hartid'] })
  t.hart.record.set64('mideleg', 0x222n)
  t.hart.record.set64('mie', SEI)
  t.hart.record.set64('mtvec', BigInt(HANDLER))
}

const value = fc.oneof(fc.bigInt(0n, MASK), fc.nat(63).map((bit) => 1n << BigInt(bit)), fc.bigInt(0n, 300n), fc.constantFrom(0n, MASK))
const select = fc.oneof(fc.constantFrom(0x70, 0x72, 0x80, 0x82, 0x84, 0xc0, 0xc2, 0xc4), fc.nat(0x1ff)).map(BigInt)
const operation = fc.oneof(
  fc.record({ op: fc.constant('message' as const), identity: fc.oneof(fc.nat(200), fc.nat(0xffff_ffff)) }),
  fc.record({ op: fc.constantFrom('csrrw', 'csrrs', 'csrrc'), csr: fc.constantFrom(Csr.sireg, Csr.sireg, Csr.stopei), value, written: fc.boolean() }),
  fc.record({ op: fc.constant('csrrw'), csr: fc.constant(Csr.siselect), value: fc.oneof(select, value), written: fc.constant(true) }),
  fc.record({ op: fc.constant('csrrs'), csr: fc.constant(Csr.stopi), value: fc.constant(0n), written: fc.boolean() }),
  fc.record({ op: fc.constant('snapshot' as const) }),
)

test.each([
  ['interpreted', 255, { translate: 'off' }], ['interpreted', 191, { translate: 'off' }], ['translated', 63, { translate: 'now', hot: 2 }],
] as const)('registers are those of a plain model of the specification, %s, with %d identities', (_name, identities, engine) => {
  let signalled = 0
  let [t, other] = [testMachine({ ...engine, identities }), testMachine({ ...engine, identities })]
  fc.assert(fc.property(fc.array(operation, { minLength: 20, maxLength: 100 }), (operations) => {
    begin(t)
    const model = new Model(identities)
    // Something to see in most runs.
    for (const [register, bits] of [[0x70, 1n], [0xc0, MASK], [0xc2, 0xffffn]] as const) {
      t.hart.file?.write(register, Number(bits & 0xffff_ffffn), Number(bits >> 32n))
      model.select = register
      model.write(Csr.sireg, bits)
    }
    model.select = 0
    for (const each of operations) {
      if (each.op === 'message') {
        t.cpu.input('hart0.simsic')?.send(each.identity)
        if (each.identity >= 1 && each.identity <= identities) model.pending.add(each.identity)
      } else if (each.op === 'snapshot') {
        const state = structuredClone(t.hart.save())
        ;[t, other] = [other, t]
        begin(t)
        t.hart.restore(state)
        expect(t.hart.save()).toEqual(state)
      } else {
        const rs1 = each.written || each.op === 'csrrw' ? 6 : 0
        t.program([encode(each.op, { rd: 5, imm: each.csr, rs1 })])
        t.hart.setX(5, 0xdeadn)
        t.hart.setX(6, each.value)
        t.hart.record.set64('pc', BigInt(RAM))
        t.hart.run(1, true)
        const old = model.read(each.csr)
        // `stopi` is read-only.
        if (old === null || (each.csr === Csr.stopi && rs1 !== 0)) {
          expect([t.hart.record.get64('pc'), t.hart.record.get64('mcause'), t.hart.getX(5)]).toEqual([BigInt(HANDLER), 2n, 0xdeadn])
        } else {
          expect([t.hart.record.get64('pc'), t.hart.getX(5)]).toEqual([BigInt(RAM + 4), old])
          if (rs1 !== 0) model.write(each.csr, each.op === 'csrrw' ? each.value : each.op === 'csrrs' ? old | each.value : old & ~each.value)
        }
      }
      if (model.signal) signalled++
      expect((BigInt(t.hart.record.get('lines')) & SEI) !== 0n).toBe(model.signal)
    }
  }), { numRuns: 30 })
  expect(signalled).toBeGreaterThan(100)
})

test('a message is an interrupt of supervisor mode, also of a hart that waits, and `stopi` says which comes first', () => {
  const t = testMachine({ identities: 63, firmware: 'sbi' })
  t.program([
    encode('wfi'), encode('csrrs', { rd: 5, imm: Csr.scause, rs1: 0 }), encode('csrrs', { rd: 6, imm: Csr.stopi, rs1: 0 }), encode('csrrw', { rd: 7, imm: Csr.stopei, rs1: 0 }),
    encode('csrrs', { rd: 8, imm: Csr.stopi, rs1: 0 }), encode('jal', { rd: 0, imm: 0 }),
  ])
  const { record, file } = t.hart
  record.set64('stvec', BigInt(RAM + 4))
  record.set64('mie', 0x222n)
  record.set64('mstatus', record.get64('mstatus') | 2n)
  expect([t.hart.run(10, true), t.hart.runnable]).toEqual(['halt', false])
  file?.write(0x70, 1, 0)
  t.cpu.input('hart0.simsic')?.send(40)
  expect(t.hart.runnable).toBe(false)
  file?.write(0xc0, 0, 0x100)
  expect(t.hart.runnable).toBe(true)
  t.hart.raiseSoftwareInterrupt()
  t.hart.run(10, true)
  expect([5, 6, 7, 8].map((x) => t.hart.getX(x))).toEqual([1n << 63n | 9n, 0x9_0001n, 0x28_0028n, 0x1_0001n])
})

test('without identities there is no file, no register of it and no input for messages; with them, nobody else drives SEIP', () => {
  const t = testMachine()
  t.hart.record.set64('mtvec', BigInt(HANDLER))
  for (const csr of [Csr.siselect, Csr.sireg, Csr.stopei, Csr.stopi]) {
    t.program([encode('csrrs', { rd: 5, imm: csr, rs1: 0 })])
    t.hart.record.set64('pc', BigInt(RAM))
    t.hart.run(1, true)
    expect(t.hart.record.get64('mcause')).toBe(2n)
    t.hart.record.set64('mcause', 0n)
  }
  const inputs = (cpu: TestMachine['cpu']): boolean[] => ['hart0.simsic', 'hart0.seip', 'hart0.meip'].map((name) => cpu.input(name) !== null)
  expect([inputs(t.cpu), inputs(testMachine({ identities: 63 }).cpu)]).toEqual([[false, true, true], [true, false, true]])
  for (const identities of [64, 62, -1, 2111, 1.5, '63']) expect(() => riscv.configure({ identities }, 'cpu')).toThrow(expect.objectContaining({ code: 'bad-config' }))
})

test('a file that is not one is refused', () => {
  const t = testMachine({ identities: 63 })
  const state = t.hart.save() as { readonly file: Readonly<Record<string, unknown>> }
  for (const file of [undefined, null, {}, { ...state.file, pending: [1] }, { ...state.file, delivery: 2 }, { ...state.file, threshold: 64 }, { ...state.file, select: -1 }, { ...state.file, more: 1 }]) {
    expect(() => { t.hart.restore({ ...state, file }) }).toThrow(expect.objectContaining({ code: 'state' }))
  }
})
