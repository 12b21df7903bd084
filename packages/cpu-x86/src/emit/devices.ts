import { call, f64, type FuncRef, i32, i64, memoryCopy, type ModuleBuilder, select } from '@machinist/wasm'
import type { RamFunctions } from '@machinist/mmu'
import { ApicBase } from './control-bits.ts'
import type { State } from './layout.ts'
import type { OutsideFunctions } from './system/outside.ts'

/** What generated code asks whoever runs it, about memory. Values of devices pass by the field `mailbox`. */
export interface MemoryCalls extends Pick<OutsideFunctions, 'localRead' | 'localWrite' | 'debugPage' | 'debugAccess'> {
  readonly readFault: FuncRef<readonly ['i32'], 'i32'>
  readonly writeFault: FuncRef<readonly ['i32', 'i32', 'i32'], 'i32'>
  /** `(frame, entry)` → decoded code of that page of RAM, or 0: nobody keeps any. */
  readonly codePage: FuncRef<readonly ['i32', 'i32'], 'i32'>
  /** `(address, bytes)` of 1, 2, 4 or 8: not zero when nobody answers. */
  readonly mmioRead: FuncRef<readonly ['f64', 'i32'], 'i32'>
  readonly mmioWrite: FuncRef<readonly ['f64', 'i32'], 'i32'>
}

export function importMemoryCalls(m: ModuleBuilder, outside: OutsideFunctions): MemoryCalls {
  return {
    ...outside,
    readFault: m.importFunction('host', 'readFault', ['i32'], 'i32'),
    writeFault: m.importFunction('host', 'writeFault', ['i32', 'i32', 'i32'], 'i32'),
    codePage: m.importFunction('host', 'codePage', ['i32', 'i32'], 'i32'),
    mmioRead: m.importFunction('host', 'mmioRead', ['f64', 'i32'], 'i32'),
    mmioWrite: m.importFunction('host', 'mmioWrite', ['f64', 'i32'], 'i32'),
  }
}

export interface DeviceFunctions {
  /** `(pa)` → the page-map entry of RAM there, or 0: then it is of the local APIC, of a device, or of nobody. */
  readonly ramEntry: FuncRef<readonly ['i64'], 'i32'>
  /** `(writes)`: the bytes of an access between `bounce` and what is at its addresses. What nobody answers reads as ones. */
  readonly transfer: FuncRef<readonly ['i32'], 'void'>
}

/** Accesses to what is not one page of RAM. */
export function emitDevices(m: ModuleBuilder, state: State, ram: RamFunctions, host: MemoryCalls): DeviceFunctions {
  const mailbox = state.field('mailbox')

  /** The page of registers of the processor's own APIC is nearer than all else. */
  const ofLocal = m.func('isLocalPage', ['i64'], 'i32', (f, pa) => {
    const base = f.let(state.get64('apicBase'))
    const memoryMapped = i64.eq(i64.and(base, ApicBase.enabled | ApicBase.extended), ApicBase.enabled)
    f.return(i32.and(memoryMapped, i64.eqz(i64.and(i64.xor(base, pa), ApicBase.address))))
  })
  const ramEntry = m.func('ramEntryUnder', ['i64'], 'i32', (f, pa) => {
    f.if(call(ofLocal, pa), () => f.return(0))
    f.return(call(ram.entry, pa))
  })

  /** One access of a device, whose value is in `mailbox`. */
  const device = m.func('deviceAccess', ['i64', 'i32', 'i32'], 'void', (f, pa, bytes, writes) => {
    const [low, address] = [i32.and(i32.wrap(pa), 4095), f64.convertI64U(pa)]
    f.if(call(ofLocal, pa), () => {
      f.if(i32.eqz(f.choose('i32', writes, () => call(host.localWrite, low, bytes), () => call(host.localRead, low, bytes))), () => f.return())
    })
    f.if(writes, () => f.drop(call(host.mmioWrite, address, bytes)), () => f.if(call(host.mmioRead, address, bytes), () => f.do(state.set64('mailbox', -1))))
  })

  /** `(pa, at, count, writes)`: bytes on one page. A device gets accesses of a width that their addresses are multiples of: one, where the instruction's is. */
  const piece = m.func('transferPiece', ['i64', 'i32', 'i32', 'i32'], 'void', (f, pa, at, count, writes) => {
    const entry = f.let(call(ramEntry, pa))
    f.if(entry, () => {
      f.if(writes, () => f.do(memoryCopy(call(ram.writable, entry, pa, count), at, count)), () => f.do(memoryCopy(at, i32.or(i32.and(call(ram.touched, entry), -4096), i32.and(i32.wrap(pa), 4095)), count)))
      f.return()
    })
    const width = f.local('i32')
    f.loop((next) => {
      // The largest power of two that is no more than what is left, and that the address is a multiple of.
      f.set(width, i32.shl(1, i32.ctz(i32.or(i32.wrap(pa), 8))))
      const most = f.let(i32.shl(1, i32.sub(31, i32.clz(count))))
      f.set(width, select('i32', i32.ltU(width, most), width, most))
      f.if(writes, () => f.do(memoryCopy(mailbox, at, width)))
      f.do(call(device, pa, width, writes))
      f.if(i32.eqz(writes), () => f.do(memoryCopy(at, mailbox, width)))
      f.set(pa, i64.add(pa, i64.extendU(width)))
      f.set(at, i32.add(at, width))
      f.set(count, i32.sub(count, width))
      f.brIf(next, count)
    })
  })
  const transfer = m.func('transfer', ['i32'], 'void', (f, writes) => {
    const bytes = f.let(state.get32('bounceBytes'))
    const first = f.let(select('i32', i32.ltU(state.get32('bounceFirst'), bytes), state.get32('bounceFirst'), bytes))
    f.do(call(piece, state.get64('bounceAt'), state.field('bounce'), first, writes))
    f.if(i32.ltU(first, bytes), () => f.do(call(piece, state.get64('bounceNext'), i32.add(first, state.field('bounce')), i32.sub(bytes, first), writes)))
  })
  return { ramEntry, transfer }
}
