/**
 * The video graphics array (IBM VGA technical reference, order 042204; "VGA" below), and the display interface of Bochs with which a frame buffer of more colours is set ("VBE").
 * Registers of its five parts are found by an index; here they are by those numbers.
 */

/** Ports, by offset from 3B0h: those from 3B0h to 3BBh are for monochrome, the others for all. */
export const Port = {
  crtcIndexMono: 0x04, crtcDataMono: 0x05, statusMono: 0x0a,
  attribute: 0x10, attributeRead: 0x11, misc: 0x12, sequencerIndex: 0x14, sequencerData: 0x15, dacMask: 0x16, dacReadIndex: 0x17, dacWriteIndex: 0x18, dacData: 0x19, featureRead: 0x1a, miscRead: 0x1c,
  graphicsIndex: 0x1e, graphicsData: 0x1f, crtcIndex: 0x24, crtcData: 0x25, status: 0x2a,
} as const
export const PORTS = { first: 0x3b0, mono: 12, color: 32, colorAt: 0x3c0, vbe: 0x1ce } as const

/** Miscellaneous output: ports of the CRTC are those for colour; memory is enabled. */
export const Misc = { color: 0x01, memory: 0x02 } as const
/** Input status 0 and 1. */
export const Status = { switchSense: 0x10, disabled: 0x01, retrace: 0x08 } as const

/** Sequencer. */
export const Seq = { reset: 0, clocking: 1, mapMask: 2, fontSelect: 3, memoryMode: 4, count: 5 } as const
export const Clocking = { eightDots: 0x01, halfClock: 0x08, screenOff: 0x20 } as const
export const MemoryMode = { extended: 0x02, notOddEven: 0x04, chain4: 0x08 } as const

/** Graphics controller. */
export const Gfx = { setReset: 0, enableSetReset: 1, compare: 2, rotate: 3, readMap: 4, mode: 5, misc: 6, dontCare: 7, bitMask: 8, count: 9 } as const
export const GfxMode = { write: 3, read: 0x08, oddEven: 0x10, interleave: 0x20, shift256: 0x40 } as const
export const GfxMisc = { graphics: 0x01, chainOddEven: 0x02, mapShift: 2 } as const

/** CRT controller. */
export const Crtc = {
  horizontalEnd: 0x01, overflow: 0x07, presetRow: 0x08, maximumScan: 0x09, cursorStart: 0x0a, cursorEnd: 0x0b, startHigh: 0x0c, startLow: 0x0d, cursorHigh: 0x0e, cursorLow: 0x0f,
  retraceEnd: 0x11, verticalEnd: 0x12, offset: 0x13, underline: 0x14, mode: 0x17, lineCompare: 0x18, count: 0x19,
} as const
export const PROTECT = 0x80
export const CursorStart = { off: 0x20, row: 0x1f } as const
export const MaximumScan = { row: 0x1f, lineCompare9: 0x40, doubled: 0x80 } as const
export const CrtcMode = { notCga: 0x01, notHercules: 0x02, bytes: 0x40 } as const
export const DOUBLE_WORDS = 0x40

/** Attribute controller: sixteen colours, then these. */
export const Attr = { mode: 0x10, overscan: 0x11, planes: 0x12, panning: 0x13, colorSelect: 0x14, count: 0x15 } as const
export const AttrMode = { graphics: 0x01, lineGraphics: 0x04, blink: 0x08, eightBit: 0x40, selectColors: 0x80 } as const
/** Bit 5 of the index: the screen shows the palette. */
export const PALETTE_ON = 0x20

/** Registers of the display interface, and bits of ENABLE. */
export const Vbe = { id: 0, xres: 1, yres: 2, bpp: 3, enable: 4, bank: 5, virtualWidth: 6, virtualHeight: 7, xOffset: 8, yOffset: 9, memory64K: 10, count: 11 } as const
export const VbeEnable = { on: 0x01, capabilities: 0x02, dac8: 0x20, linear: 0x40, noClear: 0x80 } as const
export const VBE_ID = { least: 0xb0c0, most: 0xb0c5 } as const
/** Largest picture that the interface makes. */
export const VBE_MOST = { width: 2560, height: 1600, bpp: 32 } as const

export const BANK = 0x1_0000
/** Bytes of the four planes of the VGA, and of the window that shows them. */
export const PLANES = 0x4_0000
export const WINDOW = { base: 0xa_0000, size: 0x2_0000 } as const
