import { machinistError } from '@machinist/api'
import type { Packing } from '../x86/linux-setup.ts'
import { gunzip } from './inflate.ts'
import { unpackXz } from './xz.ts'
import { unpackZstd } from './zstd.ts'

/** Decompresses gzip: at most `limit` bytes come out. */
export type Inflate = (bytes: Uint8Array, limit: number) => Uint8Array

/** A kernel, as it is packed. */
export interface PackedKernel {
  readonly packing: Packing
  readonly bytes: Uint8Array
  /** What it says that comes out, if it says so. */
  readonly length?: number
}

/**
 * Unpacks a kernel, which saves its guest that work; null for what nobody here can.
 *
 * @throws a typed error `'image-compressed'` for what is damaged, or has more than `limit` bytes
 */
export function unpackKernel({ packing, bytes, length }: PackedKernel, limit: number, inflate: Inflate | undefined): Uint8Array | null {
  try {
    switch (packing) {
      case 'zstd': return unpackZstd(bytes, limit, length)
      case 'xz': return unpackXz(bytes, limit)
      case 'gzip': return (inflate ?? gunzip)(bytes, limit)
      default: return null
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw machinistError({ code: 'image-compressed', part: 'kernel', value: packing, remedy: 'Copy or download it again.' }, `it is damaged, or too large: ${error.message}`)
  }
}
