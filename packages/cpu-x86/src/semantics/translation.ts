import { call, i32, i64 } from '@machinist/wasm'
import { Cr4 } from '../emit/memory.ts'
import { group, type Instruction } from '../isa/form.ts'
import { Vector } from '../vector.ts'
import { isSet, privileged } from './system.ts'

/** What takes translations out of the TLB (SDM volume 3, 5.10.4.1). */
const { instructions, define } = group('system')
export const translation: readonly Instruction[] = instructions

const { generalProtection } = Vector
/** INVPCID's types (SDM volume 2). */
const Invalidate = { address: 0, context: 1, all: 2, allPrivate: 3 } as const
const PCID_BITS = 12

define('invlpg', ['0F.01/7 Mb'], (s) => {
  privileged(s)
  s.f.do(call(s.shared.flushAddress, s.linear(), -1))
})

define('invpcid', ['66.0F38.82 Gy Mo; natural'], (s) => {
  privileged(s)
  const type = s.let(s.read(0))
  const at = s.let(s.offset())
  const low = s.load(at, 8)
  const address = s.load(s.truncate(i64.add(at, 8), s.addressSize), 8)
  const pcid = s.let(i32.wrap(low))
  s.faultIf(i64.gtU(type, Invalidate.allPrivate), generalProtection)
  s.faultIf(i64.ne(i64.shrU(low, PCID_BITS), 0), generalProtection)
  const one = s.let(i64.ltU(type, Invalidate.all))
  s.faultIf(i32.and(one, i32.and(i32.ne(pcid, 0), i32.eqz(isSet(s, 'cr4', Cr4.pcide)))), generalProtection)
  s.faultIf(i32.and(i64.eqz(type), call(s.shared.unusual, address)), generalProtection)
  s.when(i64.eq(type, Invalidate.address), () => s.f.do(call(s.shared.flushAddress, address, pcid)))
  s.when(i64.eq(type, Invalidate.context), () => s.f.do(call(s.shared.flushContext, pcid)))
  s.when(i64.eq(type, Invalidate.all), () => s.f.do(call(s.shared.flushAll)))
  s.when(i64.eq(type, Invalidate.allPrivate), () => s.f.do(call(s.shared.flushPrivate)))
})
