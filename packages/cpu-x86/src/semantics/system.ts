import { call, type Expr, i32, i64, type Local } from '@machinist/wasm'
import { Register, segmentLayout } from '../emit/layout.ts'
import { Cr0, Cr4 } from '../emit/memory.ts'
import type { Stage } from '../emit/stage.ts'
import { SystemFlag } from '../emit/system/code.ts'
import { Activity, Shadow } from '../emit/system/events.ts'
import { Look } from '../emit/system/tables.ts'
import { Flag, STATUS } from '../flags.ts'
import { group, type Instruction } from '../isa/form.ts'
import { Vector } from '../vector.ts'

/** Instructions of the system (SDM volume 3, 2.8). */
const { instructions, define } = group('system')
export const system: readonly Instruction[] = instructions

const { generalProtection, invalidOpcode } = Vector
const [RAX, RCX, RDX] = [0, 1, 2]

export const isSet = (s: Stage, register: 'cr0' | 'cr4', mask: number): Expr<'i32'> => i64.ne(i64.and(s.field(register), mask), 0)
const inner = (s: Stage): Expr<'i32'> => i64.eqz(s.field('cpl'))
const virtual = (s: Stage): Expr<'i32'> => i64.ne(i64.and(s.field('system'), SystemFlag.vm), 0)
const outside = (s: Stage): Expr<'i32'> => i32.or(i32.eqz(isSet(s, 'cr0', Cr0.pe)), virtual(s))

/** #GP outside CPL 0; virtual-8086 mode is at 3. */
export function privileged(s: Stage): void {
  s.faultIf(i32.eqz(inner(s)), generalProtection)
}
/** #UD in real-address and virtual-8086 mode, which have no descriptors. */
function descriptors(s: Stage): void {
  s.faultIf(outside(s), invalidOpcode)
}
/** CR4.UMIP. */
function hidden(s: Stage): void {
  s.faultIf(i32.and(isSet(s, 'cr4', Cr4.umip), i32.eqz(inner(s))), generalProtection)
}
function segmentField(s: Stage, number: number, field: 'selector'): Expr<'i64'> {
  return i64.load16U(s.stateAt(number), segmentLayout[field])
}

// Tables

for (const [name, digit, register] of [['sgdt', 0, Register.gdtr], ['sidt', 1, Register.idtr]] as const) {
  define(name, [`0F.01/${digit} Mn; natural`], (s) => {
    hidden(s)
    const at = s.let(s.offset())
    const wide = s.operandSize === 8
    s.writable(at, wide ? 10 : 6)
    s.store(at, i64.load16U(s.stateAt(register), segmentLayout.high), 2)
    s.store(s.truncate(i64.add(at, 2), s.addressSize), i64.load(s.stateAt(register), segmentLayout.base), wide ? 8 : 4)
  })
}
for (const [name, digit, register] of [['lgdt', 2, Register.gdtr], ['lidt', 3, Register.idtr]] as const) {
  define(name, [`0F.01/${digit} Mn; f64`], (s) => {
    privileged(s)
    const at = s.let(s.offset())
    const limit = s.load(at, 2)
    const wide = s.operandSize === 8
    const base = s.load(s.truncate(i64.add(at, 2), s.addressSize), wide ? 8 : 4)
    if (wide) s.faultIf(call(s.shared.unusual, base), generalProtection)
    s.f.do(i64.store(s.stateAt(register), s.operandSize === 2 ? i64.and(base, 0xff_ffff) : base, segmentLayout.base))
    s.f.do(i32.store(s.stateAt(register), i32.wrap(limit), segmentLayout.high))
  })
}
const selectorOut = (register: number) => (s: Stage): void => {
  descriptors(s)
  hidden(s)
  const selector = s.let(segmentField(s, register, 'selector'))
  if (s.isMemory(0)) s.store(s.offset(), selector, 2)
  else s.write(0, selector)
}
define('sldt', ['0F.00/0 Ev'], selectorOut(Register.ldtr))
define('str', ['0F.00/1 Ev'], selectorOut(Register.tr))
for (const [name, digit] of [['lldt', 2], ['ltr', 3]] as const) {
  define(name, [`0F.00/${digit} Ew`], (s) => {
    descriptors(s)
    privileged(s)
    s.try(call(name === 'lldt' ? s.shared.loadLocalTable : s.shared.loadTask, i32.wrap(s.read(0))))
  })
}
const look = (what: number) => (s: Stage): void => {
  descriptors(s)
  const selector = s.let(i32.wrap(s.isMemory(what <= Look.limit ? 1 : 0) ? s.load(s.offset(), 2) : s.read(what <= Look.limit ? 1 : 0, 2)))
  const found = s.let(call(s.shared.look, selector, what))
  s.try(i32.eq(found, 2))
  if (what <= Look.limit) s.when(found, () => s.write(0, s.truncate(call(s.shared.lookedAt), s.operandSize)))
  s.setFlags(Flag.zero, i32.shl(found, 6))
}
define('lar', ['0F.02 Gv Ev'], look(Look.rights))
define('lsl', ['0F.03 Gv Ev'], look(Look.limit))
define('verr', ['0F.00/4 Ew'], look(Look.readable))
define('verw', ['0F.00/5 Ew'], look(Look.writable))
define('arpl', ['63 Ew Gw; not64'], (s) => {
  descriptors(s)
  const [destination, source] = [s.let(s.read(0)), s.let(s.read(1))]
  const less = s.let(i64.ltU(i64.and(destination, 3), i64.and(source, 3)))
  s.when(less, () => s.write(0, i64.or(i64.and(destination, 0xfffc), i64.and(source, 3))))
  s.setFlags(Flag.zero, i32.shl(less, 6))
})

// Control registers, debug registers, MSRs

define('mov', ['0F.20 Rv Cv; natural'], (s) => {
  s.faultIf(i32.eqz(call(s.shared.hasControl, s.numberOf(1))), invalidOpcode)
  privileged(s)
  s.write(0, s.truncate(call(s.shared.readControl, s.numberOf(1)), s.operandSize))
})
define('mov', ['0F.22 Cv Rv; natural'], (s) => {
  s.faultIf(i32.eqz(call(s.shared.hasControl, s.numberOf(0))), invalidOpcode)
  privileged(s)
  s.try(call(s.shared.writeControl, s.numberOf(0), s.read(1)))
})
/** DR4 and DR5 are DR6 and DR7, unless CR4.DE. */
const debugNumber = (s: Stage, operand: number): Local<'i32'> => {
  const number = s.let(s.numberOf(operand))
  const old = s.let(i32.eq(i32.and(number, 14), 4))
  s.faultIf(i32.or(i32.gtU(number, 7), i32.and(old, isSet(s, 'cr4', Cr4.de))), invalidOpcode)
  privileged(s)
  s.try(call(s.shared.guardDebug))
  return s.let(i32.add(number, i32.shl(old, 1)))
}
define('mov', ['0F.21 Rv Dv; natural'], (s) => {
  const number = debugNumber(s, 1)
  s.write(0, s.truncate(call(s.shared.readDebug, number), s.operandSize))
})
define('mov', ['0F.23 Dv Rv; natural'], (s) => {
  const number = debugNumber(s, 0)
  s.try(call(s.shared.writeDebug, number, s.read(1)))
})
define('smsw', ['0F.01/4 Ev'], (s) => {
  hidden(s)
  if (s.isMemory(0)) s.store(s.offset(), i64.and(s.field('cr0'), 0xffff), 2)
  else s.write(0, s.truncate(s.field('cr0'), s.operandSize))
})
/** It sets PE, and does not clear it. */
define('lmsw', ['0F.01/6 Ew'], (s) => {
  privileged(s)
  const low = s.let(i64.and(s.read(0), 15))
  s.try(call(s.shared.writeControl, 0, i64.or(i64.and(s.field('cr0'), ~14), low)))
})
define('clts', ['0F.06'], (s) => {
  privileged(s)
  s.setField('cr0', i64.and(s.field('cr0'), ~Cr0.ts))
})
define('rdmsr', ['0F.32'], (s) => {
  privileged(s)
  s.try(call(s.shared.readMsr, i32.wrap(s.register(RCX, 4))))
})
define('wrmsr', ['0F.30'], (s) => {
  privileged(s)
  s.try(call(s.shared.writeMsr, i32.wrap(s.register(RCX, 4)), i64.or(i64.shl(s.register(RDX, 4), 32), s.register(RAX, 4))))
})
const counter = (s: Stage): void => {
  s.faultIf(i32.and(isSet(s, 'cr4', Cr4.tsd), i32.eqz(inner(s))), generalProtection)
  const count = s.let(call(s.shared.timestamp))
  s.setRegister(RAX, i64.and(count, 0xffff_ffff), 4)
  s.setRegister(RDX, i64.shrU(count, 32), 4)
}
define('rdtsc', ['0F.31'], counter)
define('rdtscp', ['0F.01:F9'], (s) => {
  counter(s)
  s.setRegister(RCX, s.field('tscAux'), 4)
})
define('rdpid', ['F3.0F.C7/7 Ry; natural'], (s) => s.write(0, s.field('tscAux')))
/** There are no performance counters, whose numbers would be in ECX. */
define('rdpmc', ['0F.33'], (s) => s.fault(generalProtection))
define('cpuid', ['0F.A2'], (s) => s.f.do(call(s.shared.cpuid)))
/** CF: there was a number (SDM volume 2, RDRAND, RDSEED). */
for (const [name, digit] of [['rdrand', 6], ['rdseed', 7]] as const) define(name, [`0F.C7/${digit} Rv`], (s) => {
  s.write(0, s.truncate(call(s.shared.entropy), s.size(0)))
  s.setFlags(STATUS, i32.const(Flag.carry))
})
for (const [name, modrm, value] of [['clac', 'CA', 0], ['stac', 'CB', Flag.alignment]] as const) define(name, [`0F.01:${modrm}`], (s) => {
  s.faultIf(i32.eqz(inner(s)), invalidOpcode)
  s.setSystem(Flag.alignment, value)
})
define('invd', ['0F.08; natural'], privileged)
define('wbinvd', ['0F.09; natural'], privileged)

// 64-bit mode's bases

define('swapgs', ['0F.01:F8; only64'], (s) => {
  privileged(s)
  const base = s.let(i64.load(s.stateAt(Register.gs), segmentLayout.base))
  s.f.do(i64.store(s.stateAt(Register.gs), s.field('kernelGsBase'), segmentLayout.base))
  s.setField('kernelGsBase', base)
})
for (const [digit, name, register] of [[0, 'fs', Register.fs], [1, 'gs', Register.gs]] as const) {
  define(`rd${name}base`, [`F3.0F.AE/${digit} Ry; only64`], (s) => {
    s.faultIf(i32.eqz(isSet(s, 'cr4', Cr4.fsgsbase)), invalidOpcode)
    s.write(0, s.truncate(i64.load(s.stateAt(register), segmentLayout.base), s.size(0)))
  })
  define(`wr${name}base`, [`F3.0F.AE/${digit + 2} Ry; only64`], (s) => {
    s.faultIf(i32.eqz(isSet(s, 'cr4', Cr4.fsgsbase)), invalidOpcode)
    const base = s.let(s.read(0))
    s.faultIf(call(s.shared.unusual, base), generalProtection)
    s.f.do(i64.store(s.stateAt(register), base, segmentLayout.base))
  })
}

// Kernels

define('syscall', ['0F.05'], (s) => {
  s.leaves()
  s.try(call(s.shared.systemCall, s.next64()))
})
define('sysret', ['0F.07'], (s) => {
  s.leaves()
  s.try(call(s.shared.systemReturn, s.operandSize))
})
define('sysenter', ['0F.34'], (s) => {
  s.leaves()
  s.try(call(s.shared.sysenter))
})
define('sysexit', ['0F.35'], (s) => {
  s.leaves()
  s.try(call(s.shared.sysexit, s.operandSize))
})

// Interrupts

/** Where IOPL does not let a program at IF, VME and PVI have VIF (SDM volume 2, CLI and STI). */
const interruptFlag = (value: boolean) => (s: Stage): void => {
  const iopl = s.let(i64.and(i64.shrU(s.field('system'), 12), 3))
  const allowed = i32.or(i32.eqz(isSet(s, 'cr0', Cr0.pe)), i64.geU(iopl, s.field('cpl')))
  s.when(allowed, () => {
    if (value) {
      s.when(i64.eqz(i64.and(s.field('system'), Flag.interrupt)), () => s.setField('shadow', i64.const(Shadow.interrupts)))
      s.setField('attention', i64.const(1))
    }
    s.setSystem(Flag.interrupt, value ? Flag.interrupt : 0)
  }, () => {
    const level = i32.and(i64.eq(s.field('cpl'), 3), s.let(i32.or(i32.and(virtual(s), isSet(s, 'cr4', Cr4.vme)), i32.and(i32.eqz(virtual(s)), isSet(s, 'cr4', Cr4.pvi)))))
    s.faultIf(i32.eqz(level), generalProtection)
    if (value) s.faultIf(i64.ne(i64.and(s.field('system'), SystemFlag.virtualPending), 0), generalProtection)
    s.setSystem(SystemFlag.virtualInterrupt, value ? SystemFlag.virtualInterrupt : 0)
  })
}
// In system-management mode alone.
define('rsm', ['0F.AA'], (s) => {
  s.faultIf(i64.eqz(s.field('managed')), invalidOpcode)
  s.try(call(s.shared.resume))
})
define('cli', ['FA'], interruptFlag(false))
define('sti', ['FB'], interruptFlag(true))
define('hlt', ['F4'], (s) => {
  privileged(s)
  s.setField('waiting', i64.const(Activity.halted))
  s.setField('attention', i64.const(1))
})
