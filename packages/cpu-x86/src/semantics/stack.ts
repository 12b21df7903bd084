import { i32, i64 } from '@machinist/wasm'
import { Cr4 } from '../emit/memory.ts'
import type { Stage } from '../emit/stage.ts'
import { SystemFlag } from '../emit/system/code.ts'
import { group, type Instruction } from '../isa/form.ts'
import { Vector } from '../vector.ts'

/** The stack (SDM volume 1, 6.2; volume 2: PUSH to POPF, ENTER, LEAVE). */
const { instructions, define } = group('stack')
export const stack: readonly Instruction[] = instructions

const RSP = 4
const RBP = 5

define('push', ['50+r Zv; d64', '68 Iz; d64', '6A Ib; d64', 'FF/6 Ev; d64'], (s) => s.push(s.read(0, s.operandSize)))
define('pop', ['58+r Zv; d64'], (s) => {
  const value = s.let(s.top())
  s.release(s.operandSize)
  s.write(0, value)
})
/** An address off rSP is computed after the increment (SDM volume 2, POP). When the store faults, the stack is as it was. */
define('pop', ['8F/0 Ev; d64'], (s) => {
  const value = s.let(s.top())
  if (s.isMemory(0)) {
    const address = s.let(s.popOffset())
    s.store(address, value, s.operandSize)
    s.release(s.operandSize)
  } else {
    s.release(s.operandSize)
    s.write(0, value)
  }
})

define('pusha', ['60; not64'], (s) => {
  for (let i = 0; i < 8; i++) s.storeStack(-(i + 1) * s.operandSize, s.register(i, s.operandSize))
  s.release(-8 * s.operandSize)
})
define('popa', ['61; not64'], (s) => {
  const values = Array.from({ length: 8 }, (_, i) => s.let(s.loadStack(i * s.operandSize)))
  s.release(8 * s.operandSize)
  values.forEach((value, i) => {
    if (7 - i !== RSP) s.setRegister(7 - i, value, s.operandSize)
  })
})

/** In virtual-8086 mode IOPL must be 3, or VME gives VIF in the place of IF, of 16 bits (SDM volume 3, 21.3.3). */
const virtualFlags = (s: Stage, real: () => void, virtual: () => void): void => {
  const flags = s.let(s.field('system'))
  const inside = i32.and(i64.ne(i64.and(flags, SystemFlag.vm), 0), i64.ne(i64.and(flags, SystemFlag.iopl), SystemFlag.iopl))
  s.when(inside, () => {
    if (s.operandSize !== 2) s.fails(Vector.generalProtection)
    else {
      s.faultIf(i64.eqz(i64.and(s.field('cr4'), Cr4.vme)), Vector.generalProtection)
      virtual()
    }
  }, real)
}
/** VM and RF are pushed as zeros. */
define('pushf', ['9C; d64'], (s) => virtualFlags(s, () => s.push(i64.extendU(i32.and(s.allFlags(), ~(SystemFlag.vm | SystemFlag.resume)))), () => {
  const flags = s.let(s.allFlags())
  const virtual = i32.and(i32.shrU(flags, 10), SystemFlag.interrupt)
  s.push(i64.extendU(i32.or(i32.or(i32.and(flags, 0xffff & ~SystemFlag.interrupt), virtual), SystemFlag.iopl)))
}))
define('popf', ['9D; d64'], (s) => {
  const value = s.let(s.top())
  virtualFlags(s, () => {
    s.release(s.operandSize)
    s.setAllFlags(i32.wrap(value))
  }, () => {
    const system = s.let(s.field('system'))
    const pending = i64.ne(i64.and(system, SystemFlag.virtualPending), 0)
    s.faultIf(i32.or(i64.ne(i64.and(value, SystemFlag.trap), 0), i32.and(pending, i64.ne(i64.and(value, SystemFlag.interrupt), 0))), Vector.generalProtection)
    s.release(s.operandSize)
    s.setAllFlags(i32.wrap(value))
    const virtual = i64.shl(i64.and(value, SystemFlag.interrupt), 10)
    const kept = i64.and(s.field('system'), ~SystemFlag.virtualInterrupt)
    s.setField('system', i64.or(kept, virtual))
  })
})

define('leave', ['C9; d64'], (s) => {
  const frame = s.let(s.register(RBP, s.stackSize))
  const value = s.let(s.load(frame, s.operandSize, 'stack'))
  s.setRegister(RSP, s.truncate(i64.add(frame, s.operandSize), s.stackSize), s.stackSize)
  s.setRegister(RBP, value, s.operandSize)
})
/** Level 0 pushes rBP; deeper levels copy the frame pointers of the procedures around (SDM volume 1, 6.6). */
define('enter', ['C8 Iw Ib; d64'], (s) => {
  const size = s.operandSize
  const level = s.let(i64.and(s.read(1, 1), 31))
  const frame = s.let(s.register(RBP, s.stackSize))
  const top = s.let(s.register(RSP, s.stackSize))
  const place = s.let(s.truncate(i64.sub(top, size), s.stackSize))
  const first = s.let(place)
  s.store(place, s.register(RBP, size), size, 'stack')
  s.when(i64.ne(level, 0), () => {
    const left = s.let(i64.sub(level, 1))
    s.f.loop((again) => {
      s.f.set(place, s.truncate(i64.sub(place, size), s.stackSize))
      s.when(i64.ne(left, 0), () => {
        s.f.set(frame, s.truncate(i64.sub(frame, size), s.stackSize))
        s.store(place, s.load(frame, size, 'stack'), size, 'stack')
        s.f.set(left, i64.sub(left, 1))
        s.f.br(again)
      }, () => s.store(place, s.truncate(first, size), size, 'stack'))
    })
  })
  const end = s.let(s.truncate(i64.sub(place, s.read(0, 2)), s.stackSize))
  // The last thing it does is to see whether the new top may be written.
  s.writable(end, size, 'stack')
  s.setRegister(RBP, s.truncate(first, size), size)
  s.setRegister(RSP, end, s.stackSize)
})
