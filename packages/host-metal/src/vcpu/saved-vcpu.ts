import { type MachinistError, machinistError } from '@machinist/api'
import { HsmState, type ResumePoint } from '@machinist/sbi'
import type { vcpuRecord } from '../vcpu-record.ts'
import { Pending } from './pending.ts'
import type { VcpuRegisters } from './registers.ts'
import { checkFile, restoreFile, type SavedFile, saveFile } from './saved-file.ts'

/** A hart as the software core saves it (`SavedHart` of `cpu-riscv`, state version 1): a machine may move between the two. */
export interface SavedVcpu {
  readonly x: readonly bigint[]
  readonly f: readonly bigint[]
  readonly pmpcfg: readonly number[]
  readonly pmpaddr: readonly bigint[]
  readonly csr: Readonly<Record<string, bigint>>
  readonly small: Readonly<Record<string, number>>
  readonly reservation: null
  readonly hsm: number
  readonly resume: ResumePoint | null
  readonly pmu: unknown
  /** Of harts that have an interrupt file. */
  readonly file?: SavedFile
}

/** Registers that have another name there. */
const renamed = {
  stvec: 'vstvec', sscratch: 'vsscratch', sepc: 'vsepc', scause: 'vscause', stval: 'vstval', satp: 'vsatp', stimecmp: 'vstimecmp', mie: 'vsie', scounteren: 'scounteren', senvcfg: 'senvcfg', pc: 'pc',
} as const satisfies Readonly<Record<string, keyof typeof vcpuRecord.fields>>

/** What M-mode firmware leaves behind, which a guest of the hardware never sees: S-mode has everything (see `power-on.ts` of `cpu-riscv`). */
const FIRMWARE_CSR = { mideleg: 0x222n, medeleg: 0xb3ffn, mcounteren: 0xffff_ffffn, menvcfg: (1n << 63n) | (1n << 61n) | 0xf0n } as const
const ZERO_CSR = ['instretOffset', 'cycleOffset', 'mtvec', 'mscratch', 'mepc', 'mcause', 'mtval', 'mcountinhibit'] as const
/** PMP as firmware leaves it: entry 0 opens everything (NAPOT, RWX). */
const OPEN = { cfg: 0x1f, addr: (1n << 54n) - 1n } as const
/** `frm` in `fcsr`. */
const FRM_SHIFT = 5
/** What of `mstatus` S-mode sees and can have set (privileged specification, 12.1.1); SD follows from it. */
const UXL_64 = 2n << 32n
const SXL_64 = 2n << 34n
const SSTATUS = 0x3_000d_e762n

/** PMU of a hart that has none: as `HartPmu` saves one at rest. */
const NO_PMU = { events: new Array<number>(19).fill(-1), running: new Array<boolean>(19).fill(false), values: new Array<string>(19).fill('0') }

export interface VcpuState {
  readonly waiting: boolean
  readonly hsm: number
  readonly resume: ResumePoint | null
}

/** @param retired - instructions that it has retired: its steps, too, as nobody counts traps here */
export function saveVcpu(registers: VcpuRegisters, { waiting, hsm, resume }: VcpuState, retired: number): SavedVcpu {
  const array = (field: 'x' | 'f'): bigint[] => Array.from({ length: 32 }, (_, index) => registers.get(field, index))
  const fcsr = registers.low('fcsr')
  const hvip = registers.low('hvip')
  const external = (hvip & Pending.external) !== 0 || registers.low('external') !== 0
  return {
    x: array('x'),
    f: array('f'),
    pmpcfg: Array.from({ length: 16 }, (_, index) => index === 0 ? OPEN.cfg : 0),
    pmpaddr: Array.from({ length: 16 }, (_, index) => index === 0 ? OPEN.addr : 0n),
    csr: {
      ...Object.fromEntries(Object.entries(renamed).map(([name, field]) => [name, registers.get(field)])),
      ...FIRMWARE_CSR,
      ...Object.fromEntries(ZERO_CSR.map((name) => [name, 0n])),
      mstatus: (registers.get('vsstatus') & SSTATUS) | SXL_64,
      mip: (hvip & Pending.software) === 0 ? 0n : 2n,
      steps: BigInt(retired),
      unretired: 0n,
    },
    small: {
      mode: registers.low('mode') === 0 ? 0 : 1,
      waiting: waiting ? 1 : 0,
      lines: external ? 1 << 9 : 0,
      fflags: fcsr & 0x1f,
      frm: (fcsr >> FRM_SHIFT) & 7,
      builtinSbi: 1,
    },
    reservation: null,
    hsm,
    resume,
    pmu: NO_PMU,
    ...(registers.low('identities') !== 0 && { file: saveFile(registers) }),
  }
}

const bad = (field: string, remedy: string = 'Restore a state that this version saved.'): MachinistError =>
  machinistError({ code: 'bad-state', part: 'hart', value: field, remedy }, 'the saved state is not valid')

/** Takes back a state, all of which is checked before anything changes. @throws a typed error `'bad-state'` when it is none, or one of a hart in M-mode */
export function restoreVcpu(registers: VcpuRegisters, input: unknown): VcpuState {
  if (typeof input !== 'object' || input === null) throw bad('state')
  const saved = input as Partial<Record<keyof SavedVcpu, unknown>>
  const words = (field: 'x' | 'f'): readonly bigint[] => {
    const value = saved[field]
    if (!Array.isArray(value) || value.length !== 32 || !value.every((item) => typeof item === 'bigint')) throw bad(field)
    return value as bigint[]
  }
  const csr = (saved.csr ?? {}) as Readonly<Record<string, unknown>>
  const small = (saved.small ?? {}) as Readonly<Record<string, unknown>>
  const wide = (name: string): bigint => {
    const value = csr[name]
    if (typeof value !== 'bigint') throw bad(name)
    return value
  }
  const number = (name: string, most: number): number => {
    const value = small[name]
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) throw bad(name)
    return value
  }
  const count = (name: string): number => {
    const value = Number(wide(name))
    if (!Number.isSafeInteger(value) || value < 0) throw bad(name)
    return value
  }
  const { hsm } = saved
  const resume = saved.resume as Partial<ResumePoint> | null | undefined
  if (typeof hsm !== 'number' || !Object.values<number>(HsmState).includes(hsm)) throw bad('hsm')
  if (resume !== null && (typeof resume?.pc !== 'bigint' || typeof resume.opaque !== 'bigint')) throw bad('resume')
  const [x, f] = [words('x'), words('f')]
  const [mode, waiting, lines, fflags, frm] = [number('mode', 3), number('waiting', 1), number('lines', 0xffff_ffff), number('fflags', 31), number('frm', 7)]
  const started = hsm === HsmState.started || hsm === HsmState.suspended
  if (mode === 3 && started) throw bad('mode', 'Only machines without firmware of their own run on this hardware.')
  const fields = Object.entries(renamed).map(([name, field]) => [field, wide(name)] as const)
  const [mstatus, mip, steps, unretired] = [wide('mstatus'), wide('mip'), count('steps'), count('unretired')]
  if (unretired > steps) throw bad('unretired')
  const identities = registers.low('identities')
  const file = identities === 0 ? null : checkFile(saved.file, identities)
  if (file === undefined) throw bad('file')

  registers.clear()
  x.forEach((value, index) => { registers.set('x', index === 0 ? 0n : value, index) })
  f.forEach((value, index) => { registers.set('f', value, index) })
  for (const [field, value] of fields) registers.set(field, value)
  registers.set('vsstatus', (mstatus & SSTATUS) | UXL_64)
  registers.set('retired', BigInt(steps - unretired))
  registers.setLow('fcsr', (frm << FRM_SHIFT) | fflags)
  registers.setLow('mode', mode === 0 ? 0 : 1)
  registers.setLow('hvip', ((mip & 2n) === 0n ? 0 : Pending.software) | ((lines & (1 << 9)) === 0 || file !== null ? 0 : Pending.external))
  if (file !== null) restoreFile(registers, file)
  return { waiting: waiting !== 0, hsm, resume: resume === null ? null : { pc: resume.pc ?? 0n, opaque: resume.opaque ?? 0n } }
}
