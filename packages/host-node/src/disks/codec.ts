import * as zlib from 'node:zlib'
import { promisify } from 'node:util'
import type { Codec } from '@machinist/storage'

type Inflate = (from: Uint8Array, options: { readonly maxOutputLength: number }) => Promise<Uint8Array>

const inflateRaw = promisify<Uint8Array, { readonly maxOutputLength: number }, Buffer>(zlib.inflateRaw)
const inflate = promisify<Uint8Array, { readonly maxOutputLength: number }, Buffer>(zlib.inflate)
const deflateRaw = promisify<Uint8Array, Buffer>(zlib.deflateRaw)
const deflate = promisify<Uint8Array, Buffer>(zlib.deflate)

/** Node.js has Zstandard from 22.15 on. */
const zstd = 'zstdDecompress' in zlib && typeof zlib.zstdDecompress === 'function'
  ? promisify(zlib.zstdDecompress as (from: Uint8Array, options: object, done: (error: Error | null, bytes: Buffer) => void) => void) as Inflate
  : null

/** What `node:zlib` decompresses and compresses, for disk images. */
export const codec: Codec = {
  inflates: zstd === null ? ['deflate', 'zlib'] : ['deflate', 'zlib', 'zstd'],
  async inflate(compression, from, size) {
    const options = { maxOutputLength: size }
    switch (compression) {
      case 'deflate': return inflateRaw(from, options)
      case 'zlib': return inflate(from, options)
      case 'zstd':
        if (zstd === null) throw new Error('this version of Node.js has no Zstandard')
        return zstd(from, options)
    }
  },
  deflate: (compression, from) => compression === 'zlib' ? deflate(from) : deflateRaw(from),
}
