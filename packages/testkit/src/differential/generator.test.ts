import { decode, emptyDecoded, instructions } from '@machinist/cpu-riscv/isa'
import { describe, expect, it } from 'vitest'
import { Assembler, loadImmediate } from './assembler.ts'
import { compareRecords } from './compare.ts'
import { Core } from './core.ts'
import { FINISHER, FINISHER_PASS } from './harness.ts'
import { Image } from './image.ts'
import { covered } from './instructions.ts'
import { inRecord, inSave, RAM_BASE, RECORD_SIZE, SAVE_AREA } from './memory-map.ts'
import { Random } from '../random.ts'

describe('the generator of sequences', () => {
  it('covers every instruction of the table that QEMU 7.2 has', () => {
    const missing = instructions.map(({ name }) => name).filter((name) => name !== 'illegal' && !covered.includes(name))
    expect(missing.filter((name) => !/^(cbo\.|czero\.|wrs\.)/.test(name)).sort()).toEqual(['ctzw', 'sfence.inval.ir', 'sfence.w.inval'])
  })

  it('makes the same case of the same key, wherever it stands in the image', () => {
    const image = new Image()
    const key = { seed: 7, index: 3 }
    const [first] = image.build([key], 1)
    const code = (info: typeof first): number[] => Array.from({ length: (info?.units.at(-1) ?? 0) / 2 }, (_, i) => (info ? image.half(info, 2 * i) : 0))
    const alone = code(first)
    const third = image.build([{ seed: 1, index: 0 }, { seed: 2, index: 0 }, key], 1)[2]
    expect(code(third)).toHaveLength(alone.length)
    expect(third?.units).toEqual(first?.units)
  })

  it('loads every constant', () => {
    const random = new Random(5)
    for (let n = 0; n < 2000; n++) {
      random.u64()
      const value = BigInt.asIntN(64, (BigInt(random.hi) << 32n | BigInt(random.lo)) >> BigInt(random.below(64)))
      let register = 0n
      for (const word of loadImmediate(5, value)) {
        const d = decode(word, emptyDecoded())
        const from = d.rs1 === 0 ? 0n : register
        const name = instructions[d.number]?.name
        if (name === 'lui') register = BigInt(d.imm)
        else if (name === 'addi') register = BigInt.asIntN(64, from + BigInt(d.imm))
        else if (name === 'addiw') register = BigInt.asIntN(32, from + BigInt(d.imm))
        else if (name === 'slli') register = BigInt.asIntN(64, from << BigInt(d.imm))
        else throw new Error(`unexpected ${String(name)}`)
      }
      expect(register).toBe(value)
    }
  })
})

describe('the comparison', () => {
  it('sees one bit, names its field, and ignores what a side may choose', () => {
    const a = new Uint8Array(RECORD_SIZE)
    const b = new Uint8Array(RECORD_SIZE)
    expect(compareRecords(a, b, 0)).toEqual([])
    b[inRecord.x + 8 * 10] = 1
    expect(compareRecords(a, b, 0)).toEqual([{ field: 'x10 a0', qemu: 0n, core: 1n }])
    b[inRecord.x + 8 * 10] = 0
    // Bit 61 of menvcfg, the second of the CSRs.
    b[inRecord.csrs + 8 + 7] = 0x20
    expect(compareRecords(a, b, 0)).toEqual([])
  })
})

describe('the core by itself', () => {
  it('is not taken to hang because it gives way at every PAUSE', () => {
    const image = new Image()
    const core = new Core()
    image.build([{ seed: 3, index: 0 }], 3)
    const program = new Assembler(RAM_BASE)
    program.li(5, 100n)
    program.label('round')
    program.op('pause')
    program.op('addi', { rd: 5, rs1: 5, imm: -1 })
    program.to('round', 'bne', { rs1: 5, rs2: 0 })
    // As the harness says that a case is done, and all are.
    program.li(6, BigInt(SAVE_AREA + inSave.index))
    program.li(7, 1n)
    program.op('sd', { rs1: 6, rs2: 7 })
    program.li(6, BigInt(FINISHER))
    program.li(7, BigInt(FINISHER_PASS))
    program.op('sw', { rs1: 6, rs2: 7 })
    program.label('end')
    program.to('end')
    image.bytes.set(new Uint8Array(Uint32Array.from(program.finish()).buffer))
    expect(core.run(image, 1).completed).toBe(1)
  })

  it('does the same whether it runs in long slices or step by step', () => {
    const image = new Image()
    const core = new Core()
    const count = 200
    image.build(Array.from({ length: count }, (_, index) => ({ seed: 99, index })), 99)
    const long = core.run(image, count)
    const short = core.run(image, count, 7)
    expect(long.completed).toBe(count)
    expect(short.completed).toBe(count)
    const differing = Array.from({ length: count }, (_, place) => place).filter((place) => compareRecords(long.records, short.records, place).length > 0)
    expect(differing).toEqual([])
  })
})
