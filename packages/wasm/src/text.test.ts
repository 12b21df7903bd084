import wabt from 'wabt'
import { beforeAll, describe, expect, test } from 'vitest'
import { call, type Expr, f32, f32x4, f64, f64x2, functionText, i16x8, i32, i32x4, i64, i64x2, i8x16, memoryCopy, memoryFill, ModuleBuilder, moduleText, readModule, select, v128, type ValueType } from './index.ts'

let tool: Awaited<ReturnType<typeof wabt>>
beforeAll(async () => {
  tool = await wabt()
})

/** What another assembler makes of the text; it writes no names. */
function assemble(text: string): Uint8Array {
  const module = tool.parseWat('text.wat', text, { threads: true, tail_call: true })
  try {
    return module.toBinary({}).buffer
  } finally {
    module.destroy()
  }
}

/** The module's bytes up to the section of names, which is the last. */
function unnamed(bytes: Uint8Array): Uint8Array {
  const names = Buffer.from(bytes).lastIndexOf('\x04name')
  const head = bytes.subarray(0, names).lastIndexOf(0)
  expect(names - head).toBeLessThan(6)
  return bytes.slice(0, head)
}

/** Every operation on numbers, loads and stores among them, once. */
function everyOperation(m: ModuleBuilder): void {
  for (const [type, operations] of Object.entries({ i32, i64, f32, f64 })) {
    for (const [name, operation] of Object.entries(operations)) {
      const make = operation as (...operands: readonly number[]) => Expr
      m.func(`${type}.${name}`, [], 'void', (f) => {
        if (name.startsWith('store')) f.do(make(1, 2, 300) as Expr<'void'>)
        else f.drop(make(1, 2) as Expr<ValueType>)
      })
    }
  }
}

/** Every operation on vectors, once. */
function everyVectorOperation(m: ModuleBuilder): void {
  m.importMemory({ module: 'host', name: 'memory', initial: 1 })
  const numbers: Readonly<Record<string, () => Expr>> = { i8x16: () => i32.const(1), i16x8: () => i32.const(1), i32x4: () => i32.const(1), i64x2: () => i64.const(1), f32x4: () => f32.const(1), f64x2: () => f64.const(1) }
  for (const [shape, operations] of Object.entries({ v128, i8x16, i16x8, i32x4, i64x2, f32x4, f64x2 })) {
    for (const [name, operation] of Object.entries(operations)) {
      const make = operation as (...operands: readonly unknown[]) => Expr
      m.func(`${shape}.${name}`, ['v128'], 'void', (f, v) => {
        if (name === 'store') f.do(make(1, v, 300) as Expr<'void'>)
        else if (name.startsWith('load')) f.drop(make(1, 300) as Expr<ValueType>)
        else if (name === 'const') f.drop(make(1n, 2n ** 63n) as Expr<ValueType>)
        else if (name === 'splat') f.drop(make(numbers[shape]?.()) as Expr<ValueType>)
        else if (name === 'shuffle') f.drop(make(v, v, Array.from({ length: 16 }, (_, i) => 31 - i)) as Expr<ValueType>)
        else if (name.startsWith('extractLane')) f.drop(make(v, 1) as Expr<ValueType>)
        else if (name === 'replaceLane') f.drop(make(v, 1, numbers[shape]?.()) as Expr<ValueType>)
        else if (/^sh[lr]/.test(name)) f.drop(make(v, 3) as Expr<ValueType>)
        else f.drop(make(v, v, v) as Expr<ValueType>)
      })
    }
  }
}

/** Every kind of statement, import and definition. */
function everyStatement(m: ModuleBuilder): void {
  const log = m.importFunction('host', 'log "it"', ['i64', 'f32'], 'void')
  m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 65536, shared: true })
  const level = m.importGlobal('host', 'level', 'f64')
  const count = m.global('i64', -5n)
  const twice = m.func('same', ['i32'], 'i32', (f, a) => f.return(i32.mul(a, 2)))
  const slot = m.tableEntry(twice)
  m.func('same', ['i32', 'i64'], 'i64', (f, a, b) => {
    const c = f.local('i32')
    f.local('f32')
    const d = f.local('i64')
    f.block((out) => {
      f.loop((again) => {
        f.if(i32.eqz(a), () => f.br(out), () => f.brIf(again, c))
        f.if(c, () => f.return(b))
        f.block((two) => {
          f.block((one) => f.brTable(f.tee(c, i32.add(a, 1)), [one, two, again], out))
        })
        f.do(call(log, d, f32.const(0.1)))
        f.do(memoryFill(1, 2, 3))
        f.do(memoryCopy(1, 2, m.callIndirect(['i32'], 'i32', slot, call(twice, a))))
        f.setGlobal(count, i64.add(count, i64.truncSatF64S(level)))
        f.set(d, select('i64', c, -1, d))
      })
    })
    f.unreachable()
  })
  m.func('again', ['i32'], 'i32', (f, a) => m.returnCallIndirect(f, ['i32'], 'i32', slot, a))
  m.export('a "name"', twice)
  m.exportGlobal('count', count)
}

function constants(m: ModuleBuilder): void {
  const integers = [0n, 1n, -1n, 63n, 64n, -64n, -65n, 127n, 128n, 2n ** 31n - 1n, -(2n ** 31n), 2n ** 63n - 1n, -(2n ** 63n), -4096n, 0xffff_ffff_0000_0000n]
  const reals = [0, -0, 1, 0.1, -3.5, 1e300, 5e-324, Infinity, -Infinity, NaN, 3.4028234663852886e38]
  m.func('constants', [], 'void', (f) => {
    for (const value of integers) {
      f.drop(i32.const(BigInt.asIntN(32, value)))
      f.drop(i64.const(value))
    }
    for (const value of reals) {
      f.drop(f32.const(value))
      f.drop(f64.const(value))
    }
  })
}

describe('text', () => {
  test.each([
    ['operations', everyOperation],
    ['operations on vectors', everyVectorOperation],
    ['statements', everyStatement],
    ['constants', constants],
  ])('of all %s is taken back to the same bytes by another assembler', (_, fill) => {
    const m = new ModuleBuilder()
    fill(m)
    const bytes = unnamed(m.toBytes())
    expect(bytes.length).toBeGreaterThan(100)
    expect(assemble(moduleText(m.toBytes()))).toEqual(bytes)
    expect(assemble(moduleText(m.toBytes(), { width: 20 }))).toEqual(bytes)
  })

  test('folds expressions, keeps positions, and takes names', () => {
    const m = new ModuleBuilder()
    const positions: number[] = []
    m.func('sum', ['i32', 'i64'], 'i64', (f, at, sum) => {
      f.loop((again) => {
        positions.push(f.position)
        f.set(sum, i64.add(sum, i64.load(at, 8)))
        positions.push(f.position)
        f.if(i32.ltU(at, 64), () => f.br(again))
      })
      f.return(sum)
    })
    const module = readModule(m.toBytes())
    const options = { locals: new Map([[0, 'at'], [1, 'sum']]), labels: new Map([[0, 'again']]), brief: true }
    const lines = functionText(module, module.functions[0]!, options)
    expect(lines.map(({ depth, text }) => ' '.repeat(depth) + text)).toEqual([
      'loop $again',
      ' (local.set $sum (i64.add (local.get $sum) (i64.load offset=8 (local.get $at))))',
      ' (i32.lt_u (local.get $at) (i32.const 64)) if',
      '  (br $again)',
      ' end',
      'end',
      '(return (local.get $sum))',
      '(unreachable)',
    ])
    expect([lines[1]!.position, lines[2]!.position]).toEqual(positions)
    expect(functionText(module, module.functions[0]!, { ...options, width: 70 })[1]!.text).toBe(
      '(local.set $sum\n  (i64.add (local.get $sum) (i64.load offset=8 (local.get $at))))',
    )
  })

  test('of bytes that no builder wrote is refused', () => {
    expect(() => moduleText(new Uint8Array(8))).toThrow(/no WebAssembly module/)
    const m = new ModuleBuilder()
    everyStatement(m)
    const bytes = m.toBytes()
    for (let length = 9; length < bytes.length; length += 7) {
      // Whole sections may be missing at the end; anything else is noticed.
      try {
        moduleText(bytes.subarray(0, length))
      } catch (error) {
        expect(error).toMatchObject({ name: 'MachinistError', code: 'wasm-module' })
      }
    }
    expect(() => moduleText(Uint8Array.of(...bytes.subarray(0, 8), 10, 5, 1, 3, 0, 0xfe, 0x0b))).toThrow(/instruction 0xfe at byte 0/)
  })
})
