/** A program that writes to an image until it is killed; see killed.long.test.ts. */
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { imageDisk } from '@machinist/storage'
import { openDiskImage } from '../src/index.ts'

/** The disk's sectors. VHD can say this size exactly: 17 × 4 × 120. */
export const sectors = 8160

export interface Step { readonly first: number, readonly count: number, readonly value: number, readonly flush: boolean }

/** The endless operations of a seed, none of them twice the same. Those between two flushes are in flight together. */
export function* steps(seed: number): Generator<Step, never, undefined> {
  let state = (seed * 2654435761 + 1) >>> 0
  const below = (limit: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ state << 5) >>> 0
    return state % limit
  }
  for (let value = 1; ; value++) {
    const first = below(sectors)
    yield { first, count: Math.min(sectors - first, 1 + below(below(4) === 0 ? 600 : 40)), value, flush: below(8) === 0 }
  }
}

/** Every word of a sector says which sector it is, and which step wrote it. */
export function fill(bytes: Uint8Array, first: number, value: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  words.forEach((_, at) => { words[at] = value * 8192 + first + (at >>> 7) })
}

/** Says after each flush which step it was. */
async function work(path: string, format: string, seed: number, from: number): Promise<void> {
  const port = imageDisk(await openDiskImage(path, { writable: true, format })).connect((callback) => { callback() })
  const waiting: Promise<unknown>[] = []
  const settle = (submit: (done: (status: string) => void) => void): Promise<unknown> => new Promise<void>((resolve, reject) => {
    submit((status) => { if (status === 'ok') resolve(); else reject(new Error(status)) })
  })
  for (const { first, count, value, flush } of steps(seed)) {
    if (value <= from) continue
    const bytes = new Uint8Array(count * 512)
    fill(bytes, first, value)
    waiting.push(settle((done) => { port.write(first * 512, [bytes], done) }))
    if (!flush) continue
    await Promise.all(waiting.splice(0))
    await settle((done) => { port.flush(done) })
    writeFileSync(1, `${value}\n`)
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [path = '', format = '', seed, from] = process.argv.slice(2)
  await work(path, format, Number(seed), Number(from))
}
