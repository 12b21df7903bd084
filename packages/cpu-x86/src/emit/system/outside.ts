import type { FuncRef, ModuleBuilder } from '@machinist/wasm'

/** What whoever runs the code brings (`outsideCalls` in outside.ts): parameters and result. */
const signatures = {
  /** `(port, bytes)`, and `(port, bytes, value)`. */
  readPort: [['i32', 'i32'], 'i32'],
  writePort: [['i32', 'i32', 'i32'], 'void'],
  /** EAX to EDX, by EAX and ECX. */
  cpuid: [[], 'void'],
  /** Counts of the machine's time. */
  ticks: [[], 'f64'],
  /** 64 random bits. */
  entropy: [[], 'i64'],
  /** `(number)`: an MSR of the local APIC, to and from `mailbox`; 1 when there is none, or the value is none. */
  readLocalMsr: [['i32'], 'i32'],
  writeLocalMsr: [['i32'], 'i32'],
  /** `(offset, bytes)` of 1, 2, 4 or 8: registers on the page of the local APIC, to and from `mailbox`; 1 when that is not there. */
  localRead: [['i32', 'i32'], 'i32'],
  localWrite: [['i32', 'i32'], 'i32'],
  /** `(by)`: the time-stamp counter was moved; the deadline that the local APIC waits for is one of it. */
  timeMoved: [['i64'], 'void'],
  /** CR8: the local APIC's task priority. */
  readPriority: [[], 'i32'],
  writePriority: [['i32'], 'void'],
  /** The vector of the interrupt that is asserted at INTR. */
  acknowledge: [[], 'i32'],
  /** INIT: makes the state what that leaves (`resetState`). */
  initialise: [[], 'void'],
  /** SMI: saves the state and makes it that of the handler; RSM: 1 when what was saved is no state (smm.ts). */
  enterManagement: [[], 'void'],
  leaveManagement: [[], 'i32'],
  /** What a debugger is asked while the state's `debug` says so. Before an instruction is executed: 1 when it is not to be, with `leave` set. */
  debugFetch: [[], 'i32'],
  /** `(low, high)` of a linear address: 1 when the code of its page is to go step by step. */
  debugPage: [['i32', 'i32'], 'i32'],
  /** `(low, high, bytes, access)` on one page: 1 when the TLB is not to have it. With 0 bytes it is no access of a program's. */
  debugAccess: [['i32', 'i32', 'i32', 'i32'], 'i32'],
} as const

export type OutsideFunctions = { readonly [Name in keyof typeof signatures]: FuncRef<(typeof signatures)[Name][0], (typeof signatures)[Name][1]> }

/** Their names. */
export const outsideNames: readonly (keyof OutsideFunctions)[] = Object.keys(signatures) as (keyof OutsideFunctions)[]

/** Declares them as imports of a module. */
export function importOutside(m: ModuleBuilder): OutsideFunctions {
  return Object.fromEntries(Object.entries(signatures).map(([name, [params, result]]) => [name, m.importFunction('host', name, params, result)])) as unknown as OutsideFunctions
}
