/** Numbers of the input device (virtio 1.2, 5.8) and of the evdev events that it carries. */

/** `struct virtio_input_config` (5.8.4). */
export const inputConfig = { select: 0, subsel: 1, size: 2, union: 8, length: 136 } as const
/** What `select` may name. */
export const configSelect = { idName: 1, idSerial: 2, idDevids: 3, propBits: 0x10, evBits: 0x11, absInfo: 0x12 } as const
/** Bytes that a name or a bitmap may have. */
export const longestConfig = 128
/** `struct virtio_input_event` (5.8.6). */
export const inputEvent = { type: 0, code: 2, value: 4, size: 8 } as const
export const inputQueue = { event: 0, status: 1 } as const

/** Types of events. */
export const ev = { syn: 0, key: 1, rel: 2, abs: 3, led: 0x11, rep: 0x14 } as const
/** Codes that our devices know. */
export const rel = { x: 0, y: 1, hwheel: 6, wheel: 8 } as const
export const abs = { x: 0, y: 1 } as const
export const led = { numLock: 0, capsLock: 1, scrollLock: 2 } as const
export const rep = { delay: 0, period: 1 } as const
export const button = { left: 0x110, right: 0x111, middle: 0x112, side: 0x113, extra: 0x114 } as const
/** The keys of a keyboard: KEY_ESC to KEY_MICMUTE; KEY_POWER among them. */
export const key = { first: 1, last: 248, power: 116 } as const
/** INPUT_PROP_POINTER. */
export const propPointer = 0
/** BUS_VIRTUAL. */
export const busVirtual = 6
