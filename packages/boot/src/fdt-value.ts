import { machinistError } from '@machinist/api'
import type { FdtCell, FdtValue } from '@machinist/api'
import { encodeUtf8 } from './text.ts'

const U32_LIMIT = 0x1_0000_0000

/** A property ready to be written: bytes, and the places in them that wait for a phandle. */
export interface EncodedValue {
  readonly bytes: Uint8Array
  readonly references: readonly { readonly offset: number; readonly label: string }[]
}

function invalid(property: string, value: string | number, problem: string): Error {
  return machinistError({ code: 'fdt-value', part: property, value, remedy: 'Correct the property in the code that describes this node' }, problem)
}

function strings(property: string, list: readonly string[]): EncodedValue {
  const bytes: number[] = []
  for (const text of list) {
    if (text.includes('\0')) throw invalid(property, JSON.stringify(text), 'a device-tree string cannot hold a NUL')
    for (const byte of encodeUtf8(text)) bytes.push(byte)
    bytes.push(0)
  }
  return { bytes: Uint8Array.from(bytes), references: [] }
}

function cells(property: string, list: readonly FdtCell[]): EncodedValue {
  const words: number[] = []
  const references: { offset: number; label: string }[] = []
  for (const cell of list) {
    if (typeof cell === 'number') {
      if (!Number.isInteger(cell) || cell < 0 || cell >= U32_LIMIT) throw invalid(property, cell, 'a cell is an integer from 0 to 2^32-1')
      words.push(cell)
    } else if ('u64' in cell) {
      if (!Number.isSafeInteger(cell.u64) || cell.u64 < 0) throw invalid(property, cell.u64, 'a 64-bit value is an integer from 0 to 2^53-1')
      words.push(Math.floor(cell.u64 / U32_LIMIT), cell.u64 % U32_LIMIT)
    } else {
      references.push({ offset: words.length * 4, label: cell.ref })
      words.push(0)
    }
  }
  const bytes = new Uint8Array(words.length * 4)
  const view = new DataView(bytes.buffer)
  words.forEach((word, index) => view.setUint32(index * 4, word))
  return { bytes, references }
}

function allStrings(value: readonly FdtCell[] | readonly string[]): value is readonly string[] {
  return value.length > 0 && value.every((item) => typeof item === 'string')
}

function allCells(value: readonly FdtCell[] | readonly string[]): value is readonly FdtCell[] {
  return value.every((item) => typeof item !== 'string')
}

/** The bytes of a property (DTSpec 2.2.4). `property` is its path, for errors. */
export function encodeValue(property: string, value: FdtValue): EncodedValue {
  if (value === true) return { bytes: new Uint8Array(0), references: [] }
  if (typeof value === 'string') return strings(property, [value])
  if (typeof value === 'number') return cells(property, [value])
  if (value instanceof Uint8Array) return { bytes: value.slice(), references: [] }
  if (allStrings(value)) return strings(property, value)
  if (allCells(value)) return cells(property, value)
  throw invalid(property, JSON.stringify(value), 'strings and cells cannot share one property')
}
