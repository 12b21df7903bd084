import type { LocalController, PortBus } from '@machinist/api'
import { x86Layout } from './emit/layout.ts'
import type { OutsideFunctions } from './emit/system/outside.ts'
import { Cr4 } from './emit/control-bits.ts'
import { cpuid } from './model/cpuid.ts'
import type { Model } from './model/models.ts'

/** What a processor reaches outside itself. */
export interface Outside {
  readonly model: Model
  /** Its number, how many there are, and counts of the time-stamp counter in a second. */
  readonly hart: number
  readonly harts: number
  readonly timeFrequency: number
  readonly ports: Pick<PortBus, 'read' | 'write'> | null
  /** Counts since the machine was made. */
  ticks(): number
  /** 64 random bits. */
  entropy(): bigint
  /** Asked for at the first access. */
  local(): LocalController | null
}

/** The functions by those names, but for those of events, over a state that begins at `at` in `view`. */
export type OutsideCalls = Readonly<Record<Exclude<keyof OutsideFunctions, 'acknowledge' | 'initialise' | 'enterManagement' | 'leaveManagement'>, (...args: never[]) => number | bigint | void>>

const APIC_BASE = 0x1b
const TSC_DEADLINE = 0x6e0
const APIC_ENABLED = 0x800n

/** What generated code calls (system/outside.ts), over a state that begins at `at`. `view` is asked for each time, since memory may grow. */
export function outsideCalls(view: () => DataView, at: number, outside: Outside): OutsideCalls {
  const { model, hart, harts, timeFrequency, ports } = outside
  const { offset } = x86Layout
  const get = (field: 'mailbox' | 'apicBase' | 'cr4' | 'xcr0' | 'tscAdjust' | 'timeBase' | 'cr8'): bigint => view().getBigUint64(at + offset[field], true)
  const set = (field: 'mailbox' | 'apicBase' | 'cr8', value: bigint): void => view().setBigUint64(at + offset[field], BigInt.asUintN(64, value), true)
  const register = (number: number): number => at + offset.registers + 8 * number
  const words = new Uint32Array(2)
  let found: LocalController | null | undefined
  const local = (): LocalController | null => found === undefined ? found = outside.local() : found
  /** From the machine's count to what the guest calls the time-stamp counter, with its sign: deadlines are the machine's. */
  const adjusted = (): bigint => BigInt.asIntN(64, get('tscAdjust'))
  /** A deadline of the machine's, which is not zero; one that the machine has behind it has come. */
  const deadlineAt = (count: bigint): bigint => count < 1n ? 1n : BigInt.asUintN(64, count)
  const readLocalMsr = (msr: number): number => {
    const controller = local()
    if (!controller) {
      if (msr !== APIC_BASE) return 1
      set('mailbox', get('apicBase'))
      return 0
    }
    if (!controller.readMsr(hart, msr, words)) return 1
    const value = BigInt(words[1] ?? 0) << 32n | BigInt(words[0] ?? 0)
    set('mailbox', msr === TSC_DEADLINE && value !== 0n ? value + adjusted() : value)
    return 0
  }
  return {
    // Registers are of 32 bits; what narrower stores do is not defined (SDM volume 3, 12.4.1).
    localRead: (from: number, bytes: number): number => {
      const value = local()?.read(hart, from & ~3) ?? -1
      if (value < 0) return 1
      set('mailbox', BigInt(value) >> BigInt(8 * (from & 3)) & (1n << BigInt(8 * bytes)) - 1n)
      return 0
    },
    localWrite: (to: number, bytes: number): number => {
      const controller = local()
      if (!controller) return 1
      return bytes < 4 || controller.write(hart, to, Number(get('mailbox') & 0xffff_ffffn)) ? 0 : 1
    },
    // There is no debugger.
    debugFetch: () => 0,
    debugPage: () => 0,
    debugAccess: () => 0,
    readPort: (port: number, bytes: 1 | 2 | 4): number => ports ? ports.read(port, bytes) : -1,
    writePort: (port: number, bytes: 1 | 2 | 4, value: number): void => ports?.write(port, bytes, value >>> 0),
    cpuid: (): void => {
      const now = view()
      const place = { hart, harts, timeFrequency, osxsave: (get('cr4') & BigInt(Cr4.osxsave)) !== 0n, xcr0: Number(get('xcr0')), apic: (get('apicBase') & APIC_ENABLED) !== 0n }
      const [eax, ebx, ecx, edx] = cpuid(model, now.getUint32(register(0), true), now.getUint32(register(1), true), place)
      for (const [number, value] of [[0, eax], [3, ebx], [1, ecx], [2, edx]] as const) now.setBigUint64(register(number), BigInt(value >>> 0), true)
    },
    ticks: () => outside.ticks(),
    entropy: () => BigInt.asIntN(64, outside.entropy()),
    readLocalMsr,
    writeLocalMsr: (msr: number): number => {
      const controller = local()
      const value = get('mailbox')
      if (!controller) return 1
      const given = msr === TSC_DEADLINE && value !== 0n ? deadlineAt(value - adjusted()) : value
      if (!controller.writeMsr(hart, msr, Number(given & 0xffff_ffffn), Number(given >> 32n))) return 1
      // Accesses to the APIC's page are found by a copy of its base.
      if (msr === APIC_BASE && readLocalMsr(msr) === 0) set('apicBase', get('mailbox'))
      return 0
    },
    timeMoved: (by: bigint): void => {
      const controller = local()
      if (!controller?.readMsr(hart, TSC_DEADLINE, words)) return
      const count = BigInt(words[1] ?? 0) << 32n | BigInt(words[0] ?? 0)
      if (count === 0n) return
      const next = deadlineAt(count - BigInt.asIntN(64, by))
      controller.writeMsr(hart, TSC_DEADLINE, Number(next & 0xffff_ffffn), Number(next >> 32n))
    },
    readPriority: (): number => local()?.readPriority(hart) ?? Number(get('cr8')),
    writePriority: (value: number): void => {
      const controller = local()
      if (controller) controller.writePriority(hart, value)
      else set('cr8', BigInt(value))
    },
  }
}
