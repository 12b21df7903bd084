import { Mode } from './cause.ts'
import { ASID_SLOTS } from './hart-layout.ts'
import type { HartRecord } from './record.ts'
import { Envcfg, XL_64 } from './status.ts'

/** What programs may read below our SBI: `cycle`, `time` and `instret`, as below OpenSBI. */
const SHOWN_COUNTERS = 7n

/** M-mode, everything off (privileged specification, 3.4), about to fetch from `pc`. */
export function powerOn(record: HartRecord, index: number, pc: number, ssaia: boolean): void {
  const steps = record.get64('steps')
  const unretired = record.get64('unretired')
  record.clear()
  // What was retired stays retired.
  record.set64('steps', steps)
  record.set64('unretired', unretired)
  record.set64('mhartid', BigInt(index))
  record.set64('pc', BigInt(pc))
  record.set('mode', Mode.machine)
  record.set64('mstatus', XL_64)
  record.set64('menvcfg', Envcfg.ADUE)
  record.set64('stimecmp', -1n)
  record.set('ssaia', ssaia ? 1 : 0)
}

/** Says which TLB banks a hart has, and that its slots for address spaces are free. */
export function nameBanks(record: HartRecord, [machine = 0, supervisor = 0, slots = 0]: readonly number[]): void {
  record.set('machineBank', machine)
  record.set('supervisorBank', supervisor)
  record.set('slotBanks', slots)
  for (let slot = 1; slot < ASID_SLOTS; slot++) record.set('slotAsid', 0xffff_ffff, slot)
}

/** As M-mode firmware leaves a hart to the operating system: S-mode, everything delegated, timers and caches on. */
export function leaveToSystem(record: HartRecord, index: number, pc: bigint, opaque: bigint): void {
  record.set64('pc', pc)
  record.set64('x', BigInt(index), 10)
  record.set64('x', opaque, 11)
  record.set('mode', Mode.supervisor)
  record.set('builtinSbi', 1)
  record.set('waiting', 0)
  record.set64('satp', 0n)
  record.set64('mstatus', XL_64)
  record.set64('medeleg', 0xb3ffn)
  record.set64('mideleg', 0x222n)
  record.set64('mcounteren', 0xffff_ffffn)
  // Linux sets it only with a PMU's driver, and its vDSO reads `time` in U-mode all the same.
  record.set64('scounteren', SHOWN_COUNTERS)
  record.set64('menvcfg', Envcfg.STCE | Envcfg.ADUE | Envcfg.CBIE | Envcfg.CBCFE | Envcfg.CBZE)
  record.set64('pmpaddr', (1n << 54n) - 1n)
  record.set('pmpcfg', 0x1f)
}
