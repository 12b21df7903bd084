import { type AcpiResource, type AcpiValue, machinistError } from '@machinist/api'
import { concatBytes } from '../bytes.ts'
import { encodeUtf8 } from '../text.ts'

/** Opcodes (ACPI 6.5, 20.3). */
const OP = { zero: 0x00, one: 0x01, name: 0x08, byte: 0x0a, word: 0x0b, dword: 0x0c, string: 0x0d, qword: 0x0e, scope: 0x10, buffer: 0x11, package: 0x12, extended: 0x5b, device: 0x82 } as const
/** Tags of resource descriptors (6.4). */
const TAG = { ports: 0x47, end: 0x79, memory32: 0x86, dwordWindow: 0x87, wordWindow: 0x88, interrupt: 0x89, qwordWindow: 0x8a } as const
/** Kinds of windows, and their flags: both ends are fixed; memory that can be written. */
const WINDOW = { memory: 0, ports: 1, buses: 2, entireRange: 3, fixed: 0x0c, writable: 1 } as const
const INTERRUPT = { consumer: 1, edge: 2, low: 4, shared: 8 } as const
const IDENTIFIER = /^[A-Z]{3}[0-9A-F]{4}$/
const SEGMENT = /^[A-Z_][A-Z0-9_]{3}$/

const bytes = (value: number | bigint, count: number): number[] => Array.from({ length: count }, (_, index) => Number(BigInt(value) >> BigInt(8 * index) & 0xffn))

/** The length of a package, which counts itself (20.2.4), and the package. */
function packaged(content: Uint8Array): Uint8Array {
  const short = content.length + 1
  if (short < 0x40) return concatBytes([Uint8Array.of(short), content])
  const more = content.length + 2 < 0x1000 ? 1 : content.length + 3 < 0x10_0000 ? 2 : 3
  const length = content.length + 1 + more
  return concatBytes([Uint8Array.of(more << 6 | length & 15, ...bytes(length >>> 4, more)), content])
}

function segmentOf(name: string): Uint8Array {
  if (!SEGMENT.test(name)) throw machinistError({ code: 'acpi-name', part: name, remedy: 'Use four capital letters, digits and underscores.' }, 'not a name of ACPI')
  return encodeUtf8(name)
}

function integer(value: number | bigint): Uint8Array {
  const wide = BigInt(value)
  if (wide === 0n) return Uint8Array.of(OP.zero)
  if (wide === 1n) return Uint8Array.of(OP.one)
  const [op, count] = wide < 0x100n ? [OP.byte, 1] : wide < 0x1_0000n ? [OP.word, 2] : wide < 1n << 32n ? [OP.dword, 4] : [OP.qword, 8]
  return Uint8Array.of(op, ...bytes(wide, count))
}

/** An identifier: a compressed one is a number (19.6.36), others are text. */
function identifier(id: string): Uint8Array {
  if (!IDENTIFIER.test(id)) return text(id)
  const [a, b, c] = [0, 1, 2].map((index) => id.charCodeAt(index) - 0x40)
  const high = (a ?? 0) << 10 | (b ?? 0) << 5 | (c ?? 0)
  const low = parseInt(id.slice(3), 16)
  return Uint8Array.of(OP.dword, high >> 8, high & 0xff, low >> 8, low & 0xff)
}

function text(value: string): Uint8Array {
  return Uint8Array.of(OP.string, ...encodeUtf8(value), 0)
}

function resource(value: AcpiResource): number[] {
  if ('memory' in value) return [TAG.memory32, ...bytes(9, 2), WINDOW.writable, ...bytes(value.memory, 4), ...bytes(value.size, 4)]
  // Sixteen address lines are decoded.
  if ('ports' in value) return [TAG.ports, 1, ...bytes(value.ports, 2), ...bytes(value.ports, 2), 1, value.size]
  if ('interrupt' in value) {
    const flags = INTERRUPT.consumer | (value.level ? 0 : INTERRUPT.edge) | (value.low === true ? INTERRUPT.low : 0) | (value.shared === true ? INTERRUPT.shared : 0)
    return [TAG.interrupt, ...bytes(6, 2), flags, 1, ...bytes(value.interrupt, 4)]
  }
  const window = (tag: number, kind: number, flags: number, count: number, first: number, last: number): number[] => [
    tag, ...bytes(3 + 5 * count, 2), kind, WINDOW.fixed, flags, ...[0, first, last, 0, last - first + 1].flatMap((field) => bytes(field, count)),
  ]
  if ('portWindow' in value) return window(TAG.wordWindow, WINDOW.ports, WINDOW.entireRange, 2, value.portWindow, value.portWindow + value.size - 1)
  if ('buses' in value) return window(TAG.wordWindow, WINDOW.buses, 0, 2, value.buses[0], value.buses[1])
  const last = value.window + value.size - 1
  return last < 2 ** 32 ? window(TAG.dwordWindow, WINDOW.memory, WINDOW.writable, 4, value.window, last) : window(TAG.qwordWindow, WINDOW.memory, WINDOW.writable, 8, value.window, last)
}

/** A value as AML. */
function encode(value: AcpiValue): Uint8Array {
  if (typeof value === 'number' || typeof value === 'bigint') return integer(value)
  if (typeof value === 'string') return text(value)
  if ('id' in value) return identifier(value.id)
  if ('resources' in value) {
    const content = Uint8Array.of(...value.resources.flatMap(resource), TAG.end, 0)
    return concatBytes([Uint8Array.of(OP.buffer), packaged(concatBytes([integer(content.length), content]))])
  }
  return concatBytes([Uint8Array.of(OP.package), packaged(concatBytes([Uint8Array.of(value.length), ...value.map(encode)]))])
}

/** A named object. */
export function named(name: string, value: AcpiValue): Uint8Array {
  return concatBytes([Uint8Array.of(OP.name), segmentOf(name), encode(value)])
}

/** A device and what it has. */
export function device(name: string, content: readonly Uint8Array[]): Uint8Array {
  return concatBytes([Uint8Array.of(OP.extended, OP.device), packaged(concatBytes([segmentOf(name), ...content]))])
}

/** What is below a name of the root. */
export function scope(name: string, content: readonly Uint8Array[]): Uint8Array {
  return concatBytes([Uint8Array.of(OP.scope), packaged(concatBytes([Uint8Array.of(0x5c), segmentOf(name), ...content]))])
}
