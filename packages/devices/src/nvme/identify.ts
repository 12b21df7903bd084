import { ASYNC_EVENTS, COMPLETION_SHIFT, ERROR_ENTRIES, SUBMISSION_SHIFT, TRANSFER_SHIFT, VERSION } from './registers.ts'
import type { Namespace } from './namespace.ts'

/** Bytes of every structure. */
const SIZE = 4096
/** Kelvin: what it measures, and from where on it would be too warm, and far too warm. */
export const Temperature = { now: 313, warning: 343, critical: 353 } as const
/** The one revision of its firmware. */
export const FIRMWARE = '1.0'
/** Commands that abort others which are under way at once, at most. */
const ABORTS = 4

function text(into: Uint8Array, at: number, length: number, value: string): void {
  for (let index = 0; index < length; index++) into[at + index] = value.charCodeAt(index) || 0x20
}

/** The controller (NVMe 1.4, 5.15.2.2). */
export function identifyController(vendor: number, serial: string, namespace: Namespace): Uint8Array {
  const bytes = new Uint8Array(SIZE)
  const view = new DataView(bytes.buffer)
  const model = 'MACHINIST NVME DISK'
  view.setUint16(0, vendor, true)
  view.setUint16(2, vendor, true)
  text(bytes, 4, 20, serial)
  text(bytes, 24, 40, model)
  text(bytes, 64, 8, FIRMWARE)
  bytes[77] = TRANSFER_SHIFT
  view.setUint32(80, VERSION, true)
  bytes[111] = 1 // An I/O controller.
  bytes[258] = ABORTS - 1
  bytes[259] = ASYNC_EVENTS - 1
  bytes[260] = 0x03 // One slot of firmware, which is only read.
  bytes[261] = 0x04 // Get Log Page with offsets.
  bytes[262] = ERROR_ENTRIES - 1
  view.setUint16(266, Temperature.warning, true)
  view.setUint16(268, Temperature.critical, true)
  bytes[512] = SUBMISSION_SHIFT << 4 | SUBMISSION_SHIFT
  bytes[513] = COMPLETION_SHIFT << 4 | COMPLETION_SHIFT
  view.setUint32(516, 1, true)
  view.setUint16(520, (namespace.port.discard === undefined ? 0 : 0x04) | (namespace.port.writeZeroes === undefined ? 0 : 0x08), true)
  bytes[525] = 0x07 // A volatile write cache, which is also flushed for all namespaces at once.
  // The name of controllers without one of their own (7.9).
  const name = `nqn.2014.08.org.nvmexpress:${vendor.toString(16).padStart(4, '0').repeat(2)}${serial.padEnd(20)}${model.padEnd(40)}`
  for (let index = 0; index < name.length; index++) bytes[768 + index] = name.charCodeAt(index)
  view.setUint16(2048, 2500, true) // The one power state: 25 W.
  return bytes
}

/** The namespace (NVMe 1.4, 5.15.2.1). */
export function identifyNamespace({ blocks, blockSize, port }: Namespace): Uint8Array {
  const bytes = new Uint8Array(SIZE)
  const view = new DataView(bytes.buffer)
  for (const at of [0, 8, 16]) view.setBigUint64(at, BigInt(blocks), true)
  view.setBigUint64(48, BigInt(blocks) * BigInt(blockSize), true)
  bytes[99] = port.readOnly ? 1 : 0
  bytes[130] = Math.log2(blockSize)
  return bytes
}

/** Identifiers of active namespaces from one above `after` on (NVMe 1.4, 5.15.2.3). */
export function namespaceList(after: number): Uint8Array {
  const bytes = new Uint8Array(SIZE)
  if (after < 1) bytes[0] = 1
  return bytes
}

/** Descriptors of a namespace (NVMe 1.4, 5.15.2.4): it has no identifier that is unique in the world. */
export function namespaceDescriptors(): Uint8Array {
  return new Uint8Array(SIZE)
}
