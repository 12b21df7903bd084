import { Attr, Clocking, Crtc, Gfx, Misc, PALETTE_ON, Port, PROTECT, Seq, Status, Vbe, VBE_ID, VBE_MOST, VbeEnable } from './registers.ts'
import type { VgaRegisters } from './state.ts'

/** What a guest's accesses to ports do. */
export interface PortActions {
  /** Virtual nanoseconds. */
  now(): number
  /** Bytes of video memory. */
  readonly memory: number
  /** What is shown may have changed. */
  changed(): void
  /** A mode of the display interface was set, which begins with an empty screen. */
  /** Has the first bytes of video memory be zeros. */
  clear(bytes: number): void
}

/** A picture takes so long (70 Hz), of which the last part is its vertical retrace; and a line so long. */
const FRAME = 14_268_000
const RETRACE = 13_450_000
const LINE = 31_780
const SHOWN = 25_400

/** Registers that do not keep all bits that are written. */
const SEQ_BITS: readonly number[] = [0x03, 0x3d, 0x0f, 0x3f, 0x0e]
const GFX_BITS: readonly number[] = [0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff]

/** The ports of the VGA from 3B0h on. Those of the CRTC are at one of two places, by bit 0 of miscellaneous output. */
export function readPort(registers: VgaRegisters, port: number, actions: PortActions): number {
  const color = (registers.misc & Misc.color) !== 0
  switch (port) {
    case Port.attribute: return registers.attrIndex
    case Port.attributeRead: return registers.attr[registers.attrIndex & 0x1f] ?? 0
    case Port.misc: return Status.switchSense
    case Port.sequencerIndex: return registers.seqIndex
    case Port.sequencerData: return registers.seq[registers.seqIndex] ?? 0
    case Port.dacMask: return registers.dacMask
    // Which of the two was set last.
    case Port.dacReadIndex: return registers.dacReading ? 3 : 0
    case Port.dacWriteIndex: return Math.floor(registers.dacWrite / 3)
    case Port.dacData: {
      const value = registers.dac[registers.dacRead] ?? 0
      registers.dacRead = (registers.dacRead + 1) % registers.dac.length
      return value
    }
    case Port.featureRead: return 0
    case Port.miscRead: return registers.misc
    case Port.graphicsIndex: return registers.gfxIndex
    case Port.graphicsIndex + 1: return registers.gfx[registers.gfxIndex] ?? 0
    case Port.crtcIndex: case Port.crtcIndexMono: return color === (port === Port.crtcIndex) ? registers.crtcIndex : 0xff
    case Port.crtcData: case Port.crtcDataMono: return color === (port === Port.crtcData) ? registers.crtc[registers.crtcIndex] ?? 0 : 0xff
    case Port.status: case Port.statusMono: {
      if (color !== (port === Port.status)) return 0xff
      registers.attrData = false
      const [frame, line] = [actions.now() % FRAME, actions.now() % LINE]
      return frame >= RETRACE ? Status.retrace | Status.disabled : line >= SHOWN ? Status.disabled : 0
    }
    default: return 0xff
  }
}

export function writePort(registers: VgaRegisters, port: number, value: number, actions: PortActions): void {
  const color = (registers.misc & Misc.color) !== 0
  switch (port) {
    case Port.attribute:
      if (!registers.attrData) registers.attrIndex = value & (PALETTE_ON | 0x1f)
      else {
        const index = registers.attrIndex & 0x1f
        // While it is shown, the palette does not change.
        if (index < Attr.count && (index >= 16 || (registers.attrIndex & PALETTE_ON) === 0)) registers.attr[index] = index < 16 ? value & 0x3f : value
      }
      registers.attrData = !registers.attrData
      break
    case Port.misc: registers.misc = value & ~0x10; break
    case Port.sequencerIndex: registers.seqIndex = value & 7; return
    case Port.sequencerData:
      if (registers.seqIndex < Seq.count) registers.seq[registers.seqIndex] = value & (SEQ_BITS[registers.seqIndex] ?? 0)
      break
    case Port.dacMask: registers.dacMask = value; break
    case Port.dacReadIndex:
      registers.dacRead = value * 3
      registers.dacReading = true
      return
    case Port.dacWriteIndex:
      registers.dacWrite = value * 3
      registers.dacReading = false
      return
    case Port.dacData:
      registers.dac[registers.dacWrite] = ((registers.vbe[Vbe.enable] ?? 0) & VbeEnable.dac8) !== 0 ? value : value & 0x3f
      registers.dacWrite = (registers.dacWrite + 1) % registers.dac.length
      break
    case Port.graphicsIndex: registers.gfxIndex = value & 15; return
    case Port.graphicsIndex + 1:
      if (registers.gfxIndex < Gfx.count) registers.gfx[registers.gfxIndex] = value & (GFX_BITS[registers.gfxIndex] ?? 0)
      break
    case Port.crtcIndex: case Port.crtcIndexMono:
      if (color === (port === Port.crtcIndex)) registers.crtcIndex = value & 0x3f
      return
    case Port.crtcData: case Port.crtcDataMono:
      if (color === (port === Port.crtcData)) writeCrtc(registers, value)
      break
    default: return
  }
  actions.changed()
}

/** Registers 0 to 7 may be protected, apart from the ninth bit of the line at which the screen is split. */
function writeCrtc(registers: VgaRegisters, value: number): void {
  const { crtc, crtcIndex: index } = registers
  if (index >= Crtc.count) return
  const locked = index <= Crtc.overflow && ((crtc[Crtc.retraceEnd] ?? 0) & PROTECT) !== 0
  if (!locked) crtc[index] = value
  else if (index === Crtc.overflow) crtc[index] = ((crtc[index] ?? 0) & ~0x10) | (value & 0x10)
}

export function readVbe(registers: VgaRegisters, { memory }: PortActions): number {
  const { vbe, vbeIndex } = registers
  if (vbeIndex === Vbe.memory64K) return memory / 0x1_0000
  if (((vbe[Vbe.enable] ?? 0) & VbeEnable.capabilities) !== 0) {
    if (vbeIndex === Vbe.xres) return VBE_MOST.width
    if (vbeIndex === Vbe.yres) return VBE_MOST.height
    if (vbeIndex === Vbe.bpp) return VBE_MOST.bpp
  }
  return vbe[vbeIndex] ?? 0
}

export function writeVbe(registers: VgaRegisters, value: number, actions: PortActions): void {
  const { vbe, vbeIndex: index } = registers
  const on = ((vbe[Vbe.enable] ?? 0) & VbeEnable.on) !== 0
  switch (index) {
    case Vbe.id: if (value >= VBE_ID.least && value <= VBE_ID.most) vbe[index] = value; break
    case Vbe.xres: if (!on && value <= VBE_MOST.width && value % 8 === 0) vbe[index] = value; break
    case Vbe.yres: if (!on && value <= VBE_MOST.height) vbe[index] = value; break
    case Vbe.bpp: if (!on && [4, 8, 15, 16, 24, 32].includes(value)) vbe[index] = value; break
    case Vbe.bank: if (value * 0x1_0000 < actions.memory) vbe[index] = value; break
    case Vbe.virtualWidth: if (on && value >= (vbe[Vbe.xres] ?? 0)) setPitch(registers, value, actions.memory); break
    case Vbe.xOffset: case Vbe.yOffset: if (on) vbe[index] = value; break
    case Vbe.enable: enableVbe(registers, value, actions); break
    default: return
  }
  actions.changed()
}

/** Bytes of a line of pixels; those of planes have a byte for eight. */
export function lineBytes(bpp: number, width: number): number {
  return bpp === 4 ? width / 2 : width * Math.ceil(bpp / 8)
}

function setPitch({ vbe }: VgaRegisters, width: number, memory: number): void {
  const lines = Math.floor(memory / Math.max(1, lineBytes(vbe[Vbe.bpp] ?? 8, width)))
  if (lines < (vbe[Vbe.yres] ?? 0)) return
  vbe[Vbe.virtualWidth] = width
  vbe[Vbe.virtualHeight] = Math.min(lines, 0xffff)
}

function enableVbe(registers: VgaRegisters, value: number, actions: PortActions): void {
  const { vbe } = registers
  const was = vbe[Vbe.enable] ?? 0
  const [width, height, bpp] = [vbe[Vbe.xres] ?? 0, vbe[Vbe.yres] ?? 0, vbe[Vbe.bpp] ?? 0]
  const possible = width > 0 && height > 0 && bpp > 0 && lineBytes(bpp, width) * height <= actions.memory
  const kept = value & (VbeEnable.on | VbeEnable.capabilities | VbeEnable.dac8 | VbeEnable.linear | VbeEnable.noClear)
  const now = possible ? kept : kept & ~VbeEnable.on
  vbe[Vbe.enable] = now
  vbe[Vbe.bank] = 0
  if ((now & VbeEnable.on) === 0 || (was & VbeEnable.on) !== 0) return
  vbe[Vbe.xOffset] = vbe[Vbe.yOffset] = 0
  setPitch(registers, width, actions.memory)
  // What the screen shows, and no more.
  if ((kept & VbeEnable.noClear) === 0) actions.clear(lineBytes(bpp, width) * height)
}

/** Whether the screen is dark. */
export function isDark({ seq, attrIndex, vbe }: VgaRegisters): boolean {
  return ((vbe[Vbe.enable] ?? 0) & VbeEnable.on) === 0 && (((seq[Seq.clocking] ?? 0) & Clocking.screenOff) !== 0 || (attrIndex & PALETTE_ON) === 0)
}
