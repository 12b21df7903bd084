import type { DebugRegister } from '@machinist/api'
import { Register, segmentLayout } from '../emit/layout.ts'
import { EXTENDED_STATE_SIZE, readExtendedState, writeExtendedState } from '../extended-state.ts'
import { Flag, STATUS } from '../flags.ts'
import { FlagKind } from '../emit/flags.ts'
import type { X86Record } from '../record.ts'

/** What a debugger's access to registers needs of a processor, which is in the window. */
export interface RegisterCalls {
  status(): number
  /** MOV to CR0, 2, 3, 4 or 8, and WRMSR: 1 for #GP. */
  writeControl(number: number, value: bigint): number
  writeMsr(number: number, value: bigint): number
}

interface Access extends DebugRegister {
  read(record: X86Record, calls: RegisterCalls): bigint
  /** False when it does not take the value. */
  write(record: X86Record, calls: RegisterCalls, value: bigint): boolean
}

const EFER = 0xc000_0080
const FS_BASE = 0xc000_0100
const KERNEL_GS_BASE = 0xc000_0102
/** Of the image that FXSAVE makes (SDM volume 1, table 10-2). */
const Image = { fcw: 0, fsw: 2, ftw: 4, fop: 6, mxcsr: 24, x87: 32, xmm: 160 } as const

/** GDB's order of the first eight. */
const general = ['ax', 'bx', 'cx', 'dx', 'si', 'di', 'bp', 'sp'] as const
const numbers: Readonly<Record<(typeof general)[number], number>> = { ax: 0, bx: 3, cx: 1, dx: 2, si: 6, di: 7, bp: 5, sp: 4 }
const narrowOrder = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] as const
const segments = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const

function bytesToBig(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => value << 8n | BigInt(byte), 0n)
}

/** A register of the FPU or of vectors, in the image. */
function inImage(name: string, number: number, at: number, bytes: 2 | 4 | 10 | 16, group: 'float' | 'vector'): Access {
  return {
    name, number, group, bits: bytes === 16 ? 128 : bytes === 10 ? 80 : 32, type: bytes === 16 ? 'vector' : bytes === 10 ? 'extended' : 'integer',
    read: (record) => bytesToBig(readExtendedState(record.data, record.state.float).subarray(at, at + bytes)),
    write: (record, _calls, value) => {
      const image = readExtendedState(record.data, record.state.float)
      for (let i = 0; i < bytes; i++) image[at + i] = Number(value >> BigInt(8 * i) & 255n)
      if (image.length !== EXTENDED_STATE_SIZE) return false
      writeExtendedState(record.data, record.state.float, image)
      return true
    },
  }
}

/** One that cannot be written but with what it has. */
function fixed(name: string, number: number, bits: 32 | 64, group: DebugRegister['group'], read: Access['read']): Access {
  return { name, number, bits, group, type: 'integer', read, write: (record, calls, value) => read(record, calls) === value }
}

function flags(number: number): Access {
  return {
    name: 'eflags', number, bits: 32, group: 'general', type: 'integer',
    read: (record, calls) => BigInt((calls.status() | record.get('system') | (record.get('direction') === 0 ? 0 : Flag.direction) | 2) >>> 0),
    write: (record, _calls, value) => {
      const bits = Number(value)
      record.set('flagKind', FlagKind.plain)
      record.set64('flagResult', BigInt(bits & STATUS))
      record.set('direction', (bits & Flag.direction) === 0 ? 0 : 1)
      record.set('system', bits & ~(STATUS | Flag.direction | 2))
      record.set('attention', 1)
      return true
    },
  }
}

function integer(name: string, number: number, register: number, bits: 32 | 64): Access {
  return {
    name, number, bits, group: 'general', type: register === 4 || register === 5 ? 'data' : 'integer',
    read: (record) => BigInt.asUintN(bits, record.get64('registers', register)),
    write: (record, _calls, value) => {
      record.set64('registers', value, register)
      return true
    },
  }
}

function programCounter(name: string, number: number, bits: 32 | 64): Access {
  return {
    name, number, bits, group: 'general', type: 'code', read: (record) => BigInt.asUintN(bits, record.get64('pc')),
    write: (record, _calls, value) => {
      record.set64('pc', value)
      return true
    },
  }
}

function control(number: number, which: 0 | 2 | 3 | 4 | 8, bits: 32 | 64): Access {
  return {
    name: `cr${which}`, number, bits, group: 'system', type: 'integer', read: (record) => BigInt.asUintN(bits, record.get64(`cr${which}`)),
    write: (_record, calls, value) => calls.writeControl(which, value) === 0,
  }
}

function msr(name: string, number: number, index: number, read: Access['read']): Access {
  return { name, number, bits: 64, group: 'system', type: 'integer', read, write: (_record, calls, value) => calls.writeMsr(index | 0, value) === 0 }
}

const segmentNumber: Readonly<Record<(typeof segments)[number], number>> = { cs: Register.cs, ss: Register.ss, ds: Register.ds, es: Register.es, fs: Register.fs, gs: Register.gs }
const base = (segment: number) => (record: X86Record): bigint => record.data.getBigUint64(record.state.segment(segment) + segmentLayout.base, true)

/** Registers in GDB's numbering: of amd64, or of i386 with the registers of 32 bits alone. */
function registersOf(wide: boolean): readonly Access[] {
  const found: Access[] = []
  const next = (): number => found.length
  const bits = wide ? 64 : 32
  for (const name of wide ? general : narrowOrder) found.push(integer(`${wide ? 'r' : 'e'}${name}`, next(), numbers[name], bits))
  if (wide) for (let register = 8; register < 16; register++) found.push(integer(`r${register}`, next(), register, bits))
  found.push(programCounter(wide ? 'rip' : 'eip', next(), bits), flags(next() + 1))
  for (const name of segments) found.push(fixed(name, next(), 32, 'general', (record) => BigInt(record.data.getUint16(record.state.segment(segmentNumber[name]) + segmentLayout.selector, true))))
  for (let i = 0; i < 8; i++) found.push(inImage(`st${i}`, next(), Image.x87 + 16 * i, 10, 'float'))
  found.push(inImage('fctrl', next(), Image.fcw, 2, 'float'), inImage('fstat', next() + 1, Image.fsw, 2, 'float'))
  // GDB wants two bits for each; FXSAVE has one that says that it is not empty.
  found.push(fixed('ftag', next(), 32, 'float', (record) => {
    const used = readExtendedState(record.data, record.state.float)[Image.ftw] ?? 0
    return Array.from({ length: 8 }, (_, i) => (used >>> i & 1) === 0 ? 3n << BigInt(2 * i) : 0n).reduce((a, b) => a | b)
  }))
  for (const name of ['fiseg', 'fioff', 'foseg', 'fooff']) found.push(fixed(name, next(), 32, 'float', () => 0n))
  found.push(inImage('fop', next(), Image.fop, 2, 'float'))
  for (let i = 0; i < (wide ? 16 : 8); i++) found.push(inImage(`xmm${i}`, next(), Image.xmm + 16 * i, 16, 'vector'))
  found.push(inImage('mxcsr', next(), Image.mxcsr, 4, 'vector'))
  const system = 100
  found.push(control(system, 0, bits), control(system + 1, 2, bits), control(system + 2, 3, bits), control(system + 3, 4, bits))
  if (!wide) return found
  return [
    ...found, control(system + 4, 8, 64), msr('efer', system + 5, EFER, (record) => record.get64('efer')),
    msr('fs_base', system + 6, FS_BASE, base(Register.fs)), msr('gs_base', system + 7, FS_BASE + 1, base(Register.gs)), msr('k_gs_base', system + 8, KERNEL_GS_BASE, (record) => record.get64('kernelGsBase')),
  ]
}

/** Registers of processors with 64 bits, and of others. */
export const debugRegisters: Readonly<Record<'wide' | 'narrow', readonly Access[]>> = { wide: registersOf(true), narrow: registersOf(false) }
