import { LinkingBuilder } from '@machinist/cpu-core'
import { emitSoftfloat } from '@machinist/softfloat'
import type { FuncRef, ModuleBuilder } from '@machinist/wasm'
import type { RegionExits } from '@machinist/translator'
import { emitRegionExits } from '../emit/exits.ts'
import { emitHelpers } from '../emit/helpers.ts'
import type { Helpers } from '../emit/stage.ts'
import type { HartState } from '../emit/state.ts'

/** What translated code calls: the same references for every module, which imports what it uses. */
export interface Imports {
  /** Makes `m` the module that code is written for. */
  begin(m: ModuleBuilder): void
  readonly helpers: Helpers
  readonly exits: RegionExits
  /** `(pc, budget)`: executes the instruction there; 1 when control goes on behind it, in the same code. */
  readonly outside: FuncRef<readonly ['i64', 'i32'], 'i32'>
  /** `(value)`: writes `sstatus`; 1 when nothing keeps control from going on. */
  readonly writeSstatus: FuncRef<readonly ['i64'], 'i32'>
}

export function createImports(s: HartState): Imports {
  const linking = new LinkingBuilder()
  return {
    begin: (m) => linking.begin(m),
    helpers: emitHelpers(linking, emitSoftfloat(linking, { flags: s.at('fflags'), nan: 'canonical' })),
    exits: emitRegionExits(linking, s, 0),
    outside: linking.declare('outside', ['i64', 'i32'], 'i32'),
    writeSstatus: linking.declare('writeSstatus', ['i64'], 'i32'),
  }
}
