import { type Expr, type Func, i32, i64, type Local, ModuleBuilder } from '@machinist/wasm'
import type { Instruction, RegionStage, RegisterSpec, RegisterType } from './code.ts'
import { regionError } from './errors.ts'

/** What an instruction does with registers: `reads`, `writes` and `leaves` of {@link Instruction}. */
export type Uses = Required<Pick<Instruction, 'reads' | 'writes' | 'leaves'>>

/**
 * Finds out what an instruction does with registers by having it written to a function that nobody will call. What is written under a condition alone is read as well, since it may
 * keep its value.
 */
export function usesOf(registers: readonly RegisterSpec[], emit: (stage: RegionStage) => void): Uses {
  const reads = new Set<number>()
  const writes = new Set<number>()
  const always = new Set<number>()
  let leaves: 'never' | 'before' | 'behind' = 'never'
  const leave = (how: 'before' | 'behind'): void => {
    if (leaves !== 'behind') leaves = how
  }
  new ModuleBuilder().func('uses', [], 'void', (f) => {
    const locals = new Map<number, Local>()
    const localOf = (register: number): Local => {
      const spec = registers[register]
      if (!spec) throw regionError(`it has no register ${register}`)
      const local = locals.get(register) ?? f.local(spec.type)
      locals.set(register, local)
      return local
    }
    const outermost = depthOf(f)
    const get = (register: number, type: RegisterType = 'i64'): Expr<RegisterType> => {
      if (!always.has(register)) reads.add(register)
      const local = localOf(register)
      if (local.type !== type) throw regionError(`register ${register} is no ${type}`)
      return local as Expr<RegisterType>
    }
    emit({
      f,
      get: get as RegionStage['get'],
      set(register, value) {
        f.set(localOf(register), value)
        writes.add(register)
        if (depthOf(f) === outermost) always.add(register)
        else if (!always.has(register)) reads.add(register)
      },
      writes: () => true,
      needed: () => true,
      settle: () => undefined,
      budgetBy: (steps) => f.drop(steps),
      unit: i64.const(0), block: 0, offset: 0,
      branch: (condition) => f.drop(condition),
      jump: () => undefined,
      indirect: (address) => f.drop(address),
      escapeIf(condition) {
        leave('before')
        f.drop(condition)
      },
      missIf(condition, va) {
        leave('before')
        f.drop(condition)
        f.drop(va)
      },
      outside(invoke) {
        leave('behind')
        f.drop(invoke(i64.const(0), i32.const(0)))
      },
      leaveBehindIf(condition) {
        leave('behind')
        f.drop(condition)
      },
      constants: new Proxy<Record<string, Expr<'i32'>>>({}, { get: () => i32.const(0) }),
    })
  })
  const list = (of: ReadonlySet<number>): number[] => [...of].sort((a, b) => a - b)
  return { reads: list(reads), writes: list(writes), leaves }
}

/** How many blocks are open. */
function depthOf(f: Func): number {
  const label = f.open('block')
  f.close(label)
  return label.depth
}
