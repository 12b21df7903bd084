import type { DebugRegister } from '@machinist/api'
import { Csr, csrNames } from '../csr-numbers.ts'
import { csrIndex, csrOrder } from '../emit/csr/order.ts'
import type { HartExports } from '../emit/module.ts'
import { floatRegisterNames, registerNames } from '../isa/names.ts'
import type { HartRecord } from '../record.ts'

/** Numbers of registers, as GDB has them for RISC-V: x0 to x31 from 0, pc, f0 to f31, CSRs, the privilege mode behind the CSRs. */
const PC = 32
const FIRST_FLOAT = 33
const FIRST_CSR = 65
const CSRS = 4096
const PRIVILEGE = FIRST_CSR + CSRS

/** `pmpcfg`, `pmpaddr` and the counters beyond those that there are read as zero: nobody wants them in a list. */
const SHOWN_PMP = 16
/** Registers that the interrupt file of Ssaia brings. */
const ssaia: ReadonlySet<number> = new Set([Csr.siselect, Csr.sireg, Csr.stopei, Csr.stopi])
const float: ReadonlySet<number> = new Set([Csr.fflags, Csr.frm, Csr.fcsr])
/** CSRs that hold the value of the next instruction: what writes one is counted itself. */
const counting: ReadonlySet<number> = new Set([Csr.mcycle, Csr.minstret])

const generalType = (index: number): DebugRegister['type'] => index === 1 ? 'code' : index >= 2 && index <= 4 ? 'data' : 'integer'

function shown(number: number): boolean {
  const name = csrNames.get(number) ?? ''
  const pmp = /^pmp(?:cfg|addr)(\d+)$/.exec(name)
  return name !== '' && !name.includes('hpm') && (pmp === null || Number(pmp[1]) < SHOWN_PMP)
}

/** All registers of a hart, in the order of their numbers. */
export function debugRegisters(withFile: boolean): readonly DebugRegister[] {
  const csrs = csrOrder.filter((number) => shown(number) && (withFile || !ssaia.has(number))).sort((a, b) => a - b)
  return [
    ...registerNames.map((name, index): DebugRegister => ({ name: index === 8 ? 'fp' : name, number: index, bits: 64, group: 'general', type: index === 8 ? 'data' : generalType(index) })),
    { name: 'pc', number: PC, bits: 64, group: 'general', type: 'code' },
    ...floatRegisterNames.map((name, index): DebugRegister => ({ name, number: FIRST_FLOAT + index, bits: 64, group: 'float', type: 'float' })),
    ...csrs.map((number): DebugRegister => ({
      name: csrNames.get(number) ?? '', number: FIRST_CSR + number, bits: float.has(number) ? 32 : 64, group: float.has(number) ? 'float' : 'system', type: 'integer',
    })),
    { name: 'priv', number: PRIVILEGE, bits: 64, group: 'virtual', type: 'integer' },
  ]
}

/** What registers are read and written through. `window`: does something while the hart's record is where generated code finds it. */
export interface RegisterAccess {
  readonly record: HartRecord
  window<T>(action: (exports: HartExports) => T): T
  /** Works out what follows from registers that were set from outside. */
  refresh(): void
}

/** The value of a register of {@link debugRegisters}. */
export function readRegister({ record, window }: RegisterAccess, number: number): bigint {
  if (number < PC) return record.get64('x', number)
  if (number === PC) return record.get64('pc')
  if (number < FIRST_CSR) return record.get64('f', number - FIRST_FLOAT)
  if (number === PRIVILEGE) return BigInt(record.get('mode'))
  return BigInt.asUintN(64, window(({ csrRead }) => csrRead(csrIndex(number - FIRST_CSR))))
}

/** Sets one; false when it does not take the value. */
export function writeRegister(access: RegisterAccess, number: number, value: bigint): boolean {
  const { record } = access
  if (number < PC) {
    if (number !== 0) record.set64('x', value, number)
    return true
  }
  if (number === PC) {
    // Instructions lie at even addresses.
    if ((value & 1n) !== 0n) return false
    record.set64('pc', value)
    return true
  }
  if (number < FIRST_CSR) {
    record.set64('f', value, number - FIRST_FLOAT)
    return true
  }
  if (number === PRIVILEGE) {
    if (value !== 0n && value !== 1n && value !== 3n) return false
    record.set('mode', Number(value))
  } else {
    const index = csrIndex(number - FIRST_CSR)
    access.window(({ csrRead, csrWrite }) => {
      csrWrite(index, BigInt.asIntN(64, value))
      const off = counting.has(number - FIRST_CSR) ? value - BigInt.asUintN(64, csrRead(index)) : 0n
      if (off !== 0n) csrWrite(index, BigInt.asIntN(64, value + off))
    })
  }
  access.refresh()
  return true
}
