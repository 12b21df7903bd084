/** Makes small sparse extents of VMware ESX, and descriptors. */
import { content, Growing, isZero, type Made, type Pick } from './foreign.ts'

/** What is not there reads as `below`, or else as zeroes. */
function pieces(size: number, grain: number, pick: Pick, below: Buffer | null, visit: (index: number, bytes: Buffer) => void, zero?: (index: number) => void): Buffer {
  const model = content(size, pick, grain)
  for (let at = 0; at < size; at += grain) {
    const end = Math.min(size, at + grain)
    const bytes = Buffer.alloc(grain)
    model.copy(bytes, 0, at, end)
    const empty = isZero(bytes)
    if (empty && zero !== undefined && pick(2) === 0) zero(at / grain)
    else if (below === null ? empty : pick(3) === 0) {
      model.fill(0, at, end)
      below?.copy(model, at, at, Math.min(below.length, end))
    } else visit(at / grain, bytes)
  }
  return model
}

/** VMFS sparse. */
export function madeCowd(pick: Pick, sectors: number, below: Buffer | null = null): Made {
  const grainSectors = 2 ** pick(3)
  const tables = Math.ceil(sectors / grainSectors / 4096)
  const header = Buffer.alloc(2048)
  header.write('COWD', 'latin1')
  ;[1, 3, sectors, grainSectors, 4, tables].forEach((value, index) => header.writeUInt32LE(value, 4 + index * 4))
  const file = new Growing()
  file.append(header)
  const directory = Buffer.alloc(tables * 4)
  file.append(directory)
  const table: Buffer[] = []
  const model = pieces(sectors * 512, grainSectors * 512, pick, below, (index, bytes) => {
    const number = Math.floor(index / 4096)
    let entries = table[number]
    if (entries === undefined) {
      table[number] = entries = Buffer.alloc(4096 * 4)
      directory.writeUInt32LE(file.append(entries, 512) / 512, number * 4)
    }
    entries.writeUInt32LE(file.append(bytes, 512) / 512, index % 4096 * 4)
  })
  header.writeUInt32LE(Math.ceil(file.length / 512), 28)
  return { bytes: file.bytes, model }
}

/** Space-efficient sparse. */
export function madeSeSparse(pick: Pick, sectors: number, below: Buffer | null = null): Made {
  const tables = Math.ceil(sectors / 8 / 4096)
  const [directoryAt, tablesAt] = [64, 128]
  const grainsAt = tablesAt + tables * 64
  // Tables in any order.
  const numbers = Array.from({ length: tables }, (_, index) => index)
  if (pick(2) === 0) numbers.reverse()
  const directory = Buffer.alloc(tables * 8)
  const table = Buffer.alloc(tables * 64 * 512)
  const grains: Buffer[] = []
  const entryAt = (index: number): number => {
    const number = Math.floor(index / 4096)
    directory.writeBigUInt64LE((1n << 60n) | BigInt(numbers[number]!), number * 8)
    return numbers[number]! * 64 * 512 + index % 4096 * 8
  }
  const skipped = pick(5000)
  const model = pieces(sectors * 512, 4096, pick, below,
    (index, bytes) => {
      // Some numbers of grains have bits in both of their fields.
      const number = BigInt(grains.length + skipped)
      table.writeBigUInt64LE((3n << 60n) | (number & 0xfffn) << 48n | number >> 12n, entryAt(index))
      grains.push(bytes)
    },
    (index) => { table.writeBigUInt64LE(BigInt(1 + pick(2)) << 60n | BigInt(pick(100)), entryAt(index)) })
  const header = Buffer.alloc(512)
  const put = (offset: number, ...values: (number | bigint)[]): void => { values.forEach((value, each) => header.writeBigUInt64LE(BigInt(value), offset + each * 8)) }
  put(0, 0xcafebabe, 0x200000001n, sectors, 8, 64)
  put(80, 1, 1, 2, 1, 3, 1)
  put(128, directoryAt, Math.ceil(directory.length / 512), tablesAt, tables * 64)
  put(192, grainsAt, 8 * (grains.length + skipped))
  const second = Buffer.alloc(512)
  second.writeBigUInt64LE(0xcafecafen, 0)
  const file = new Growing()
  file.append(header)
  file.append(second)
  file.append(directory, directoryAt * 512)
  file.append(table, tablesAt * 512)
  file.append(Buffer.alloc(skipped * 4096), grainsAt * 512)
  for (const bytes of grains) file.append(bytes, 512)
  return { bytes: file.bytes, model }
}

export function descriptor(createType: string, lines: readonly string[], cid: string, parent?: { readonly cid: string, readonly name: string }): string {
  return [
    '# Disk DescriptorFile', 'version=1', `CID=${cid}`, `parentCID=${parent?.cid ?? 'ffffffff'}`, `createType="${createType}"`, ...(parent ? [`parentFileNameHint="${parent.name}"`] : []),
    '', '# Extent description', ...lines, '', '# The Disk Data Base', '#DDB', 'ddb.adapterType = "lsilogic"', '',
  ].join('\n')
}
