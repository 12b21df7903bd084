import { type Device, type DeviceContext, machinistError, type Rectangle, type Timer, type Width } from '@machinist/api'
import { plainData } from '@machinist/registers'
import type { Frame } from './geometry.ts'
import { drawGraphics, drawVbe } from './graphics.ts'
import { isDark, type PortActions, readPort, readVbe, writePort, writeVbe } from './ports.ts'
import { Attr, AttrMode, Gfx, GfxMisc, Misc, PORTS, Vbe, VbeEnable } from './registers.ts'
import type { VgaBackends } from './spec.ts'
import { type MemoryPart, newRegisters, readMemory, readRegisters, resetRegisters, saveMemory, saveRegisters, type VgaRegisters, type VgaRegistersState } from './state.ts'
import { drawText, textScreen } from './text.ts'
import { VideoMemory } from './video-memory.ts'

/** Saved state of the adapter. */
export interface VgaState {
  readonly registers: VgaRegistersState
  /** Parts of video memory that are not zeros. */
  readonly memory: readonly MemoryPart[]
}

/** A change is shown so many nanoseconds after the first one; until then others are part of it. */
const SOON = 40_000_000
/** Places in the registers behind BAR 2, as QEMU's adapter has them. */
const MMIO = { ports: 0x400, vbe: 0x500, vbeEnd: 0x516 } as const
/** Places of its regions in the spec. */
const Region = { frameBuffer: 0, registers: 1, window: 2, mono: 3, color: 4, vbe: 5 } as const

/** A VGA whose screen is drawn a moment after something of it has changed, and never otherwise. */
export class Vga implements Device<VgaState> {
  readonly #context: DeviceContext<never, VgaBackends>
  readonly #registers: VgaRegisters = newRegisters()
  readonly #memory: VideoMemory
  readonly #timer: Timer
  readonly #actions: PortActions
  #waits = false
  /** What the host was told that is shown. */
  #size: { readonly width: number; readonly height: number } | null = null

  constructor(size: number, context: DeviceContext<never, VgaBackends>) {
    this.#context = context
    this.#memory = new VideoMemory(this.#registers, size)
    this.#timer = context.clock.timer('refresh')
    this.#actions = { now: () => context.clock.now(), memory: size, changed: () => { this.#changed() }, clear: (bytes) => { this.#memory.bytes.fill(0, 0, bytes) } }
    resetRegisters(this.#registers)
  }

  read(region: number, offset: number, width: Width): number {
    const { bytes } = this.#memory
    switch (region) {
      case Region.frameBuffer: return fold(width, (byte) => bytes[offset + byte] ?? 0xff)
      case Region.window: return (this.#registers.misc & Misc.memory) === 0 ? 2 ** (8 * width) - 1 : fold(width, (byte) => this.#memory.read(offset + byte))
      case Region.mono: return fold(width, (byte) => this.#port(offset + byte))
      case Region.color: return fold(width, (byte) => this.#port(PORTS.colorAt - PORTS.first + offset + byte))
      case Region.vbe: return (offset === 0 ? this.#registers.vbeIndex : readVbe(this.#registers, this.#actions)) & (width === 1 ? 0xff : 0xffff)
      default: return this.#readRegister(offset, width)
    }
  }

  write(region: number, offset: number, width: Width, value: number): void {
    const { bytes } = this.#memory
    switch (region) {
      case Region.frameBuffer:
        for (let byte = 0; byte < width; byte++) if (offset + byte < bytes.length) bytes[offset + byte] = value >>> (8 * byte)
        this.#changed()
        break
      case Region.window:
        if ((this.#registers.misc & Misc.memory) === 0) break
        for (let byte = 0; byte < width; byte++) this.#memory.write(offset + byte, value >>> (8 * byte) & 0xff)
        this.#changed()
        break
      case Region.mono: this.#writePorts(offset, width, value); break
      case Region.color: this.#writePorts(PORTS.colorAt - PORTS.first + offset, width, value); break
      case Region.vbe:
        if (offset === 0) this.#registers.vbeIndex = value & 0xffff
        else writeVbe(this.#registers, value & 0xffff, this.#actions)
        break
      default: this.#writeRegister(offset, width, value)
    }
  }

  event(): void {
    this.#waits = false
    this.#show()
  }

  reset(): void {
    resetRegisters(this.#registers)
    this.#memory.bytes.fill(0)
    // A machine that is reset has forgotten what it waited for.
    this.#timer.cancel()
    this.#waits = false
    this.#changed()
  }

  save(): VgaState {
    return { registers: saveRegisters(this.#registers), memory: saveMemory(this.#memory.bytes) }
  }

  restore(state: VgaState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const registers = readRegisters(name, data.unknown('registers'))
    const memory = readMemory(data, name, this.#memory.bytes.length)
    data.done()
    if (!possible(registers, this.#memory.bytes.length)) {
      throw machinistError({ code: 'state', part: `${name}.registers`, remedy: 'Restore a state saved by this version of this device.' }, 'not the state of such an adapter')
    }
    for (const [key, value] of Object.entries(registers) as [keyof VgaRegisters, VgaRegisters[keyof VgaRegisters]][]) {
      const own = this.#registers[key]
      if (typeof own === 'object') own.set(value as Uint8Array)
      else Object.assign(this.#registers, { [key]: value })
    }
    this.#memory.bytes.fill(0)
    for (const { at, bytes } of memory) this.#memory.bytes.set(bytes, at)
    // The host knows nothing of what was shown elsewhere.
    this.#size = null
    this.#waits = false
    this.#changed()
  }

  #port(at: number): number {
    return readPort(this.#registers, at, this.#actions)
  }

  #writePorts(at: number, width: Width, value: number): void {
    for (let byte = 0; byte < width; byte++) writePort(this.#registers, at + byte, value >>> (8 * byte) & 0xff, this.#actions)
  }

  #readRegister(offset: number, width: Width): number {
    if (offset >= MMIO.ports && offset < MMIO.ports + PORTS.color) return fold(width, (byte) => this.#port(PORTS.colorAt - PORTS.first + offset - MMIO.ports + byte))
    if (offset < MMIO.vbe || offset >= MMIO.vbeEnd) return 0
    this.#registers.vbeIndex = offset - MMIO.vbe >>> 1
    return readVbe(this.#registers, this.#actions) & (width === 1 ? 0xff : 0xffff)
  }

  #writeRegister(offset: number, width: Width, value: number): void {
    if (offset >= MMIO.ports && offset < MMIO.ports + PORTS.color) this.#writePorts(PORTS.colorAt - PORTS.first + offset - MMIO.ports, width, value)
    else if (offset >= MMIO.vbe && offset < MMIO.vbeEnd) {
      this.#registers.vbeIndex = offset - MMIO.vbe >>> 1
      writeVbe(this.#registers, value & 0xffff, this.#actions)
    }
  }

  #changed(): void {
    if (this.#waits) return
    this.#waits = true
    this.#timer.arm(this.#context.clock.now() + SOON)
  }

  #show(): void {
    const { screen } = this.#context.backends
    const registers = this.#registers
    const memory = this.#memory.bytes
    if (isDark(registers)) {
      this.#resize(null)
      screen.text?.(0, null)
      return
    }
    const vbe = ((registers.vbe[Vbe.enable] ?? 0) & VbeEnable.on) !== 0
    const graphics = vbe || ((registers.gfx[Gfx.misc] ?? 0) & GfxMisc.graphics) !== 0 || ((registers.attr[Attr.mode] ?? 0) & AttrMode.graphics) !== 0
    const text = graphics ? null : textScreen(registers, memory)
    if (!graphics && text === null) return
    const frame: Frame = text !== null ? drawText(registers, memory, text) : vbe ? drawVbe(registers, memory) : drawGraphics(registers, memory)
    this.#resize(frame)
    const whole: Rectangle = { x: 0, y: 0, width: frame.width, height: frame.height }
    screen.present(0, whole, { bytes: new Uint8Array(frame.words.buffer), stride: frame.width * 4, format: 'b8g8r8x8' })
    screen.text?.(0, text)
  }

  #resize(size: { readonly width: number; readonly height: number } | null): void {
    if (size?.width === this.#size?.width && size?.height === this.#size?.height) return
    this.#size = size === null ? null : { width: size.width, height: size.height }
    this.#context.backends.screen.show(0, this.#size)
  }
}

/** Whether a mode of the display interface is one that a guest could have set. */
function possible({ vbe }: VgaRegisters, memory: number): boolean {
  const [width, height] = [vbe[Vbe.xres] ?? 0, vbe[Vbe.yres] ?? 0]
  return width <= 2560 && height <= 1600 && (vbe[Vbe.bank] ?? 0) * 0x1_0000 <= memory
    && (((vbe[Vbe.enable] ?? 0) & VbeEnable.on) === 0 || (width > 0 && height > 0 && (vbe[Vbe.bpp] ?? 0) > 0 && (vbe[Vbe.bpp] ?? 0) <= 32))
}

function fold(width: Width, byte: (index: number) => number): number {
  let value = 0
  for (let index = 0; index < width; index++) value += byte(index) * 2 ** (8 * index)
  return value
}
