import { inflateSync } from 'node:zlib'
import { crc32 } from '@machinist/boot'
import { expect, it } from 'vitest'
import { png } from './png.ts'

it('a picture is in its file, pixel by pixel, with sums that are right', () => {
  const [width, height] = [5, 3]
  const rgba = Uint8Array.from({ length: width * height * 4 }, (_, at) => at * 7)
  const file = Buffer.from(png({ width, height, rgba }))
  expect([...file.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10])
  const chunks = new Map<string, Buffer>()
  for (let at = 8; at < file.length;) {
    const length = file.readUInt32BE(at)
    expect(file.readUInt32BE(at + 8 + length)).toBe(crc32(file.subarray(at + 4, at + 8 + length)))
    chunks.set(file.toString('latin1', at + 4, at + 8), file.subarray(at + 8, at + 8 + length))
    at += 12 + length
  }
  expect([...chunks.keys()]).toEqual(['IHDR', 'IDAT', 'IEND'])
  expect([...chunks.get('IHDR') ?? []]).toEqual([0, 0, 0, width, 0, 0, 0, height, 8, 2, 0, 0, 0])
  const rows = inflateSync(chunks.get('IDAT') ?? new Uint8Array(0))
  expect([...rows]).toEqual(Array.from({ length: height }, (_, y) => [0, ...Array.from({ length: width * 3 }, (_, at) => rgba[(y * width + Math.floor(at / 3)) * 4 + at % 3])]).flat())
})
