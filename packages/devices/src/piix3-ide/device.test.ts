import type { BlockPort, Width } from '@machinist/api'
import { fakeBlock, testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { piix3Ide, type Piix3IdeState } from '../index.ts'

const SIZE = 600 * 512
const DISC = 40 * 2048
const RAM = 0x10_0000
const none: BlockPort = { size: 0, readOnly: true, blockSize: 512, read(_o, _i, done) { done('out-of-range') }, write(_o, _f, done) { done('read-only') }, flush(done) { done('ok') } }

/** A machine with a disk first on its first cable, and a CD-ROM on its second. */
const make = (options: { readonly readOnly?: boolean; readonly disc?: number } = {}) => {
  const disk = fakeBlock({ size: SIZE, ...options })
  const disc = fakeBlock({ size: options.disc ?? DISC, readOnly: true })
  for (const { data } of [disk, disc]) data.forEach((_, at) => { data[at] = at * 7 + (at >>> 9) * 13 + (at >>> 16) })
  const dut = testDevice(piix3Ide, { primaryMaster: 'disk', secondaryMaster: 'cdrom' }, { backends: { primaryMaster: disk, primarySlave: none, secondaryMaster: disc, secondarySlave: none }, memoryBase: 0, memorySize: RAM })
  const { device, context } = dut
  device.reset('cold')
  for (const at of [0, 2]) device.write(0, at, 2, 0x8000)
  const settle = (): void => { while (disk.pending + disc.pending > 0) for (const each of [disk, disc]) each.complete() }
  const channel = (index: 0 | 1) => ({
    put(at: number, value: number, width: Width = 1) { device.write(2 + 2 * index, at, width, value) },
    get: (at: number, width: Width = 1) => device.read(2 + 2 * index, at, width),
    control(value: number) { device.write(3 + 2 * index, 0, 1, value) },
    alternate: () => device.read(3 + 2 * index, 0, 1),
    master(at: number, value?: number, width: Width = 1) {
      if (value !== undefined) device.write(1, 8 * index + at, width, value)
      return value ?? device.read(1, 8 * index + at, width)
    },
    irq: () => context.irq[index === 0 ? 'irq14' : 'irq15'].level,
    /** LBA, sectors, command; with 48 bits when `wide`. */
    start(command: number, sector: number, count: number, wide = false) {
      if (wide) for (const [at, value] of [[2, count >>> 8], [3, sector / 2 ** 24], [4, sector / 2 ** 32], [5, sector / 2 ** 40]] as const) this.put(at, Math.floor(value) & 0xff)
      for (const [at, value] of [[2, count], [3, sector], [4, sector >>> 8], [5, sector >>> 16], [6, wide ? 0x40 : 0x40 | (sector >>> 24 & 15)]] as const) this.put(at, value & 0xff)
      this.put(7, command)
      settle()
    },
    words: (count: number) => Buffer.from(Uint16Array.from({ length: count }, () => device.read(2 + 2 * index, 0, 2)).buffer),
    packet(bytes: readonly number[], limit = 0xfffe, dma = 0) {
      for (const [at, value] of [[1, dma], [4, limit & 0xff], [5, limit >>> 8], [7, 0xa0]] as const) this.put(at, value)
      const all = [...bytes, ...new Array<number>(12 - bytes.length).fill(0)]
      for (let at = 0; at < 12; at += 2) this.put(0, (all[at] ?? 0) | (all[at + 1] ?? 0) << 8, 2)
      settle()
    },
    /** Takes all that a packet gives. */
    answer() {
      const parts: Buffer[] = []
      while ((this.get(7) & 8) !== 0) {
        const count = this.get(4) | this.get(5) << 8
        parts.push(this.words(Math.ceil(count / 2)).subarray(0, count))
        settle()
      }
      return Buffer.concat(parts)
    },
  })
  const table = (at: number, entries: readonly (readonly [address: number, count: number])[]): void => {
    const view = new DataView(context.memory.buffer)
    entries.forEach(([address, count], index) => {
      view.setUint32(at + 8 * index, address, true)
      view.setUint32(at + 8 * index + 4, (count & 0xffff) + (index === entries.length - 1 ? 2 ** 31 : 0), true)
    })
  }
  return { dut, device, context, disk, disc, settle, table, ata: channel(0), cd: channel(1) }
}

test('says what it is, and where nobody is', () => {
  const { ata, cd, device } = make()
  expect([ata.get(7), ata.get(2), ata.get(3), ata.get(4), ata.get(5), ata.get(1)]).toEqual([0x50, 1, 1, 0, 0, 1])
  expect([cd.get(7), cd.get(4), cd.get(5)]).toEqual([0, 0x14, 0xeb])
  ata.put(6, 0x10)
  expect([ata.get(7), ata.get(2)]).toEqual([0, 0])
  ata.put(6, 0)
  ata.put(7, 0xec)
  expect([ata.irq(), ata.get(7), ata.irq()]).toEqual([true, 0x58, false])
  const words = new Uint16Array(Uint8Array.from(ata.words(256)).buffer)
  expect([words[0], words[60], words[100], words[47], (words[83] ?? 0) & 0x0400, ata.get(7)]).toEqual([0x40, 600, 600, 0x8010, 0x0400, 0x50])
  expect(String.fromCharCode(...[...words.subarray(27, 35)].flatMap((word) => [word >> 8, word & 0xff])).trim()).toBe('MACHINIST HARDDI')
  expect(new Uint8Array(words.buffer).reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0)
  cd.put(7, 0xec)
  expect([cd.get(7) & 1, cd.get(1), cd.get(4), cd.get(5)]).toEqual([1, 4, 0x14, 0xeb])
  cd.put(7, 0xa1)
  expect(new Uint16Array(Uint8Array.from(cd.words(256)).buffer)[0]).toBe(0x85c0)
  // What is not decoded is nobody's.
  device.write(0, 0, 2, 0)
  expect(ata.get(7)).toBe(0xff)
})

test('the first drive answers for a second only where there is none, and says so', () => {
  const disk = fakeBlock({ size: SIZE })
  for (const [drives, words] of [[1, [0x604d]], [2, [0x600d, 0x6d00]]] as const) {
    const { device } = testDevice(piix3Ide, { primaryMaster: 'disk', ...drives === 2 && { primarySlave: 'cdrom' } }, { backends: { primaryMaster: disk, primarySlave: none, secondaryMaster: none, secondarySlave: none } })
    device.reset('cold')
    device.write(0, 0, 2, 0x8000)
    expect(words.map((_, second) => {
      device.write(2, 6, 1, second << 4)
      device.write(2, 7, 1, second === 0 ? 0xec : 0xa1)
      return Array.from({ length: 256 }, () => device.read(2, 0, 2))[93]
    })).toEqual(words)
  }
})

test('moves what a plain array would, by every command, whatever the descriptors are', () => {
  const kinds = [
    { read: 0x20, write: 0x30, dma: false, wide: false }, { read: 0x24, write: 0x34, dma: false, wide: true }, { read: 0xc4, write: 0xc5, dma: false, wide: false }, { read: 0x29, write: 0x39, dma: false, wide: true },
    { read: 0xc8, write: 0xca, dma: true, wide: false }, { read: 0x25, write: 0x35, dma: true, wide: true },
  ] as const
  const request = fc.record({ kind: fc.constantFrom(...kinds), write: fc.boolean(), sector: fc.nat(610), count: fc.integer({ min: 1, max: 300 }), cuts: fc.array(fc.integer({ min: 1, max: 0x8000 }), { maxLength: 8 }), seed: fc.nat(255) })
  fc.assert(fc.property(fc.array(request, { minLength: 1, maxLength: 8 }), (requests) => {
    const { ata, disk, settle, table, context } = make()
    const model = disk.data.slice()
    ata.start(0xc6, 0, 8)
    for (const { kind, write, sector, count: given, cuts, seed } of requests) {
      const count = kind.wide ? given : Math.min(given, 255)
      const inside = sector + count <= 600
      const bytes = Uint8Array.from({ length: count * 512 }, (_, at) => at * seed + (at >>> 8))
      if (kind.dma) {
        // Regions of an even number of bytes, one behind the other with gaps.
        const entries: [number, number][] = []
        let [at, left] = [0x1_0000, count * 512]
        for (const cut of cuts) {
          const size = Math.min(left, 2 * cut)
          if (size === 0) break
          entries.push([at, size])
          at += size + 64
          left -= size
        }
        for (; left > 0; left -= 0x1_0000) {
          entries.push([at, Math.min(left, 0x1_0000)])
          at += 0x1_0000
        }
        table(0x400, entries)
        ata.master(4, 0x400, 4)
        if (write) for (let done = 0, index = 0; index < entries.length; index++) {
          const [address, size] = entries[index] ?? [0, 0]
          context.memory.set(bytes.subarray(done, done += size), address)
        }
        ata.start(write ? kind.write : kind.read, sector, count, kind.wide)
        expect(ata.irq()).toBe(!inside)
        ata.master(0, write ? 1 : 9)
        settle()
        expect([ata.irq(), ata.master(2) & 7]).toEqual([true, inside ? 4 : 5])
        ata.master(0, 0)
        ata.master(2, 6)
        if (inside && !write) expect(Buffer.compare(Buffer.concat(entries.map(([address, size]) => context.memory.subarray(address, address + size))), model.subarray(sector * 512, (sector + count) * 512))).toBe(0)
      } else {
        ata.start(write ? kind.write : kind.read, sector, count, kind.wide)
        if (inside && write) {
          for (let at = 0; at < bytes.length; at += 4) {
            ata.put(0, ((bytes[at] ?? 0) | (bytes[at + 1] ?? 0) << 8 | (bytes[at + 2] ?? 0) << 16 | (bytes[at + 3] ?? 0) << 24) >>> 0, 4)
            if (at % 512 === 508) settle()
          }
        } else if (inside) {
          const got = Buffer.concat(Array.from({ length: count }, () => {
            settle()
            expect(ata.alternate() & 0x88).toBe(8)
            return ata.words(256)
          }))
          expect(Buffer.compare(got, model.subarray(sector * 512, (sector + count) * 512))).toBe(0)
        }
      }
      if (inside && write) model.set(bytes, sector * 512)
      expect(ata.get(7)).toBe(inside ? 0x50 : 0x51)
      if (!inside) expect(ata.get(1)).toBe(0x10)
      expect(ata.irq()).toBe(false)
    }
    expect(Buffer.compare(disk.data, model)).toBe(0)
  }), { numRuns: 6 })
})

test('addresses by cylinder, head and sector, and what cannot be, is refused', () => {
  const { ata, disk, settle } = make()
  const chs = (cylinder: number, head: number, sector: number): void => {
    for (const [at, value] of [[2, 1], [3, sector], [4, cylinder], [5, 0], [6, head], [7, 0x20]] as const) ata.put(at, value)
    settle()
  }
  ata.put(2, 17)
  ata.put(6, 3)
  ata.put(7, 0x91)
  chs(5, 2, 9)
  expect(Buffer.compare(ata.words(256), disk.data.subarray((((5 * 4) + 2) * 17 + 8) * 512).subarray(0, 512))).toBe(0)
  for (const [cylinder, head, sector] of [[5, 4, 1], [5, 2, 0], [5, 2, 18], [9, 0, 1]] as const) {
    chs(cylinder, head, sector)
    expect([ata.get(7), ata.get(1)]).toEqual([0x51, 0x10])
  }
  for (const code of [0x00, 0x08, 0xa0, 0xa1, 0xb0, 0xff]) {
    ata.put(7, code)
    expect([code, ata.get(7), ata.get(1)]).toEqual([code, 0x51, 4])
  }
  for (const count of [3, 32]) {
    ata.start(0xc6, 0, count)
    expect(ata.get(7)).toBe(0x51)
  }
  const locked = make({ readOnly: true })
  locked.ata.start(0x30, 0, 1)
  expect([locked.ata.get(7), locked.ata.get(1)]).toEqual([0x51, 4])
  // A medium that fails says where.
  disk.failures.push('ok' as never)
  disk.failures.length = 0
  ata.put(6, 0x40)
  disk.failures.push('io-error')
  ata.start(0x20, 77, 1)
  expect([ata.get(7), ata.get(1), ata.get(3)]).toEqual([0x51, 0x40, 77])
})

test('interrupts are masked, are seen by the bus master, and end when the status is read', () => {
  const { ata, settle } = make()
  ata.control(2)
  ata.start(0x20, 0, 1)
  expect([ata.irq(), ata.master(2) & 4]).toEqual([false, 0])
  ata.control(0)
  expect([ata.irq(), ata.master(2) & 4, ata.alternate(), ata.irq(), ata.get(7), ata.irq()]).toEqual([true, 4, 0x58, true, 0x58, false])
  ata.control(4)
  expect(ata.get(7)).toBe(0x80)
  ata.control(0)
  expect([ata.get(7), ata.get(2), ata.words(1)[0]]).toEqual([0x50, 1, 0])
  // A request of before the reset says nothing any more.
  ata.put(2, 1)
  ata.put(6, 0x40)
  ata.put(7, 0x20)
  ata.control(4)
  ata.control(0)
  settle()
  expect([ata.get(7), ata.irq()]).toEqual([0x50, false])
})

test('a compact disc is read by packets, in pieces that the host can take, and by the bus master', () => {
  const { cd, disc, table, settle, context } = make()
  cd.packet([0])
  expect([cd.get(7) & 1, cd.get(1)]).toEqual([1, 0x64])
  cd.packet([3, 0, 0, 0, 18])
  expect([...cd.answer()].slice(0, 14)).toEqual([0x70, 0, 6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0])
  cd.packet([0x12, 0, 0, 0, 36])
  expect(cd.answer().toString('latin1', 8, 22)).toBe('MACHINSTCD-ROM')
  cd.packet([0x25])
  expect([...cd.answer()]).toEqual([0, 0, 0, 39, 0, 0, 8, 0])
  for (const limit of [0xfffe, 2048, 3001, 64]) {
    cd.packet([0x28, 0, 0, 0, 0, 3, 0, 0, 35], limit)
    expect(cd.irq()).toBe(true)
    expect(Buffer.compare(cd.answer(), disc.data.subarray(3 * 2048, 38 * 2048))).toBe(0)
    expect([cd.get(7), cd.get(2)]).toEqual([0x50, 3])
  }
  table(0, [[0x1_0000, 0], [0x3_0000, 35 * 2048 - 0x1_0000]])
  cd.master(4, 0, 4)
  cd.packet([0xa8, 0, 0, 0, 0, 3, 0, 0, 0, 35], 0, 1)
  cd.master(0, 9)
  settle()
  expect([cd.irq(), cd.get(7), cd.master(2) & 7]).toEqual([true, 0x50, 4])
  expect(Buffer.compare(Buffer.concat([context.memory.subarray(0x1_0000, 0x2_0000), context.memory.subarray(0x3_0000, 0x3_0000 + 35 * 2048 - 0x1_0000)]), disc.data.subarray(3 * 2048, 38 * 2048))).toBe(0)
  cd.packet([0x28, 0, 0, 0, 0, 39, 0, 0, 2])
  expect([cd.get(7) & 1, cd.get(1)]).toEqual([1, 0x54])
  cd.packet([0x43, 0, 0, 0, 0, 0, 0, 0, 20])
  expect([...cd.answer()]).toEqual([0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0, 40])
  cd.packet([0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8])
  expect([...cd.answer()]).toEqual([0, 6, 4, 0x10, 2, 2, 0, 0])
  cd.packet([0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 28])
  expect([...cd.answer()].slice(0, 10)).toEqual([0, 26, 1, 0, 0, 0, 0, 0, 0x2a, 18])
  const empty = make({ disc: 0 })
  empty.cd.packet([0])
  empty.cd.packet([0])
  empty.cd.packet([3, 0, 0, 0, 18])
  expect([...empty.cd.answer()].slice(2, 14)).toEqual([2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3a, 0])
})

test('a table that ends too soon stops, one that leads nowhere is an error, and neither is endless', () => {
  const { ata, table, settle } = make()
  table(0, [[0x1000, 512]])
  ata.master(4, 0, 4)
  ata.start(0xc8, 0, 4)
  ata.master(0, 9)
  settle()
  expect([ata.irq(), ata.master(2) & 7, ata.alternate()]).toEqual([false, 0, 0x58])
  ata.master(0, 0)
  expect([ata.alternate(), ata.get(1)]).toEqual([0x51, 4])
  for (const [address, at] of [[0xffff_0000, 0], [0x1000, 0xf000_0000]] as const) {
    table(0, [[address, 2048]])
    ata.master(4, at, 4)
    ata.start(0xc8, 0, 4)
    ata.master(0, 9)
    settle()
    expect([ata.master(2) & 3, ata.get(7)]).toEqual([2, 0x51])
    ata.master(0, 0)
    ata.master(2, 6)
  }
  // Two bytes at a time from a table without an end, which is what it moves: read into itself, and round at 64 KiB.
  table(0xfff8, [[0xfff8, 2], [0x8, 2]].slice(0, 1) as [number, number][])
  const view = new DataView(new ArrayBuffer(8))
  view.setUint32(4, 2, true)
  ata.master(4, 0xfff8, 4)
  ata.start(0x25, 0, 300, true)
  ata.master(0, 9)
  settle()
  expect(ata.master(2) & 1).toBe(0)
})

test('a drive has one request at the disk, however often the host gives up and begins again', () => {
  const { ata, disk, settle, table } = make()
  table(0, [[0x1000, 0]])
  ata.master(4, 0, 4)
  const begin = (command: number): void => { for (const [at, value] of [[2, 128], [3, 2], [4, 0], [5, 0], [6, 0x40], [7, command]] as const) ata.put(at, value) }
  const most = (again: () => void): number => Math.max(...Array.from({ length: 50 }, () => {
    again()
    return disk.pending
  }))
  const reset = (): void => { for (const value of [4, 0]) ata.control(value) }
  expect(most(() => {
    begin(0xc8)
    for (const value of [1, 0]) ata.master(0, value)
  })).toBe(1)
  for (const command of [0xc8, 0xe7]) expect(most(() => {
    begin(command)
    reset()
  })).toBe(1)
  expect(most(() => {
    begin(0xca)
    for (const value of [1, 0]) ata.master(0, value)
  })).toBe(1)
  // The last one comes when the one that was given up has come back.
  reset()
  begin(0x20)
  expect([disk.pending, ata.alternate() & 0x80]).toEqual([1, 0x80])
  disk.complete(1)
  expect([disk.pending, ata.alternate() & 0x80]).toEqual([1, 0x80])
  settle()
  expect(Buffer.compare(ata.words(256), disk.data.subarray(1024, 1536))).toBe(0)
})

test('a disk that is busy does not know DEVICE RESET, and a packet device does', () => {
  const { ata, cd, disc, device, settle } = make()
  for (const [at, value] of [[2, 1], [3, 5], [6, 0x40], [7, 0x20], [7, 0x08]] as const) ata.put(at, value)
  expect(ata.alternate() & 0x80).toBe(0x80)
  settle()
  ata.put(7, 0x08)
  expect(ata.alternate()).toBe(0x58)
  device.restore(device.save())
  cd.packet([0])
  for (const value of [0xa0, 0x08]) cd.put(7, value)
  expect([disc.pending, cd.get(7), cd.get(4), cd.irq()]).toEqual([0, 0, 0x14, false])
})

test('every command has its interrupt, and only the first drive tells of diagnostics', () => {
  const { ata } = make()
  for (let count = 0; count < 3; count++) {
    ata.put(7, 0xe0)
    expect([ata.irq(), ata.master(2) & 4]).toEqual([true, 4])
    ata.master(2, 4)
    expect(ata.master(2) & 4).toBe(0)
  }
  const disk = fakeBlock({ size: SIZE })
  const { device, context } = testDevice(piix3Ide, { primaryMaster: 'disk', primarySlave: 'disk' }, { backends: { primaryMaster: disk, primarySlave: disk, secondaryMaster: none, secondarySlave: none } })
  device.reset('cold')
  device.write(0, 0, 2, 0x8000)
  device.write(2, 7, 1, 0x90)
  expect([context.irq.irq14.level, device.read(2, 7, 1), context.irq.irq14.level]).toEqual([true, 0x50, false])
  device.write(2, 6, 1, 0x10)
  expect(context.irq.irq14.level).toBe(false)
})

test('an error says where by the addresses of its command', () => {
  const { ata, disk, table, settle } = make()
  for (const command of [0x24, 0x25, 0x20]) {
    ata.start(0x40, 0, 1)
    const wide = command !== 0x20
    // What was there before, where 48 bits have their upper half.
    for (const at of [3, 4, 5]) for (const value of [0x77, 0x77]) ata.put(at, value)
    disk.failures.push('io-error')
    table(0, [[0x1000, 512]])
    ata.master(4, 0, 4)
    ata.start(command, 77, 1, wide)
    ata.master(0, 9)
    settle()
    expect([ata.get(7), ata.get(1), ata.get(3), ata.get(6) & 15]).toEqual([0x51, 0x40, 77, 0])
    ata.control(0x80)
    expect([ata.get(3), ata.get(4), ata.get(5)]).toEqual(wide ? [0, 0, 0] : [0x77, 0x77, 0x77])
    ata.control(0)
    ata.master(0, 0)
  }
  // What the device register says of the head is not part of an address of 48 bits.
  for (const [at, value] of [[2, 0], [3, 0], [4, 0], [5, 0], [2, 1], [3, 9], [4, 0], [5, 0], [6, 0x4a]] as const) ata.put(at, value)
  disk.failures.push('io-error')
  ata.put(7, 0x24)
  settle()
  expect([ata.get(1), ata.get(3), ata.get(6) & 15]).toEqual([0x40, 9, 10])
})

test('a packet device tells what it is asked for, and of its reset once', () => {
  const { cd } = make()
  cd.packet([3, 0, 0, 0, 18])
  expect([...cd.answer()].slice(2, 14)).toEqual([6, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x29, 0])
  cd.packet([0])
  expect(cd.get(7) & 1).toBe(0)
  for (const [room, limit, count] of [[5, 0xfffe, 5], [5, 4, 4], [4, 0xfffe, 4]] as const) {
    cd.packet([0x12, 0, 0, 0, room], limit)
    expect(cd.get(4)).toBe(count)
    expect([...cd.answer()]).toEqual([5, 0x80, 0, 0x21, 31].slice(0, room))
    expect(cd.get(7)).toBe(0x50)
  }
  const features = (type: number, start: number): number[] => {
    cd.packet([0x46, type, 0, start, 0, 0, 0, 0, 200])
    const bytes = cd.answer()
    expect(bytes.length === 0 ? 0 : bytes.readUInt32BE(0) + 4).toBe(bytes.length)
    const codes = []
    for (let at = 8; at < bytes.length; at += 4 + (bytes[at + 3] ?? 0)) codes.push(bytes.readUInt16BE(at))
    return codes
  }
  expect([features(0, 0), features(0, 3), features(2, 0x10), features(2, 2), features(1, 1)]).toEqual([[0, 1, 3, 0x10, 0x1e], [3, 0x10, 0x1e], [0x10], [], [1, 3, 0x10, 0x1e]])
  features(3, 0)
  expect([cd.get(7) & 1, cd.get(1)]).toEqual([1, 0x54])
  const disc = fakeBlock({ size: DISC, readOnly: true })
  const { device } = testDevice(piix3Ide, { primaryMaster: 'cdrom', primarySlave: 'cdrom' }, { backends: { primaryMaster: disc, primarySlave: disc, secondaryMaster: none, secondarySlave: none } })
  device.reset('cold')
  device.write(0, 0, 2, 0x8000)
  for (const [at, value] of [[6, 0x10], [7, 0x08]] as const) device.write(2, at, 1, value)
  expect(device.read(2, 6, 1)).toBe(0xb0)
})

test('the bus master goes on for the drive that waits for it, whichever is meant; the diagnostic ends what the other was at', () => {
  const [first, second] = [fakeBlock({ size: SIZE }), fakeBlock({ size: SIZE })]
  for (const { data } of [first, second]) data.forEach((_, at) => { data[at] = at * 7 + (at >>> 9) * 13 })
  const { device, context } = testDevice(piix3Ide, { primaryMaster: 'disk', primarySlave: 'disk' }, { backends: { primaryMaster: first, primarySlave: second, secondaryMaster: none, secondarySlave: none }, memoryBase: 0, memorySize: RAM })
  device.write(0, 0, 2, 0x8000)
  const put = (at: number, value: number): void => { device.write(2, at, 1, value) }
  const view = new DataView(context.memory.buffer)
  view.setUint32(0x400, 0x1000, true)
  view.setUint32(0x404, 0x8000_0200, true)
  const start = (drive: number, command: number): void => { for (const [at, value] of [[6, 0x40 | drive << 4], [2, 1], [3, 5], [4, 0], [5, 0], [7, command]] as const) put(at, value) }
  device.write(1, 4, 4, 0x400)
  device.write(1, 0, 1, 9)
  start(0, 0xc8)
  put(6, 0x50)
  first.complete()
  expect(Buffer.compare(context.memory.subarray(0x1000, 0x1200), first.data.subarray(5 * 512, 6 * 512))).toBe(0)
  device.write(1, 0, 1, 0)
  // The second waits for its data to be taken; the first is told to diagnose.
  start(1, 0x20)
  second.complete()
  expect(device.read(2, 7, 1)).toBe(0x58)
  put(7, 0x90)
  expect(device.read(2, 7, 1)).toBe(0x58)
  put(6, 0x40)
  expect(device.read(2, 7, 1)).toBe(0x50)
  put(7, 0x90)
  put(6, 0x50)
  expect([device.read(2, 7, 1), device.read(2, 1, 1)]).toEqual([0x50, 1])
})

test('a disk that ends everything at once is asked in a loop', () => {
  const data = Uint8Array.from({ length: 0x20_0000 }, (_, at) => at * 7 + (at >>> 9))
  let [depth, deepest] = [0, 0]
  const disk: BlockPort = { ...none, size: data.length, readOnly: false, read(offset, into, done) {
    deepest = Math.max(deepest, ++depth)
    for (const each of into) each.set(data.subarray(offset, offset + each.length))
    done('ok')
    depth--
  } }
  const { device, context } = testDevice(piix3Ide, { primaryMaster: 'disk' }, { backends: { primaryMaster: disk, primarySlave: none, secondaryMaster: none, secondarySlave: none }, memoryBase: 0, memorySize: RAM })
  device.write(0, 0, 2, 0x8000)
  const view = new DataView(context.memory.buffer)
  // All of 2 MiB go to one place.
  for (let at = 0; at < 32; at++) {
    view.setUint32(0x1000 + 8 * at, 0x2_0000, true)
    view.setUint32(0x1004 + 8 * at, at === 31 ? 0x8000_0000 : 0, true)
  }
  device.write(1, 4, 4, 0x1000)
  for (const [at, value] of [[6, 0x40], [2, 0x10], [2, 0], [3, 0], [3, 0], [4, 0], [4, 0], [5, 0], [5, 0], [7, 0x25]] as const) device.write(2, at, 1, value)
  device.write(1, 0, 1, 9)
  expect([device.read(2, 7, 1), device.read(1, 2, 1) & 7, deepest]).toEqual([0x50, 4, 1])
  expect(Buffer.compare(context.memory.subarray(0x2_0000, 0x3_0000), data.subarray(-0x1_0000))).toBe(0)
})

test('wherever it is saved, it goes on as it would have', () => {
  const step = fc.oneof(
    fc.record({ region: fc.constantFrom(2, 4), at: fc.integer({ min: 0, max: 7 }), value: fc.nat(255) }),
    fc.record({ region: fc.constantFrom(2, 4), at: fc.constant(7), value: fc.constantFrom(0x20, 0x30, 0x25, 0x35, 0xc8, 0xca, 0xec, 0xa0, 0xa1, 0xc4, 0xe7, 0xc6, 0x90, 0x08) }),
    fc.record({ region: fc.constantFrom(2, 4), at: fc.constant(0), value: fc.nat(0xffff) }),
    fc.record({ region: fc.constantFrom(3, 5), at: fc.constant(0), value: fc.constantFrom(0, 2, 4, 0x80) }),
    fc.record({ region: fc.constant(1), at: fc.constantFrom(0, 2, 4, 8, 10, 12), value: fc.constantFrom(0, 1, 9, 6, 0x40, 0xff) }),
    fc.record({ region: fc.constant(2), at: fc.constant(7), value: fc.constantFrom(0x20, 0x30, 0xc8, 0x08, 0xe7, 0xec) }),
    // Nothing but time.
    fc.constant({ region: 3, at: -1, value: 0 }),
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), fc.array(step, { maxLength: 40 }), fc.boolean(), (before, after, settled) => {
    const one = make()
    const apply = ({ device, settle }: ReturnType<typeof make>, { region, at, value }: { region: number; at: number; value: number }, done = true): number => {
      if (at < 0) settle()
      if (at < 0) return 0
      device.write(region, at, at === 0 && (region === 2 || region === 4) ? 2 : 1, value)
      if (done) settle()
      return device.read(region, at, at === 0 && (region === 2 || region === 4) ? 2 : 1)
    }
    before.forEach((each) => apply(one, each, settled))
    const state = structuredClone(one.device.save())
    const other = make()
    other.disk.data.set(one.disk.data)
    other.context.memory.set(one.context.memory)
    other.device.restore(state)
    expect(other.device.save()).toEqual(state)
    one.settle()
    // What was given up may yet be written: only what is in the state is written again.
    const [drive] = state.drives
    const kept = other.disk.data.slice()
    other.disk.data.set(one.disk.data)
    if (drive?.phase === 'store') other.disk.data.set(kept.subarray(drive.transfer[0] ?? 0).subarray(0, drive.buffer.length), drive.transfer[0] ?? 0)
    other.dut.advance(0)
    other.settle()
    for (const each of after) expect(apply(other, each, settled)).toBe(apply(one, each, settled))
    for (const each of [one, other]) each.settle()
    expect(other.device.save()).toEqual(one.device.save())
    expect([other.ata.irq(), other.cd.irq()]).toEqual([one.ata.irq(), one.cd.irq()])
    expect(Buffer.compare(other.disk.data, one.disk.data)).toBe(0)
  }), { numRuns: 25 })
})

test('whatever the host does while the disk is busy, it has one request, its state can be restored, and the next command does what it should', () => {
  const step = fc.oneof(
    fc.constantFrom(0x20, 0x30, 0xc8, 0xca, 0xe7, 0xec, 0x08, 0x90).map((value) => ({ region: 2, at: 7, value })),
    fc.constantFrom(0, 1, 9).map((value) => ({ region: 1, at: 0, value })),
    fc.constantFrom(0, 4).map((value) => ({ region: 3, at: 0, value })),
    fc.constantFrom('some', 'data').map((what) => ({ what })),
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
    const { ata, cd, disk, device, settle, table } = make()
    table(0x400, [[0x1000, 0]])
    ata.master(4, 0x400, 4)
    const other = make().device
    for (const each of steps) {
      if ('region' in each) {
        if (each.at === 7) for (const [at, value] of [[2, 1], [3, 2], [4, 0], [5, 0], [6, 0x40]] as const) ata.put(at, value)
        device.write(each.region, each.at, 1, each.value)
      } else if (each.what === 'some') disk.complete(1)
      else ata.words(256)
      expect(disk.pending).toBeLessThanOrEqual(1)
      const state = device.save()
      other.restore(state)
      expect(other.save()).toEqual(state)
      const [drive] = state.drives
      if (['fetch', 'store', 'flush'].includes(drive?.phase ?? '')) expect((drive?.registers[12] ?? 0) & 0x88).toBe(0x80)
    }
    ata.master(0, 0)
    for (const value of [4, 0]) ata.control(value)
    ata.start(0x20, 9, 1)
    expect([ata.get(7), Buffer.compare(ata.words(256), disk.data.subarray(9 * 512, 10 * 512)), ata.get(7), cd.get(7)]).toEqual([0x58, 0, 0x50, 0])
    settle()
  }), { numRuns: 20 })
})

test('a state that is none changes nothing', () => {
  const { device, ata } = make()
  ata.put(7, 0x20)
  const now = device.save()
  const [first, ...rest] = now.drives
  for (const wrong of [
    {}, { ...now, drives: [] }, { ...now, drives: [null, ...rest] }, { ...now, masters: [1, 2] }, { ...now, second: [1, 0] },
    ...[{ at: 3 }, { phase: 'fetch', transfer: [SIZE, 512, 512, 0, 0, 0, 0, 0, 0] }, { phase: 'store', transfer: [0, 512, 512, 0, 0, 1, 0, 0, 0], buffer: new Uint8Array(1024) }, { phase: 'packet', buffer: new Uint8Array(2) }, { buffer: new Uint8Array(2 ** 20) }, { settings: [] }].map((changes) => ({ ...now, drives: [{ ...first, ...changes }, ...rest] })),
  ]) expect(() => { device.restore(wrong as Piix3IdeState) }, JSON.stringify(wrong).slice(0, 80)).toThrow(expect.objectContaining({ code: 'state' }))
  expect(device.save()).toEqual(now)
  expect(() => piix3Ide.configure({ primarySlave: 'disk' }, 'ide')).toThrow(expect.objectContaining({ code: 'config' }))
})
