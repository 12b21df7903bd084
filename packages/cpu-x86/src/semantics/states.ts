import { call, type Expr, i32, i64, type Local, select } from '@machinist/wasm'
import { MXCSR_MASK } from '../extended-state.ts'
import { Cr0, Cr4, Xcr0 } from '../emit/control-bits.ts'
import type { Stage, Value } from '../emit/stage.ts'
import type { Instruction } from '../isa/form.ts'
import { Vector } from '../vector.ts'
import { family } from './vector.ts'

/** Saving and restoring floating-point and vector registers (SDM volume 1, 10.5 and 13; volume 2 for each). */
const set = family()
export const states: readonly Instruction[] = set.instructions

const [RAX, RCX, RDX] = [0, 1, 2]
const { generalProtection, invalidOpcode, deviceNotAvailable } = Vector
/** Offsets in the image: MXCSR, XMM, the end of FXSAVE's; XSTATE_BV and XCOMP_BV of the header; the upper halves of YMM, and the end. */
const AT = { mxcsr: 24, stack: 32, vectors: 160, legacyEnd: 512, parts: 512, compacted: 520, reserved: 528, headerEnd: 576, upper: 576, end: 832 } as const
const HALVES = 256
const COMPACTED = 1n << 63n
const INITIAL_MXCSR = 0x1f80

const clearIn = (s: Stage, register: 'cr0' | 'cr4', mask: number): Expr<'i32'> => i64.eqz(i64.and(s.field(register), mask))
const plus = (s: Stage, bytes: number): Value => s.truncate(i64.add(s.offset(), bytes), s.addressSize)
/** Outside 64-bit mode there are eight vector registers. */
const registers = (s: Stage): Local<'i32'> => s.let(select('i32', i64.eq(s.field('mode'), 64), 16, 8))
const halvesOut = (s: Stage, count: Local<'i32'>, from: number): void => s.when(i32.eq(count, 16), () => s.storeImage(from, HALVES), () => s.storeImage(from, HALVES / 2))
const halvesIn = (s: Stage, count: Local<'i32'>, from: number): void => s.when(i32.eq(count, 16), () => s.loadImage(from, HALVES), () => s.loadImage(from, HALVES / 2))
const wide = (s: Stage): number => s.operandSize === 8 ? 1 : 0
const reservedMxcsr = (s: Stage): Expr<'i32'> => i32.and(s.inImage32(AT.mxcsr), ~MXCSR_MASK)

// FXSAVE

/** #NM where the FPU is emulated, or another task's (SDM volume 2, FXSAVE). */
const available = (s: Stage): void => s.faultIf(i32.eqz(clearIn(s, 'cr0', Cr0.em | Cr0.ts)), deviceNotAvailable)
set.define('fxsr', 'fxsave', ['NP.0F.AE/0 Mn; wide'], (s) => {
  available(s)
  s.aligned(s.offset(), 16)
  s.writable(s.offset(), 1)
  s.writable(plus(s, AT.legacyEnd - 1), 1)
  s.f.do(call(s.float.image.fill, wide(s)))
  s.storeImage(0, AT.vectors)
  halvesOut(s, registers(s), AT.vectors)
})
set.define('fxsr', 'fxrstor', ['NP.0F.AE/1 Mn; wide'], (s) => {
  available(s)
  s.aligned(s.offset(), 16)
  s.load(plus(s, AT.legacyEnd - 1), 1)
  s.loadImage(0, AT.vectors)
  const count = registers(s)
  halvesIn(s, count, AT.vectors)
  s.faultIf(reservedMxcsr(s), generalProtection)
  s.f.do(call(s.float.image.takeX87, wide(s)))
  s.f.do(call(s.float.image.takeSse, count))
  s.setMxcsr(s.inImage32(AT.mxcsr))
})

// MXCSR

const loadMxcsr = (s: Stage): void => {
  const value = s.let(i32.wrap(s.read(0)))
  s.faultIf(i32.and(value, ~MXCSR_MASK), generalProtection)
  s.setMxcsr(value)
}
const storeMxcsr = (s: Stage): void => s.write(0, i64.extendU(s.mxcsr()))
set.define('sse', 'ldmxcsr', ['NP.0F.AE/2 Md'], loadMxcsr)
set.define('sse', 'stmxcsr', ['NP.0F.AE/3 Md'], storeMxcsr)
set.define('avx', 'vldmxcsr', ['VEX.L0.NP.0F.AE/2 Md'], loadMxcsr)
set.define('avx', 'vstmxcsr', ['VEX.L0.NP.0F.AE/3 Md'], storeMxcsr)

// XSAVE

const enabled = (s: Stage): void => s.faultIf(clearIn(s, 'cr4', Cr4.osxsave), invalidOpcode)
const whole = (s: Stage): void => {
  enabled(s)
  s.faultIf(i32.eqz(clearIn(s, 'cr0', Cr0.ts)), deviceNotAvailable)
  s.aligned(s.offset(), 64)
}
/** The parts that EDX:EAX asks for and XCR0 has. */
const asked = (s: Stage): Local<'i32'> => s.let(i32.and(i32.wrap(s.register(RAX, 4)), i32.wrap(s.field('xcr0'))))
const has = (parts: Expr<'i32'>, mask: number): Expr<'i32'> => i32.ne(i32.and(parts, mask), 0)

/** XSAVE writes what is asked for; XSAVEOPT of that what is in use; XSAVEC the same, in the compacted format, which with AVX alone behind the header has it in the same place. */
const save = (kind: 'all' | 'used' | 'compacted') => (s: Stage): void => {
  whole(s)
  const parts = asked(s)
  const count = registers(s)
  s.writable(s.offset(), 1)
  s.writable(plus(s, AT.headerEnd - 1), 1)
  s.when(has(parts, Xcr0.avx), () => s.writable(plus(s, AT.end - 1), 1))
  const old = kind === 'compacted' ? i64.const(0) : s.load(plus(s, AT.parts), 8)
  const used = s.let(call(s.float.image.inUse))
  // Compacted, MXCSR belongs to SSE alone.
  if (kind === 'compacted') s.f.set(used, i32.or(used, i32.shl(i32.ne(s.mxcsr(), INITIAL_MXCSR), 1)))
  s.f.set(used, i32.and(used, parts))
  const written = kind === 'all' ? parts : used
  s.f.do(call(s.float.image.fill, wide(s)))
  s.when(has(written, Xcr0.x87), () => {
    s.storeImage(0, AT.mxcsr)
    s.storeImage(AT.stack, AT.vectors - AT.stack)
  })
  s.when(kind === 'compacted' ? has(written, Xcr0.sse) : has(parts, Xcr0.sse | Xcr0.avx), () => s.storeImage(AT.mxcsr, 8))
  s.when(has(written, Xcr0.sse), () => halvesOut(s, count, AT.vectors))
  s.when(has(written, Xcr0.avx), () => halvesOut(s, count, AT.upper))
  s.store(plus(s, AT.parts), i64.or(i64.and(old, i64.xor(i64.extendU(parts), -1)), i64.extendU(used)), 8)
  if (kind === 'compacted') s.store(plus(s, AT.compacted), i64.or(i64.extendU(parts), i64.const(BigInt.asIntN(64, COMPACTED))), 8)
}
set.define('xsave', 'xsave', ['NP.0F.AE/4 Mn; wide'], save('all'))
set.define('xsave', 'xsaveopt', ['NP.0F.AE/6 Mn; wide'], save('used'))
set.define('xsave', 'xsavec', ['NP.0F.C7/4 Mn; wide'], save('compacted'))
/** Parts that are asked for and not in the image become as they are at first (SDM volume 1, 13.8). */
set.define('xsave', 'xrstor', ['NP.0F.AE/5 Mn; wide'], (s) => {
  whole(s)
  const parts = asked(s)
  const count = registers(s)
  s.loadImage(0, AT.vectors)
  s.loadImage(AT.parts, AT.headerEnd - AT.parts)
  const [there, format] = [s.let(s.inImage64(AT.parts)), s.let(s.inImage64(AT.compacted))]
  const compacted = s.let(i64.ltS(format, 0))
  const outside = (value: Value): Expr<'i32'> => i64.ne(i64.and(value, i64.xor(s.field('xcr0'), -1)), 0)
  s.faultIf(outside(there), generalProtection)
  const rest = (from: number): Value => Array.from({ length: (AT.headerEnd - from) / 8 }, (_, i) => s.inImage64(from + 8 * i)).reduce((a, b) => i64.or(a, b))
  s.when(compacted, () => {
    const listed = s.let(i64.and(format, i64.const(BigInt.asIntN(64, COMPACTED - 1n))))
    s.faultIf(i32.or(outside(listed), i64.ne(i64.or(i64.and(there, i64.xor(listed, -1)), rest(AT.reserved)), 0)), generalProtection)
  }, () => s.faultIf(i64.ne(i64.or(format, s.inImage64(AT.reserved)), 0), generalProtection))
  const loaded = s.let(i32.and(parts, i32.wrap(there)))
  s.when(has(loaded, Xcr0.sse), () => halvesIn(s, count, AT.vectors))
  s.when(has(loaded, Xcr0.avx), () => halvesIn(s, count, AT.upper))
  const fromImage = s.let(select('i32', compacted, has(loaded, Xcr0.sse), has(parts, Xcr0.sse | Xcr0.avx)))
  s.faultIf(i32.and(fromImage, i32.ne(reservedMxcsr(s), 0)), generalProtection)
  s.when(fromImage, () => s.setMxcsr(s.inImage32(AT.mxcsr)), () => s.when(has(parts, Xcr0.sse), () => s.setMxcsr(i32.const(INITIAL_MXCSR))))
  const { takeX87, takeSse, takeAvx, clearX87, clearSse, clearAvx } = s.float.image
  const part = (mask: number, take: () => void, clear: () => void): void => s.when(has(parts, mask), () => s.when(has(loaded, mask), take, clear))
  part(Xcr0.x87, () => s.f.do(call(takeX87, wide(s))), () => s.f.do(call(clearX87)))
  part(Xcr0.sse, () => s.f.do(call(takeSse, count)), () => s.f.do(call(clearSse, count)))
  part(Xcr0.avx, () => s.f.do(call(takeAvx, count)), () => s.f.do(call(clearAvx, count)))
})
set.define('xsave', 'xgetbv', ['NP.0F.01:D0'], (s) => {
  enabled(s)
  const which = s.let(s.register(RCX, 4))
  s.faultIf(i64.gtU(which, 1), generalProtection)
  const value = s.let(s.field('xcr0'))
  s.when(i32.wrap(which), () => s.f.set(value, i64.and(value, i64.extendU(call(s.float.image.inUse)))))
  s.setRegister(RAX, value, 4)
  s.setRegister(RDX, i64.const(0), 4)
})
set.define('xsave', 'xsetbv', ['NP.0F.01:D1'], (s) => {
  enabled(s)
  s.faultIf(i64.ne(s.field('cpl'), 0), generalProtection)
  const value = s.let(i64.or(i64.shl(s.register(RDX, 4), 32), s.register(RAX, 4)))
  const x87 = i64.eqz(i64.and(value, Xcr0.x87))
  const avxAlone = i64.eq(i64.and(value, Xcr0.sse | Xcr0.avx), Xcr0.avx)
  const unknown = i64.ne(i64.and(value, i64.xor(s.field('xcr0Bits'), -1)), 0)
  s.faultIf(i32.or(i32.or(i64.ne(s.register(RCX, 4), 0), unknown), i32.or(x87, avxAlone)), generalProtection)
  s.setField('xcr0', value)
})
set.define('avx', 'vzeroupper', ['VEX.L0.NP.0F.77'], (s) => s.f.do(call(s.float.image.clearAvx, registers(s))))
set.define('avx', 'vzeroall', ['VEX.L1.NP.0F.77'], (s) => {
  const count = registers(s)
  s.f.do(call(s.float.image.clearSse, count))
  s.f.do(call(s.float.image.clearAvx, count))
})
