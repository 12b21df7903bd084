import { FIRMWARE, Temperature } from './identify.ts'
import type { Traffic } from './namespace.ts'
import { ERROR_ENTRIES } from './registers.ts'

/** Something that went wrong (NVMe 1.4, 5.14.1.1). */
export interface NvmeErrorEntry {
  /** Counts up, from 1 on. */
  readonly count: number
  readonly queue: number
  readonly command: number
  readonly status: number
  readonly block: number
  readonly namespace: number
}

const ENTRY = 64
/** Bytes of the other pages. */
const SIZE = 512

/** Errors, the last first. */
export function errorLog(errors: readonly NvmeErrorEntry[]): Uint8Array {
  const bytes = new Uint8Array(ENTRY * ERROR_ENTRIES)
  const view = new DataView(bytes.buffer)
  errors.forEach(({ count, queue, command, status, block, namespace }, index) => {
    const at = index * ENTRY
    view.setBigUint64(at, BigInt(count), true)
    view.setUint16(at + 8, queue, true)
    view.setUint16(at + 10, command, true)
    view.setUint16(at + 12, status << 1, true)
    view.setUint16(at + 14, 0xffff, true)
    view.setBigUint64(at + 16, BigInt.asUintN(64, BigInt(block)), true)
    view.setUint32(at + 24, namespace, true)
  })
  return bytes
}

/** SMART and health (NVMe 1.4, 5.14.1.2). */
export function healthLog(warning: number, { reads, writes, sectorsRead, sectorsWritten, mediaErrors }: Traffic, errors: number): Uint8Array {
  const bytes = new Uint8Array(SIZE)
  const view = new DataView(bytes.buffer)
  bytes[0] = warning
  view.setUint16(1, Temperature.now, true)
  bytes.set([100, 10, 0], 3)
  const counts = [[32, Math.ceil(sectorsRead / 1000)], [48, Math.ceil(sectorsWritten / 1000)], [64, reads], [80, writes], [112, 1], [160, mediaErrors], [176, errors]] as const
  for (const [at, count] of counts) view.setBigUint64(at, BigInt(count), true)
  return bytes
}

/** Slots of firmware (NVMe 1.4, 5.14.1.3). */
export function firmwareLog(): Uint8Array {
  const bytes = new Uint8Array(SIZE)
  bytes[0] = 1
  for (let index = 0; index < 8; index++) bytes[8 + index] = FIRMWARE.charCodeAt(index) || 0x20
  return bytes
}
