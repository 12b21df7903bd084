import { expect, test } from 'vitest'
import { Csr } from '../../csr-numbers.ts'
import { encode } from '../../isa/index.ts'
import { RAM, testMachine } from '../../test-machine.ts'

/** CSRRW and a read of what it left: what the first gives, and the second; null when an access is illegal. */
function exchange(csr: number, value: bigint): readonly [bigint, bigint] | null {
  const { hart, program } = testMachine({ translate: 'off' })
  program([encode('csrrw', { rd: 5, rs1: 6, imm: csr }), encode('csrrs', { rd: 7, rs1: 0, imm: csr })])
  hart.record.set64('mtvec', BigInt(RAM + 0x100))
  hart.setX(6, value)
  hart.run(2, true)
  return hart.record.get64('pc') === BigInt(RAM + 8) ? [hart.getX(5), hart.getX(7)] : null
}

test('misa tells of B with Zba, Zbb and Zbs, and cannot be written', () => {
  const misa = exchange(Csr.misa, 0n)?.[0] ?? 0n
  const letters = Array.from({ length: 26 }, (_, bit) => (misa >> BigInt(bit)) & 1n ? String.fromCharCode(65 + bit) : '').join('')
  expect([letters, misa >> 62n]).toEqual(['ABCDFIMSU', 2n])
  for (const value of [0n, (1n << 64n) - 1n, misa ^ (1n << 2n)]) expect(exchange(Csr.misa, value)).toEqual([misa, misa])
})

test('debug triggers can be asked for, and there are none (Sdtrig 1.0, 5.7.1)', () => {
  const values = [Csr.tselect, Csr.tdata1, Csr.tdata2, Csr.tdata3, Csr.tinfo].map((csr) => exchange(csr, (1n << 64n) - 1n))
  expect(values).toEqual([[0n, 0n], [0n, 0n], [0n, 0n], [0n, 0n], [1n, 1n]])
  // tcontrol and mcontext are for those who have some.
  expect([0x7a5, 0x7a8].map((csr) => exchange(csr, 0n))).toEqual([null, null])
})

test('counters that count nothing are zero, as are the events that they could count (privileged specification, 3.1.10)', () => {
  for (let index = 3; index < 32; index++) for (const csr of [0xb00 + index, 0x320 + index]) expect(exchange(csr, 5n)).toEqual([0n, 0n])
  expect(exchange(Csr.mcountinhibit, (1n << 64n) - 1n)).toEqual([0n, 5n])
  expect(exchange(Csr.mconfigptr, 1n)).toBeNull()
})
