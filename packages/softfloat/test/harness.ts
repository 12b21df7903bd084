import { emitSoftfloat, type SoftFloat } from '@machinist/softfloat'
import { call, compileNow, createMemory, type Expr, type Func, type FuncRef, i32, i64, instantiate, type Local, ModuleBuilder, type ValueType } from '@machinist/wasm'
import type { Kind, Width } from './operands.ts'

/** The operations, in the order of the oracle's numbers. */
export const operations = [
  'add', 'sub', 'mul', 'div', 'sqrt', 'fma', 'eq', 'lt', 'le', 'min', 'max', 'classify', 'toI32', 'toU32', 'toI64', 'toU64',
  'fromI32', 'fromU32', 'fromI64', 'fromU64', 'convert',
] as const
export type OperationName = (typeof operations)[number]
export const widths: readonly Width[] = [64, 32]
export const arithmetic = ['add', 'sub', 'mul', 'div', 'sqrt', 'fma'] as const
export type ArithmeticName = (typeof arithmetic)[number]

export const kindOf = (name: OperationName): Kind => (name.startsWith('from') ? 'integer' : 'number')
export const recordBytes = 24
export const answerBytes = 16
/** Where the flags are, in a memory of otherwise unused bytes. */
const flagsAddress = 40
const recordsAddress = 65536

/** Runs `count` records: operands from memory, answers to memory. */
type Driver = (count: number, rm: number, flags: number) => void

export interface Bench {
  readonly capacity: number
  /** Operands, to be filled by the caller. */
  readonly records: DataView
  /** Results and flags. */
  readonly answers: BigUint64Array
  run(width: Width, name: OperationName, count: number, rm: number, flags: number): void
  /** The same through the emitters that write in place, with the mode a constant. */
  runInline(width: Width, name: ArithmeticName, count: number, rm: number, flags: number): void
}

function target(sf: SoftFloat, width: Width, name: OperationName): FuncRef {
  if (name === 'convert') return width === 64 ? sf.f64.toF32 : sf.f32.toF64
  return width === 64 ? sf.f64[name] : sf.f32[name]
}

/** Emits a loop around one operation. */
function driver(m: ModuleBuilder, name: string, answersAddress: number, operate: (f: Func, at: Local<'i32'>, rm: Local<'i32'>) => Expr<'i64'>): void {
  m.export(
    name,
    m.func(name, ['i32', 'i32', 'i32'], 'void', (f, count, rm, flags) => {
      const at = f.let(i32.const(recordsAddress))
      const to = f.let(i32.const(answersAddress))
      f.block((done) =>
        f.loop((again) => {
          f.brIf(done, i32.eqz(count))
          f.do(i32.store8(0, flags, flagsAddress))
          f.do(i64.store(to, operate(f, at, rm)))
          f.do(i64.store(to, i64.load8U(0, flagsAddress), 8))
          f.set(at, i32.add(at, recordBytes))
          f.set(to, i32.add(to, answerBytes))
          f.set(count, i32.sub(count, 1))
          f.br(again)
        }),
      )
    }),
  )
}

export function bench(capacity: number): Bench {
  const answersAddress = recordsAddress + capacity * recordBytes
  const m = new ModuleBuilder()
  const initial = Math.ceil((answersAddress + capacity * answerBytes) / 65536)
  m.importMemory({ module: 'env', name: 'memory', initial })
  const sf = emitSoftfloat(m, { flags: flagsAddress, nan: 'canonical' })
  for (const width of widths) {
    for (const name of operations) {
      const ref = target(sf, width, name)
      driver(m, `${name}${width}`, answersAddress, (_f, at, rm) => {
        const operands = ref.params.map((type, i): Expr<ValueType> => {
          const isMode = i === ref.params.length - 1 && i > 0 && !['eq', 'lt', 'le', 'min', 'max'].includes(name)
          if (isMode) return rm
          return type === 'i64' ? i64.load(at, 8 * i) : i32.load(at, 8 * i)
        })
        const result = call(ref, ...operands) as Expr<'i32'> | Expr<'i64'>
        return result.type === 'i64' ? (result as Expr<'i64'>) : i64.extendU(result as Expr<'i32'>)
      })
    }
    for (const name of arithmetic) {
      for (const mode of [0, 1, 2, 3, 4, 5]) {
        driver(m, `inline.${name}${width}.${mode}`, answersAddress, (f, at, rm) => {
          // Five is the mode as an expression that is not a local.
          const rounding = mode === 5 ? i32.and(rm, 7) : mode
          if (width === 64) {
            const [a, b, c] = [i64.load(at), i64.load(at, 8), f.let(i64.load(at, 16))] as const
            if (name === 'sqrt') return sf.f64.inline.sqrt(f, a, rounding)
            return name === 'fma' ? sf.f64.inline.fma(f, a, b, c, rounding) : sf.f64.inline[name](f, a, b, rounding)
          }
          const [a, b, c] = [i32.load(at), i32.load(at, 8), f.let(i32.load(at, 16))] as const
          if (name === 'sqrt') return i64.extendU(sf.f32.inline.sqrt(f, a, rounding))
          return i64.extendU(name === 'fma' ? sf.f32.inline.fma(f, a, b, c, rounding) : sf.f32.inline[name](f, a, b, rounding))
        })
      }
    }
  }
  const memory = createMemory({ initial })
  const drivers = instantiate<Record<string, Driver>>(compileNow(m.toBytes()), { env: { memory } })
  const drive = (name: string, count: number, rm: number, flags: number): void => {
    const run = drivers[name]
    if (!run) throw new RangeError(`no driver ${name}`)
    if (count > capacity) throw new RangeError(`${count} records in a bench of ${capacity}`)
    run(count, rm, flags)
  }
  return {
    capacity,
    records: new DataView(memory.buffer, recordsAddress, capacity * recordBytes),
    answers: new BigUint64Array(memory.buffer, answersAddress, capacity * 2),
    run: (width, name, count, rm, flags) => drive(`${name}${width}`, count, rm, flags),
    runInline: (width, name, count, rm, flags) => {
      drive(`inline.${name}${width}.${rm}`, count, rm, flags)
      const constant = new BigUint64Array(count * 2)
      constant.set(new BigUint64Array(memory.buffer, answersAddress, count * 2))
      drive(`inline.${name}${width}.5`, count, rm, flags)
      const dynamic = new BigUint64Array(memory.buffer, answersAddress, count * 2)
      constant.forEach((word, i) => {
        if (word !== dynamic[i]) throw new Error(`inline ${name}${width}: modes as constant and as expression differ at ${i >> 1}`)
      })
    },
  }
}
