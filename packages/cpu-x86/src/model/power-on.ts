import { MISC_ENABLE, MsrGroup } from '../emit/system/msr.ts'
import { x86Layout } from '../emit/layout.ts'
import type { Feature } from './features.ts'
import { maskOf, type Model } from './models.ts'

/** IA32_PAT after reset (SDM volume 3, 12.12.4). */
const PAT_RESET = 0x0007_0406_0007_0406n
/** IA32_APIC_BASE of the processor that starts the others. */
const APIC_BASE_RESET = 0xfee0_0900n
const groups: readonly (readonly [number, readonly Feature[]])[] = [
  [MsrGroup.tsc, ['tsc']], [MsrGroup.sep, ['sep']], [MsrGroup.mtrr, ['mtrr']], [MsrGroup.pat, ['pat']], [MsrGroup.efer, ['syscall', 'lm', 'nx']], [MsrGroup.long, ['lm']], [MsrGroup.tscAux, ['rdtscp', 'rdpid']],
  [MsrGroup.tscAdjust, ['tscAdjust']], [MsrGroup.speculation, ['specCtrl']], [MsrGroup.capabilities, ['archCapabilities']], [MsrGroup.apic, ['apic']], [MsrGroup.machineCheck, ['mca']], [MsrGroup.intel, ['mtrr']],
]

/** What of a state at `at` says which model it is, and MSRs as they are at power-on (SDM volume 3, table 10-1). */
export function becomeModel(view: DataView, at: number, model: Model): void {
  const { offset } = x86Layout
  const set = (field: 'cr4Bits' | 'eferBits' | 'xcr0Bits' | 'xcr0' | 'pat' | 'miscEnable' | 'apicBase', value: bigint): void => view.setBigUint64(at + offset[field], value, true)
  set('cr4Bits', BigInt(maskOf(model, 'cr4')))
  set('eferBits', BigInt(maskOf(model, 'efer')))
  set('xcr0Bits', BigInt(model.features.has('xsave') ? maskOf(model, 'xcr0') : 1))
  set('xcr0', 1n)
  set('pat', PAT_RESET)
  set('miscEnable', BigInt(MISC_ENABLE.reset))
  set('apicBase', model.features.has('apic') ? APIC_BASE_RESET : 0n)
  const p5 = model.features.has('mce') && !model.features.has('mca') ? MsrGroup.p5 : 0
  view.setUint32(at + offset.msrGroups, groups.reduce((mask, [group, any]) => any.some((feature) => model.features.has(feature)) ? mask | group : mask, p5), true)
}
