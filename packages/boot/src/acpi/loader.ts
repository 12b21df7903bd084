import type { FirmwareFile } from '@machinist/api'
import { viewOf } from '../bytes.ts'
import { encodeUtf8 } from '../text.ts'
import type { AcpiImage } from './tables.ts'

/** Commands by which firmware puts tables where it likes (QEMU's `bios-linker-loader`): 128 bytes each. */
const COMMAND = { size: 128, name: 56, allocate: 1, addPointer: 2, addChecksum: 3 } as const
const ZONE = { high: 1, segmentF: 2 } as const
const ALIGN = { root: 16, tables: 64 } as const
const NAMES = { root: 'etc/acpi/rsdp', tables: 'etc/acpi/tables', loader: 'etc/table-loader' } as const

type Fields = readonly (string | readonly [value: number, size: 1 | 4])[]

function command(code: number, fields: Fields): Uint8Array {
  const bytes = new Uint8Array(COMMAND.size)
  const view = viewOf(bytes)
  view.setUint32(0, code, true)
  let at = 4
  for (const field of fields) {
    if (typeof field === 'string') {
      bytes.set(encodeUtf8(field), at)
      at += COMMAND.name
    } else {
      const [value, size] = field
      if (size === 4) view.setUint32(at, value, true)
      else view.setUint8(at, value)
      at += size
    }
  }
  return bytes
}

/** ACPI tables as files for firmware: the root pointer, the others, whose pointers count from their beginning, and what to do with them. */
export function acpiFiles({ bytes, tables, pointers, sums }: AcpiImage): FirmwareFile[] {
  /** An offset in the image, as a file and an offset there. */
  const place = (at: number): readonly [file: string, offset: number] => at < tables ? [NAMES.root, at] : [NAMES.tables, at - tables]
  const script = [
    command(COMMAND.allocate, [NAMES.root, [ALIGN.root, 4], [ZONE.segmentF, 1]]),
    command(COMMAND.allocate, [NAMES.tables, [ALIGN.tables, 4], [ZONE.high, 1]]),
    ...pointers.map(([at, size]) => {
      const [file, offset] = place(at)
      return command(COMMAND.addPointer, [file, NAMES.tables, [offset, 4], [size, 1]])
    }),
    ...sums.map(([at, start, length]) => {
      const [file, offset] = place(at)
      return command(COMMAND.addChecksum, [file, [offset, 4], [offset - (at - start), 4], [length, 4]])
    }),
  ]
  const loader = new Uint8Array(script.length * COMMAND.size)
  script.forEach((each, index) => { loader.set(each, index * COMMAND.size) })
  return [{ name: NAMES.root, bytes: bytes.slice(0, ROOT_SIZE) }, { name: NAMES.tables, bytes: bytes.slice(tables) }, { name: NAMES.loader, bytes: loader }]
}

/** Bytes of the root pointer (ACPI 6.5, 5.2.5.3). */
const ROOT_SIZE = 36
