import { Register, SegmentBit, segmentLayout, SegmentRight, type State, type StateField } from './emit/layout.ts'
import { FlagKind } from './emit/flags.ts'
import { Cr0 } from './emit/control-bits.ts'
import { DR6_RESET, DR7_RESET } from './emit/system/debug.ts'
import { Activity } from './emit/system/events.ts'
import { EventKind } from './emit/system/interrupts.ts'
import { SMBASE_RESET } from './smm.ts'
import { initialExtendedState, writeExtendedState } from './extended-state.ts'

const RDX = 2
const BOOTSTRAP = 1n << 8n
/** All address lines, as A20 lets them be, and A20 itself. */
export const ALL_LINES: bigint = 2n ** 64n - 1n
export const A20: bigint = 1n << 20n
const DATA = SegmentBit.present | SegmentBit.notSystem | SegmentBit.writable | SegmentBit.accessed | SegmentRight.read | SegmentRight.write

/**
 * Makes a processor's state what power-on or INIT leaves (SDM volume 3, table 10-1): about to begin at FFFF_FFF0, or after INIT of one that is not the bootstrap processor by its
 * IA32_APIC_BASE, waiting for SIPI. INIT keeps floating-point and vector registers, MSRs, and how the caches are. What of MSRs is the model's is `becomeModel`'s; steps, lines, and what
 * else is of who runs it stay.
 *
 * @param signature - what EDX tells: family, model and stepping as CPUID does
 */
export function resetState(view: DataView, state: State, kind: 'cold' | 'init', signature = 0): void {
  const set32 = (field: StateField, value: number): void => view.setUint32(state.field(field), value, true)
  const set64 = (field: StateField, value: bigint): void => view.setBigUint64(state.field(field), value, true)
  const get64 = (field: StateField): bigint => view.getBigUint64(state.field(field), true)
  const caches = kind === 'init' ? get64('cr0') & BigInt(Cr0.cd | Cr0.nw) : BigInt(Cr0.cd | Cr0.nw)

  for (let register = 0; register < 16; register++) view.setBigUint64(state.register(register), register === RDX ? BigInt(signature >>> 0) : 0n, true)
  set64('pc', 0xfff0n)
  for (const field of ['direction', 'system', 'cpl', 'external', 'error', 'saved', 'shadow', 'nmiBlocked', 'single', 'repeating', 'debugPending', 'watching', 'fault', 'view'] as const) set32(field, 0)
  for (const field of ['flagResult', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'debugCtl'] as const) set64(field, 0n)
  set32('flagKind', FlagKind.plain)
  set32('event', EventKind.fault)
  set32('mode', 16)
  set64('cr0', caches | BigInt(Cr0.et))

  const segment = (number: number, rights: number, selector = 0, base = 0n): void => {
    const at = state.segment(number)
    view.setBigUint64(at + segmentLayout.base, base, true)
    view.setUint32(at + segmentLayout.low, 0, true)
    view.setUint32(at + segmentLayout.high, 0xffff, true)
    view.setUint32(at + segmentLayout.rights, rights, true)
    view.setUint32(at + segmentLayout.selector, selector, true)
  }
  for (const number of [Register.es, Register.ss, Register.ds, Register.fs, Register.gs, Register.gdtr, Register.idtr]) segment(number, DATA)
  segment(Register.cs, DATA | SegmentBit.code, 0xf000, 0xffff_0000n)
  segment(Register.ldtr, 0x8200)
  segment(Register.tr, 0x8b00)
  for (let number = 0; number < 8; number++) view.setBigUint64(state.field('dr') + 8 * number, number === 6 ? BigInt(DR6_RESET) : number === 7 ? BigInt(DR7_RESET) : 0n, true)

  if (kind === 'cold') {
    for (const field of ['sysenterCs', 'sysenterEsp', 'sysenterEip', 'star', 'lstar', 'cstar', 'fmask', 'kernelGsBase', 'tscAux', 'tscAdjust', 'specCtrl', 'mcgStatus', 'mtrrDefault'] as const) set64(field, 0n)
    for (const [field, count] of [['mtrrFixed', 11], ['mtrrVariable', 16]] as const) new Uint8Array(view.buffer, view.byteOffset + state.field(field), 8 * count).fill(0)
    writeExtendedState(view, state.float, initialExtendedState())
    set64('a20', ALL_LINES)
    for (const field of ['managed', 'managedDebug'] as const) set32(field, 0)
    set32('smbase', SMBASE_RESET)
  }
  set32('waiting', kind === 'init' && (get64('apicBase') & BOOTSTRAP) === 0n ? Activity.waitingForStartUp : Activity.running)
  set32('attention', 1)
}
