/** Numbers of the GPU device (virtio 1.2, 5.7), of what is 2D. */
import type { PixelFormat } from '@machinist/api'

/** VIRTIO_GPU_F_EDID (5.7.3). */
export const edidFeature = 1
/** `struct virtio_gpu_config` (5.7.4). */
export const gpuConfig = { eventsRead: 0, eventsClear: 4, scanouts: 8, capsets: 12, size: 16 } as const
/** VIRTIO_GPU_EVENT_DISPLAY. */
export const displayEvent = 1
export const mostScanouts = 16
export const gpuQueue = { control: 0, cursor: 1 } as const

/** `struct virtio_gpu_ctrl_hdr` (5.7.6.7). */
export const header = { type: 0, flags: 4, fenceId: 8, contextId: 16, ringIndex: 20, size: 24 } as const
export const fenceFlag = 1

/** Commands (5.7.6.7). */
export const command = {
  getDisplayInfo: 0x100, resourceCreate2d: 0x101, resourceUnref: 0x102, setScanout: 0x103, resourceFlush: 0x104, transferToHost2d: 0x105,
  attachBacking: 0x106, detachBacking: 0x107, getEdid: 0x10a, updateCursor: 0x300, moveCursor: 0x301,
} as const
/** Answers. */
export const response = {
  nodata: 0x1100, displayInfo: 0x1101, edid: 0x1104,
  unspecified: 0x1200, outOfMemory: 0x1201, invalidScanout: 0x1202, invalidResource: 0x1203, invalidParameter: 0x1205,
} as const

/** Bytes of each command, its header included. */
export const commandSize: ReadonlyMap<number, number> = new Map([
  [command.getDisplayInfo, 24], [command.resourceCreate2d, 40], [command.resourceUnref, 32], [command.setScanout, 48], [command.resourceFlush, 48],
  [command.transferToHost2d, 56], [command.attachBacking, 32], [command.detachBacking, 32], [command.getEdid, 32], [command.updateCursor, 56], [command.moveCursor, 56],
])
export const longestCommand = 56
/** Those of the cursor queue; all others belong to the control queue (5.7.2). */
export const cursorCommands: ReadonlySet<number> = new Set([command.updateCursor, command.moveCursor])
export const memoryEntrySize = 16
/** For each scanout: a rectangle, enabled, flags. */
export const displayModeSize = 24
/** Bytes of EDID that an answer has room for. */
export const edidRoom = 1024

export const bytesPerPixel = 4
/** Pixels of width and height of a cursor (5.7.6.10). */
export const largestCursor = 64
/** `enum virtio_gpu_formats`. */
export const formats: ReadonlyMap<number, PixelFormat> = new Map([
  [1, 'b8g8r8a8'], [2, 'b8g8r8x8'], [3, 'a8r8g8b8'], [4, 'x8r8g8b8'], [67, 'r8g8b8a8'], [68, 'x8b8g8r8'], [121, 'a8b8g8r8'], [134, 'r8g8b8x8'],
])
/** A cursor has alpha, whatever its resource says: Linux makes all its resources without. */
export const cursorFormat: Readonly<Record<PixelFormat, PixelFormat>> = {
  b8g8r8a8: 'b8g8r8a8', b8g8r8x8: 'b8g8r8a8', a8r8g8b8: 'a8r8g8b8', x8r8g8b8: 'a8r8g8b8',
  r8g8b8a8: 'r8g8b8a8', x8b8g8r8: 'a8b8g8r8', a8b8g8r8: 'a8b8g8r8', r8g8b8x8: 'r8g8b8a8',
}
