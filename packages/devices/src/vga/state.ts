import { machinistError } from '@machinist/api'
import { type PlainData, plainData } from '@machinist/registers'
import { Attr, Crtc, Gfx, Seq, Vbe, VBE_ID } from './registers.ts'

/** All that a guest can set, apart from video memory. */
export interface VgaRegisters {
  misc: number
  readonly seq: Uint8Array
  seqIndex: number
  readonly gfx: Uint8Array
  gfxIndex: number
  readonly crtc: Uint8Array
  crtcIndex: number
  readonly attr: Uint8Array
  attrIndex: number
  /** The attribute port takes data next. */
  attrData: boolean
  /** Three bytes for each of 256 colours. */
  readonly dac: Uint8Array
  dacMask: number
  /** The next byte to be read and written, of all 768; which of the two ports was used last. */
  dacRead: number
  dacWrite: number
  dacReading: boolean
  /** What the four planes had where they were read last. */
  readonly latch: Uint8Array
  readonly vbe: Uint16Array
  vbeIndex: number
}

const DAC = 768

export function newRegisters(): VgaRegisters {
  return {
    misc: 0, seq: new Uint8Array(Seq.count), seqIndex: 0, gfx: new Uint8Array(Gfx.count), gfxIndex: 0, crtc: new Uint8Array(Crtc.count), crtcIndex: 0, attr: new Uint8Array(Attr.count), attrIndex: 0, attrData: false,
    dac: new Uint8Array(DAC), dacMask: 0xff, dacRead: 0, dacWrite: 0, dacReading: false, latch: new Uint8Array(4), vbe: new Uint16Array(Vbe.count), vbeIndex: 0,
  }
}

/** As after a reset. */
export function resetRegisters(registers: VgaRegisters): void {
  for (const list of [registers.seq, registers.gfx, registers.crtc, registers.attr, registers.dac, registers.latch, registers.vbe]) list.fill(0)
  Object.assign(registers, { misc: 0, seqIndex: 0, gfxIndex: 0, crtcIndex: 0, attrIndex: 0, attrData: false, dacMask: 0xff, dacRead: 0, dacWrite: 0, dacReading: false, vbeIndex: 0 })
  registers.vbe[Vbe.id] = VBE_ID.most
}

/** Plain data of registers. */
export type VgaRegistersState = { readonly [Name in keyof VgaRegisters]: VgaRegisters[Name] extends boolean ? boolean : VgaRegisters[Name] extends number ? number : readonly number[] }

export function saveRegisters(registers: VgaRegisters): VgaRegistersState {
  return Object.fromEntries(Object.entries(registers).map(([name, value]: [string, VgaRegisters[keyof VgaRegisters]]) => [name, typeof value === 'object' ? [...value] : value])) as unknown as VgaRegistersState
}

/** Checks what {@link saveRegisters} gave. @throws a typed error */
export function readRegisters(part: string, state: unknown): VgaRegisters {
  const data = plainData(`${part}.registers`, state, 'state')
  const bytes = (name: keyof VgaRegisters, length: number): Uint8Array => Uint8Array.from(data.integers(name, length, 0, 0xff))
  const made: VgaRegisters = {
    misc: data.integer('misc', 0, 0xff),
    seq: bytes('seq', Seq.count), seqIndex: data.integer('seqIndex', 0, 0xff),
    gfx: bytes('gfx', Gfx.count), gfxIndex: data.integer('gfxIndex', 0, 0xff),
    crtc: bytes('crtc', Crtc.count), crtcIndex: data.integer('crtcIndex', 0, 0xff),
    attr: bytes('attr', Attr.count), attrIndex: data.integer('attrIndex', 0, 0xff), attrData: data.boolean('attrData'),
    dac: bytes('dac', DAC), dacMask: data.integer('dacMask', 0, 0xff), dacRead: data.integer('dacRead', 0, DAC - 1), dacWrite: data.integer('dacWrite', 0, DAC - 1), dacReading: data.boolean('dacReading'),
    latch: bytes('latch', 4),
    vbe: Uint16Array.from(data.integers('vbe', Vbe.count, 0, 0xffff)), vbeIndex: data.integer('vbeIndex', 0, 0xffff),
  }
  data.done()
  return made
}

/** A part of video memory; what is between parts is zeros. */
export interface MemoryPart {
  readonly at: number
  readonly bytes: Uint8Array
}

/** Zeros that end a part, in words. */
const GAP = 16

/** The parts of video memory that are not zeros. */
export function saveMemory(memory: Uint8Array): MemoryPart[] {
  const words = new Uint32Array(memory.buffer, memory.byteOffset, memory.length >>> 2)
  const parts: MemoryPart[] = []
  for (let from = 0; from < words.length; from++) {
    if (words[from] === 0) continue
    let end = from + 1
    for (let next = end; next < words.length && next - end < GAP; next++) if (words[next] !== 0) end = next + 1
    parts.push({ at: 4 * from, bytes: memory.slice(4 * from, 4 * end) })
    from = end
  }
  return parts
}

/** Checks what {@link saveMemory} gave. @throws a typed error */
export function readMemory(data: PlainData, part: string, size: number): MemoryPart[] {
  let end = 0
  return data.list('memory', size, (entry) => {
    const at = entry.integer('at', end, size)
    const bytes = entry.unknown('bytes')
    if (!(bytes instanceof Uint8Array) || at + bytes.length > size) throw machinistError({ code: 'state', part: `${part}.memory`, remedy: 'Restore a state saved by this version of this device.' }, 'not a part of video memory')
    end = at + bytes.length
    return { at, bytes }
  })
}
