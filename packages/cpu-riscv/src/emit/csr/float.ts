import { call, type Expr, type Func, type FuncRef, i32, i64, select } from '@machinist/wasm'
import { Csr } from '../../csr-numbers.ts'
import { Status } from '../../status.ts'
import type { Emit } from '../context.ts'
import type { CsrDefinition } from './definition.ts'

export interface FloatCsrs {
  readonly definitions: readonly CsrDefinition[]
  /** Works out `floatReady` again. */
  readonly updateFloat: FuncRef<readonly [], 'void'>
}

/** `fflags`, `frm` and `fcsr` (unprivileged specification, 21.2). */
export function floatCsrs({ m, s }: Emit): FloatCsrs {
  const updateFloat = m.func('updateFloat', [], 'void', (f) => {
    const dirty = i64.eq(i64.and(s.get('mstatus'), Status.FS), Status.FS)
    f.do(s.set('floatReady', select('i32', i32.and(dirty, i32.leU(s.get('frm'), 4)), i32.add(s.get('frm'), 1), 0)))
  })
  const dirtyFloat = (f: Func): void => {
    f.do(s.set('mstatus', i64.or(s.get('mstatus'), Status.FS | Status.SD)))
    f.do(call(updateFloat))
  }
  const floatOff = (): Expr<'i32'> => i64.eqz(i64.and(s.get('mstatus'), Status.FS))
  return {
    updateFloat,
    definitions: [
      {
        number: Csr.fflags,
        read: () => i64.extendU(s.get('fflags')),
        write: (f, value) => {
          f.do(s.set('fflags', i32.and(i32.wrap(value), 31)))
          dirtyFloat(f)
        },
        denied: floatOff,
      },
      {
        number: Csr.frm,
        read: () => i64.extendU(s.get('frm')),
        write: (f, value) => {
          f.do(s.set('frm', i32.and(i32.wrap(value), 7)))
          dirtyFloat(f)
        },
        denied: floatOff,
      },
      {
        number: Csr.fcsr,
        read: () => i64.extendU(i32.or(i32.shl(s.get('frm'), 5), s.get('fflags'))),
        write: (f, value) => {
          f.do(s.set('fflags', i32.and(i32.wrap(value), 31)))
          f.do(s.set('frm', i32.and(i32.shrU(i32.wrap(value), 5), 7)))
          dirtyFloat(f)
        },
        denied: floatOff,
      },
    ],
  }
}
