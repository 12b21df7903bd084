import type { FirmwareFile, FirmwareInfo } from '@machinist/api'
import { E820, ENTRY, Feature, Key } from './registers.ts'

/** The bytes of a number, the low one first. */
function little(value: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => Math.floor(value / 2 ** (8 * index)) % 256)
}

function text(name: string): Uint8Array {
  return Uint8Array.from(name, (character) => character.charCodeAt(0) & 0x7f)
}

/** The map of memory as firmware takes it. */
function mapOfMemory({ memory, reserved }: FirmwareInfo): Uint8Array {
  const ranges = [...memory.map((each) => ({ ...each, type: E820.ram })), ...reserved.map((each) => ({ ...each, type: E820.reserved }))]
  const bytes = new Uint8Array(ranges.length * E820.entry)
  ranges.forEach(({ base, size, type }, index) => {
    bytes.set([...little(base, 8), ...little(size, 8), ...little(type, 4)], index * E820.entry)
  })
  return bytes
}

/** All files of a machine, in the order of their names, as they are numbered. */
export function filesOf(info: FirmwareInfo): FirmwareFile[] {
  return [...info.files, { name: E820.name, bytes: mapOfMemory(info) }].sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** Items by key. */
export function itemsOf({ ram, harts, files }: { readonly ram: number; readonly harts: number; readonly files: readonly FirmwareFile[] }): Map<number, Uint8Array> {
  const directory = new Uint8Array(4 + files.length * ENTRY.size)
  const view = new DataView(directory.buffer)
  view.setUint32(0, files.length)
  files.forEach(({ name, bytes }, index) => {
    const at = 4 + index * ENTRY.size
    view.setUint32(at + ENTRY.length, bytes.length)
    view.setUint16(at + ENTRY.key, Key.files + index)
    directory.set(text(name).subarray(0, ENTRY.nameSize - 1), at + ENTRY.name)
  })
  return new Map([
    [Key.signature, text('QEMU')],
    [Key.id, little(Feature.traditional | Feature.dma, 4)],
    [Key.ramSize, little(ram, 8)],
    [Key.harts, little(harts, 2)],
    [Key.mostHarts, little(harts, 2)],
    [Key.directory, directory],
    ...files.map(({ bytes }, index): [number, Uint8Array] => [Key.files + index, bytes]),
  ])
}
