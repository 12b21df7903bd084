import { MOST_MULTIPLE, SECTOR } from './registers.ts'

/** What a disk of so many bytes is taken for by old software. */
export interface Geometry {
  readonly cylinders: number
  readonly heads: number
  readonly sectors: number
}

/** The translation that a disk begins with (ATA/ATAPI-4, 6.2). */
export function geometryOf(size: number): Geometry {
  const [heads, sectors] = [16, 63]
  return { cylinders: Math.max(1, Math.min(16_383, Math.floor(size / SECTOR / (heads * sectors)))), heads, sectors }
}

/** What a drive says of itself, word by word. */
class Words {
  readonly bytes = new Uint8Array(SECTOR)
  readonly #view = new DataView(this.bytes.buffer)

  word(at: number, value: number): this {
    this.#view.setUint16(2 * at, value, true)
    return this
  }

  double(at: number, value: number): this {
    this.#view.setUint32(2 * at, value, true)
    return this
  }

  /** Characters, two in a word, the first in its high byte. */
  text(at: number, length: number, text: string): this {
    for (let index = 0; index < length; index++) this.bytes[(2 * at + index) ^ 1] = text.charCodeAt(index) || 0x20
    return this
  }
}

/** What is selected of the transfer modes: the low byte of words 63 and 88 says which there are, the high byte which is selected. */
export interface Modes {
  /** Multiword DMA 0 to 2, and Ultra DMA 0 to 2, as bits; of one, at most. */
  readonly multiword: number
  readonly ultra: number
}

/** Which of the drives of a cable it is, and whether it answers for a second that is not there. */
export type Position = 'alone' | 'first' | 'second'
/** How a drive found itself at the reset of hardware, by CSEL and diagnostics that passed (word 93): firmware looks for no second drive where the first answers for it. */
const resets: Readonly<Record<Position, number>> = { alone: 0x604d, first: 0x600d, second: 0x6d00 }

/** Things that are the same of both kinds. */
function common(words: Words, model: string, serial: string, modes: Modes, position: Position): Words {
  return words
    .text(10, 20, serial).text(23, 8, '1.0').text(27, 40, model)
    // DMA, LBA, IORDY.
    .word(49, 0x0f00).word(53, 0x0007).word(63, 0x07 | modes.multiword << 8).word(64, 0x03)
    .word(65, 120).word(66, 120).word(67, 120).word(68, 120)
    // ATA/ATAPI-4 to -6.
    .word(80, 0x0070).word(81, 0x0016).word(88, 0x07 | modes.ultra << 8).word(93, resets[position])
}

/** IDENTIFY DEVICE (ATA/ATAPI-6, 8.15). */
export function identifyDisk(size: number, serial: string, current: Geometry, multiple: number, cache: boolean, modes: Modes, position: Position): Uint8Array {
  const sectors = Math.floor(size / SECTOR)
  const { cylinders, heads, sectors: track } = geometryOf(size)
  const capacity = Math.min(sectors, current.cylinders * current.heads * current.sectors)
  const words = common(new Words(), 'MACHINIST HARDDISK', serial, modes, position)
    .word(0, 0x0040).word(1, cylinders).word(3, heads).word(6, track)
    .word(47, 0x8000 | MOST_MULTIPLE).word(48, 1).word(50, 0x4000)
    .word(54, current.cylinders).word(55, current.heads).word(56, current.sectors).double(57, capacity)
    .word(59, multiple === 0 ? 0 : 0x100 | multiple).double(60, Math.min(sectors, 0x0fff_ffff))
    // Write cache; FLUSH CACHE, FLUSH CACHE EXT, 48-bit addresses, FUA; NOP and device reset are not there.
    .word(82, 0x0020).word(83, 0x7400).word(84, 0x4040).word(85, cache ? 0x0020 : 0).word(86, 0x3400).word(87, 0x4040)
    .double(100, sectors % 2 ** 32).double(102, Math.floor(sectors / 2 ** 32))
  return summed(words.bytes)
}

/** IDENTIFY PACKET DEVICE (ATA/ATAPI-6, 8.16). */
export function identifyCd(serial: string, modes: Modes, position: Position): Uint8Array {
  // A CD-ROM, removable, DRQ within 50 µs, packets of 12 bytes; PACKET and DEVICE RESET.
  return summed(common(new Words(), 'MACHINIST CD-ROM', serial, modes, position).word(0, 0x85c0).word(82, 0x0210).word(83, 0x4000).word(84, 0x4000).word(85, 0x0210).word(87, 0x4000).bytes)
}

/** With its signature and sum (8.15.62). */
function summed(bytes: Uint8Array): Uint8Array {
  bytes[510] = 0xa5
  bytes[511] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff
  return bytes
}
