/** Makes small disk images of Apple's. */
import { spawnSync } from 'node:child_process'
import { deflateSync } from 'node:zlib'
import { content, Growing, isZero, type Made, type Pick } from './foreign.ts'

/** Whether the tool that compresses with bzip2 is there. */
export const hasBzip2: boolean = spawnSync('bzip2', ['--version']).status === 0

export function bzip2(bytes: Uint8Array, level: number = 9): Buffer {
  return spawnSync('bzip2', ['-c', `-${level}`], { input: bytes, maxBuffer: 1 << 26 }).stdout
}

/** Apple Data Compression, with every kind of code where content repeats. */
export function adc(bytes: Buffer): Buffer {
  const out: number[] = []
  let plain: number[] = []
  const flush = (): void => {
    for (let at = 0; at < plain.length; at += 128) {
      const part = plain.slice(at, at + 128)
      out.push(0x80 | part.length - 1, ...part)
    }
    plain = []
  }
  const seen = new Map<number, number>()
  for (let at = 0; at < bytes.length;) {
    const key = at + 4 <= bytes.length ? bytes.readUInt32LE(at) : -1
    const before = seen.get(key)
    if (key >= 0) seen.set(key, at)
    let length = 0
    if (before !== undefined && at - before <= 65536) while (length < 67 && at + length < bytes.length && bytes[before + length] === bytes[at + length]) length += 1
    const back = at - (before ?? 0) - 1
    if (length < 4) {
      plain.push(bytes[at++]!)
      continue
    }
    flush()
    if (back < 1024 && length <= 18) out.push(length - 3 << 2 | back >> 8, back & 0xff)
    else out.push(0x40 | length - 4, back >> 8, back & 0xff)
    at += length
  }
  flush()
  return Buffer.from(out)
}

export type DmgKind = 'zero' | 'ignore' | 'raw' | 'zlib' | 'adc' | 'bzip2'
const codes: Readonly<Record<DmgKind, number>> = { zero: 0, raw: 1, ignore: 2, adc: 0x80000004, zlib: 0x80000005, bzip2: 0x80000006 }

/** Tables in a property list, or else in a resource fork. */
export function madeDmg(pick: Pick, kinds: readonly DmgKind[], list: boolean): Made {
  const sectors = 1 + pick(1500)
  const model = content(sectors * 512, pick)
  const file = new Growing()
  const base = pick(3) * 100
  file.append(Buffer.alloc(base, 0x11))
  const tables: Buffer[] = []
  for (let first = 0; first < sectors;) {
    // Parts of the disk, each with its table; within a table places are relative to the last.
    const past = Math.min(sectors, first + 1 + pick(800))
    const start = file.length - base
    const entries: Buffer[] = []
    const entry = (code: number, sector: number, count: number, place: number, length: number): void => {
      const bytes = Buffer.alloc(40)
      bytes.writeUInt32BE(code, 0)
      ;[sector, count, place, length].forEach((value, index) => bytes.writeBigUInt64BE(BigInt(value), 8 + index * 8))
      entries.push(bytes)
    }
    for (let at = first; at < past;) {
      const end = Math.min(past, at + 1 + pick(200))
      const bytes = model.subarray(at * 512, end * 512)
      const empty = isZero(bytes)
      const fit = kinds.filter((kind) => empty || (kind !== 'zero' && kind !== 'ignore'))
      const kind = fit[pick(fit.length)] ?? 'raw'
      const packed = { zero: () => Buffer.alloc(0), ignore: () => Buffer.alloc(0), raw: () => bytes, zlib: () => deflateSync(bytes), adc: () => adc(bytes), bzip2: () => bzip2(bytes, 1 + pick(9)) }[kind]()
      entry(codes[kind], at - first, end - at, file.append(packed) - base - start, packed.length)
      if (pick(5) === 0) entry(0x7ffffffe, at - first, 0, 0, 0)
      at = end
    }
    entry(0xffffffff, past - first, 0, file.length - base - start, 0)
    const table = Buffer.alloc(204)
    table.write('mish', 'latin1')
    table.writeUInt32BE(1, 4)
    ;[first, past - first, start].forEach((value, index) => table.writeBigUInt64BE(BigInt(value), 8 + index * 8))
    table.writeUInt32BE(entries.length, 200)
    tables.push(Buffer.concat([table, ...entries]))
    first = past
  }
  const data = file.length - base
  const index = list ? plist(tables) : resources(tables)
  const at = file.append(index)
  const trailer = Buffer.alloc(512)
  trailer.write('koly', 'latin1')
  trailer.writeUInt32BE(4, 4)
  trailer.writeUInt32BE(512, 8)
  const put = (offset: number, ...values: number[]): void => { values.forEach((value, each) => trailer.writeBigUInt64BE(BigInt(value), offset + each * 8)) }
  put(24, base, data)
  if (list) put(216, at, index.length)
  else put(40, at, index.length)
  trailer.writeUInt32BE(1, 60)
  put(492, sectors)
  file.append(trailer)
  return { bytes: file.bytes, model }
}

function plist(tables: readonly Buffer[]): Buffer {
  const data = (bytes: Buffer): string => `\t\t\t\t<data>\n${bytes.toString('base64').replace(/.{1,52}/g, '\t\t\t\t$&\n')}\t\t\t\t</data>\n`
  return Buffer.from([
    '<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">\n<dict>\n\t<key>resource-fork</key>\n\t<dict>\n\t\t<key>blkx</key>\n\t\t<array>\n',
    ...tables.map((table, index) => `\t\t\t<dict>\n\t\t\t\t<key>Data</key>\n${data(table)}\t\t\t\t<key>ID</key>\n\t\t\t\t<string>${index}</string>\n\t\t\t</dict>\n`),
    `\t\t</array>\n\t\t<key>plst</key>\n\t\t<array>\n\t\t\t<dict>\n\t\t\t\t<key>Data</key>\n${data(Buffer.alloc(1032))}\t\t\t</dict>\n\t\t</array>\n\t</dict>\n</dict>\n</plist>\n`,
  ].join(''))
}

function resources(tables: readonly Buffer[]): Buffer {
  const parts = tables.flatMap((table) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(table.length)
    return [length, table]
  })
  const body = Buffer.concat(parts)
  const header = Buffer.alloc(256)
  ;[256, 256 + body.length, body.length, 30].forEach((value, index) => header.writeUInt32BE(value, index * 4))
  return Buffer.concat([header, body, Buffer.alloc(30)])
}
