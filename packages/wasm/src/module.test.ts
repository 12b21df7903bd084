import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Bytes, call, compileLater, createMemory, f64, i32, i64, instantiate, memoryFill, ModuleBuilder, select } from './index.ts'
import type { WasmFunction, WasmImports } from './index.ts'

async function load(m: ModuleBuilder, imports: WasmImports = {}): Promise<Record<string, WasmFunction>> {
  return instantiate<Record<string, WasmFunction>>(await compileLater(m.toBytes()), imports)
}

test('constants survive their encoding', async () => {
  await fc.assert(
    fc.asyncProperty(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.integer(), fc.double(), async (big, small, real) => {
      const m = new ModuleBuilder()
      m.export('big', m.func('big', [], 'i64', (f) => f.return(i64.const(big))))
      m.export('small', m.func('small', [], 'i32', (f) => f.return(i32.const(small))))
      m.export('real', m.func('real', [], 'f64', (f) => f.return(f64.const(real))))
      const { big: b, small: s, real: r } = await load(m)
      expect(b?.()).toBe(big)
      expect(s?.()).toBe(small)
      expect(r?.()).toBe(real)
    }),
    { numRuns: 50 },
  )
})

test('loops, blocks, tables of branches and calls', async () => {
  const m = new ModuleBuilder()
  const factorial = m.declare('factorial', ['i64'], 'i64')
  m.define(factorial, (f, n) => {
    f.if(i64.eqz(n), () => f.return(1))
    f.return(i64.mul(n, call(factorial, i64.sub(n, 1))))
  })
  m.export('factorial', factorial)
  const sum = m.func('sum', ['i32'], 'i32', (f, n) => {
    const total = f.local('i32')
    f.block((done) => {
      f.loop((again) => {
        f.brIf(done, i32.eqz(n))
        f.set(total, i32.add(total, n))
        f.set(n, i32.sub(n, 1))
        f.br(again)
      })
    })
    f.return(total)
  })
  m.export('sum', sum)
  const pick = m.func('pick', ['i32'], 'i32', (f, n) => {
    f.block((other) => {
      f.block((two) => {
        f.block((one) => f.brTable(n, [one, two], other))
        f.return(10)
      })
      f.return(20)
    })
    f.return(30)
  })
  m.export('pick', pick)
  const x = await load(m)
  expect(x['factorial']?.(20n as never)).toBe(2432902008176640000n)
  expect(x['sum']?.(100 as never)).toBe(5050)
  expect([0, 1, 2, 99].map((n) => x['pick']?.(n as never))).toEqual([10, 20, 30, 30])
})

test('memory, select, imports, globals and indirect calls', async () => {
  const m = new ModuleBuilder()
  const seen: number[] = []
  const log = m.importFunction('host', 'log', ['i32'], 'void')
  m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 2, shared: true })
  const counter = m.global('i32', 5)
  const twice = m.func('twice', ['i32'], 'i32', (f, a) => f.return(i32.mul(a, 2)))
  const slot = m.tableEntry(twice)
  m.export(
    'run',
    m.func('run', ['i32'], 'i32', (f, at) => {
      f.do(memoryFill(at, 0xab, 4))
      f.do(call(log, i32.load(at)))
      f.do(i64.store32(at, -2n, 4))
      f.do(call(log, i32.load16U(at, 4)))
      f.setGlobal(counter, i32.add(counter, 1))
      f.do(call(log, counter))
      f.return(m.callIndirect(['i32'], 'i32', slot, select('i32', i32.eqz(at), 1, 21)))
    }),
  )
  const memory = createMemory({ initial: 1, maximum: 2, shared: true })
  const x = await load(m, { host: { memory, log: (v: number) => seen.push(v) } })
  expect(x['run']?.(64 as never)).toBe(42)
  expect(seen).toEqual([0xabababab | 0, 0xfffe, 6])
})

test('misuse is refused', () => {
  const m = new ModuleBuilder()
  const f = m.declare('never', [], 'void')
  expect(() => m.toBytes()).toThrow(/never: was declared/)
  m.define(f, () => {})
  expect(() => m.define(f, () => {})).toThrow(/waiting/)
  m.importFunction('a', 'b', [], 'void')
  expect(f.index).toBe(1)
  expect(() => m.importFunction('a', 'c', [], 'void')).toThrow(/after a call/)
})

test('a buffer grows', () => {
  const bytes = new Bytes(1)
  for (let i = 0; i < 1000; i++) bytes.byte(i & 0xff)
  expect(bytes.finish()).toHaveLength(1000)
})
