import type { Decoded } from '../decode/decoder.ts'
import type { OperandKind, OperandSize } from '../isa/operand.ts'
import { opLayout, type State } from './layout.ts'
import { variantOf } from './variant.ts'

const masks = { 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const
/** AH to BH are the second bytes of the first four registers. */
const HIGH_BYTES = 4

/** Writes a decoded instruction as handlers read it. `big` is SS.B. */
export function writeOp(view: DataView, at: number, state: State, decoded: Decoded, big: boolean): void {
  const { form, mode, address, addressSize, segment, immediates, length } = decoded
  const set = (field: number, value: number): void => view.setUint32(at + field, value, true)
  const set64 = (field: number, value: bigint): void => view.setBigUint64(at + field, BigInt.asUintN(64, value), true)
  const register = (number: number): number => state.field(number < 0 ? 'zero' : 'registers') + 8 * Math.max(number, 0)
  set(opLayout.handler, variantOf(decoded))
  set(opLayout.length, length)
  form.operands.forEach(({ kind, size }, i) => set(opLayout.operands + 4 * i, operandAddress(decoded, state, kind, size)))
  set(opLayout.base, address?.relative === true ? state.field('next') : register(address?.base ?? -1))
  set(opLayout.index, form.vsib ? state.float.vector(address?.index ?? 0) : register(address?.index ?? -1))
  set(opLayout.scale, address?.scale ?? 0)
  set(opLayout.segment, state.segment(segment))
  set64(opLayout.displacement, address?.displacement ?? 0n)
  immediates.forEach((value, i) => set64(opLayout.immediates + 8 * i, value))
  set64(opLayout.addressMask, masks[addressSize])
  set64(opLayout.stackMask, masks[mode === 64 ? 8 : big ? 4 : 2])
}

/** Where in the state an operand that is a register lies; of ST(i), which is not known before TOP is, and of control and debug registers the number. */
function operandAddress({ rex, reg, rm, vvvv, immediates, mode }: Decoded, state: State, kind: OperandKind, size: OperandSize): number {
  switch (kind) {
    case 'sreg': return state.segment(reg)
    case 'control':
    case 'debug': return reg
    case 'vreg': return state.float.vector(reg)
    case 'vrm':
    case 'vrmreg': return state.float.vector(rm)
    case 'vvvv': return state.float.vector(vvvv)
    case 'vimm': return state.float.vector(Number((immediates[0] ?? 0n) >> 4n) & (mode === 64 ? 15 : 7))
    case 'mreg': return state.float.register(reg)
    case 'mrm':
    case 'mrmreg': return state.float.register(rm)
    case 'stack': return rm
    case 'vvvvreg': return state.register(vvvv)
    case 'rmreg': return state.register(rm)
    default: {
      const number = kind === 'reg' ? reg : rm
      const high = size === 'b' && !rex && number >= HIGH_BYTES && number < 2 * HIGH_BYTES
      return high ? state.register(number - HIGH_BYTES) + 1 : state.register(number)
    }
  }
}
