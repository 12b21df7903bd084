import { FloatState, floatLayout, initialControl } from './emit/float-state.ts'

/** Bytes of what `Interpreter.extendedState` is: the legacy region, the header, and the upper halves of YMM (SDM volume 1, 13.4). */
export const EXTENDED_STATE_SIZE = 832

/** Fields of the legacy region (SDM volume 1, table 13-1), and where the upper halves of YMM begin. */
export const legacyRegion = { control: 0, status: 2, tags: 4, opcode: 6, instruction: 8, operand: 16, mxcsr: 24, mxcsrMask: 28, stack: 32, vectors: 160, header: 512, upper: 576 } as const

/** Every bit of MXCSR that may be set, DAZ among them. */
export const MXCSR_MASK = 0xffff
const TOP_SHIFT = 11

/** As reset and FNINIT leave it: x87 empty, all exceptions masked, zero in all registers. */
export function initialExtendedState(): Uint8Array {
  const image = new Uint8Array(EXTENDED_STATE_SIZE)
  const view = new DataView(image.buffer)
  view.setUint16(legacyRegion.control, initialControl.control, true)
  view.setUint32(legacyRegion.mxcsr, initialControl.mxcsr, true)
  return image
}

export function readExtendedState(view: DataView, state: FloatState): Uint8Array {
  const image = initialExtendedState()
  const out = new DataView(image.buffer)
  const at = (field: keyof typeof floatLayout.fields): number => state.at + floatLayout.offset[field]
  const status = view.getUint16(at('status'), true)
  out.setUint16(legacyRegion.control, view.getUint16(at('control'), true), true)
  out.setUint16(legacyRegion.status, status, true)
  out.setUint8(legacyRegion.tags, view.getUint8(at('tags')))
  out.setUint16(legacyRegion.opcode, view.getUint16(at('opcode'), true), true)
  out.setBigUint64(legacyRegion.instruction, view.getBigUint64(at('instruction'), true), true)
  out.setBigUint64(legacyRegion.operand, view.getBigUint64(at('operand'), true), true)
  out.setUint32(legacyRegion.mxcsr, view.getUint32(at('mxcsr'), true), true)
  out.setUint32(legacyRegion.mxcsrMask, MXCSR_MASK, true)
  const memory = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  const copy = (to: number, from: number, bytes: number): void => image.set(memory.subarray(from, from + bytes), to)
  for (let i = 0; i < 8; i++) copy(legacyRegion.stack + 16 * i, state.register((status >> TOP_SHIFT) + i & 7), 10)
  for (let i = 0; i < 16; i++) {
    copy(legacyRegion.vectors + 16 * i, state.vector(i), 16)
    copy(legacyRegion.upper + 16 * i, state.vector(i) + 16, 16)
  }
  return image
}

export function writeExtendedState(view: DataView, state: FloatState, image: Uint8Array): void {
  const source = new DataView(image.buffer, image.byteOffset, image.byteLength)
  const at = (field: keyof typeof floatLayout.fields): number => state.at + floatLayout.offset[field]
  const status = source.getUint16(legacyRegion.status, true)
  view.setUint32(at('control'), source.getUint16(legacyRegion.control, true), true)
  view.setUint32(at('status'), status, true)
  view.setUint32(at('tags'), source.getUint8(legacyRegion.tags), true)
  view.setUint32(at('opcode'), source.getUint16(legacyRegion.opcode, true), true)
  view.setBigUint64(at('instruction'), source.getBigUint64(legacyRegion.instruction, true), true)
  view.setBigUint64(at('operand'), source.getBigUint64(legacyRegion.operand, true), true)
  view.setUint32(at('mxcsr'), source.getUint32(legacyRegion.mxcsr, true) & MXCSR_MASK, true)
  const memory = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  const copy = (to: number, from: number, bytes: number): void => memory.set(image.subarray(from, from + bytes), to)
  for (let i = 0; i < 8; i++) copy(state.register((status >> TOP_SHIFT) + i & 7), legacyRegion.stack + 16 * i, 10)
  for (let i = 0; i < 16; i++) {
    copy(state.vector(i), legacyRegion.vectors + 16 * i, 16)
    copy(state.vector(i) + 16, legacyRegion.upper + 16 * i, 16)
  }
}
