import { isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ELF_MACHINE, parseBzImage, planX86Boot, type X86BootOptions, type X86BootPlan } from '../index.ts'

const MIB = 2 ** 20
const memory = [{ base: 0, size: 256 * MIB }]

const put = (bytes: Uint8Array, at: number, size: 1 | 2 | 4 | 8, value: number | bigint): void => {
  for (let byte = 0; byte < size; byte++) bytes[at + byte] = Number(BigInt(value) >> BigInt(8 * byte) & 0xffn)
}
const get = (bytes: Uint8Array, at: number, size: 1 | 2 | 4 | 8): number => Array.from({ length: size }, (_, byte) => (bytes[at + byte] ?? 0) * 2 ** (8 * byte)).reduce((sum, part) => sum + part)
const failure = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return 'none'
}

interface Header { readonly version?: number; readonly flags?: number; readonly preferred?: number; readonly initSize?: number; readonly alignment?: number; readonly packed?: Uint8Array; readonly length?: number }

/** A bzImage of 4 setup sectors and 64 KiB. */
function bzImage({ version = 0x20f, flags = 3, preferred = 16 * MIB, initSize = 3 * MIB, alignment = 2 * MIB, packed, length = (packed?.length ?? -4) + 4 }: Header = {}): Uint8Array {
  const bytes = new Uint8Array(5 * 512 + 0x1_0000).fill(0x90, 5 * 512)
  for (const [at, size, value] of [
    [0x1f1, 1, 4], [0x1f4, 4, 0x1000], [0x1fe, 2, 0xaa55], [0x200, 2, 0x6aeb], [0x202, 4, 0x5372_6448], [0x206, 2, version], [0x211, 1, 1], [0x22c, 4, 0x7fff_ffff], [0x230, 4, alignment], [0x234, 1, 1],
    [0x236, 2, flags], [0x238, 4, 255], [0x248, 4, 0x400], [0x24c, 4, length], [0x258, 8, preferred], [0x260, 4, initSize],
  ] as const) put(bytes, at, size, value)
  if (packed !== undefined) bytes.set(packed, 5 * 512 + 0x400)
  return bytes
}

/** An ELF file of one segment, and maybe a note. */
function elf(bits: 32 | 64, { at = 2 * MIB, entry = at + 16, content = new Uint8Array(64), note, machine = bits === 64 ? ELF_MACHINE.amd64 : ELF_MACHINE.i386 as number }: {
  readonly at?: number; readonly entry?: number; readonly content?: Uint8Array; readonly note?: readonly number[]; readonly machine?: number
} = {}): Uint8Array {
  const [header, entrySize, wide] = bits === 64 ? [64, 56, 8] as const : [52, 32, 4] as const
  const file = new Uint8Array(header + 2 * entrySize + 64 + content.length)
  file.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, 1, 1])
  put(file, 16, 2, 2)
  put(file, 18, 2, machine)
  put(file, 24, wide, entry)
  put(file, bits === 64 ? 32 : 28, wide, header)
  put(file, bits === 64 ? 54 : 42, 2, entrySize)
  put(file, bits === 64 ? 56 : 44, 2, note === undefined ? 1 : 2)
  const from = header + 2 * entrySize
  const segment = (index: number, type: number, offset: number, size: number, room: number): void => {
    const fields = bits === 64 ? { type: 0, offset: 8, virtual: 16, physical: 24, file: 32, memory: 40 } : { type: 0, offset: 4, virtual: 8, physical: 12, file: 16, memory: 20 }
    const base = header + index * entrySize
    put(file, base, 4, type)
    for (const [field, value] of [['offset', offset], ['virtual', at], ['physical', at], ['file', size], ['memory', room]] as const) put(file, base + fields[field], wide, value)
  }
  segment(0, 1, from + 64, content.length, content.length + 4096)
  file.set(content, from + 64)
  if (note !== undefined) {
    segment(1, 4, from, note.length, note.length)
    file.set(note, from)
  }
  return file
}
/** A header of Multiboot2, 64 bytes from the beginning, with tags of a type, flags and words. */
function multiboot2(tags: readonly (readonly number[])[]): Uint8Array {
  const bytes = new Uint8Array(4096)
  let at = 64 + 16
  for (const [type = 0, flags = 0, ...words] of [...tags, [0, 0]]) {
    put(bytes, at, 2, type)
    put(bytes, at + 2, 2, flags)
    put(bytes, at + 4, 4, 8 + 4 * words.length)
    words.forEach((word, index) => { put(bytes, at + 8 + 4 * index, 4, word >>> 0) })
    at += Math.ceil((8 + 4 * words.length) / 8) * 8
  }
  for (const [index, value] of [0xe852_50d6, 0, at - 64, -0xe852_50d6 - (at - 64)].entries()) put(bytes, 64 + 4 * index, 4, value >>> 0)
  return bytes
}
const xen = (entry: number): number[] => [4, 0, 0, 0, 8, 0, 0, 0, 18, 0, 0, 0, 0x58, 0x65, 0x6e, 0, ...[0, 8, 16, 24].map((shift) => entry >>> shift & 0xff), 0, 0, 0, 0]

const plan = (options: Partial<X86BootOptions> & Pick<X86BootOptions, 'kernel'>): X86BootPlan => planX86Boot({ memory, ...options })
const part = ({ segments }: X86BootPlan, name: string): X86BootPlan['segments'][number] => segments.find((each) => each.part === name) ?? expect.unreachable(`no ${name}`)

describe('a bzImage', () => {
  test('is entered in long mode behind its 32-bit entry, told of all in boot_params', () => {
    const made = plan({ kernel: bzImage(), initrd: new Uint8Array(5000).fill(7), append: 'console=ttyS0', rsdp: 0xe_0000, rngSeed: new Uint8Array(64).fill(3) })
    expect(made.start).toEqual({ kind: 'linux64', pc: 16 * MIB + 0x200, parameters: 0x7000, pages: 0x1000, gdt: { base: 0x500, limit: 39 } })
    expect(made.entry).toEqual({ pc: 16 * MIB + 0x200, args: [], start: made.start })
    expect(part(made, 'kernel')).toMatchObject({ address: 16 * MIB, memorySize: 3 * MIB })
    expect(part(made, 'kernel').bytes.length).toBe(0x1_0000)
    expect(part(made, 'initrd').address).toBe(256 * MIB - 2 * 4096)
    const { bytes } = part(made, 'boot parameters')
    expect(bytes.length).toBe(4096)
    expect([get(bytes, 0x1fe, 2), get(bytes, 0x202, 4), get(bytes, 0x210, 1), get(bytes, 0x211, 1), get(bytes, 0x1ef, 1)]).toEqual([0xaa55, 0x5372_6448, 0xff, 0x41, 0])
    expect([get(bytes, 0x218, 4), get(bytes, 0x21c, 4), get(bytes, 0x228, 4), get(bytes, 0x70, 8), get(bytes, 0x250, 8), get(bytes, 0x260, 4)]).toEqual([256 * MIB - 8192, 5000, 0x2_0000, 0xe_0000, 0x8000, 3 * MIB])
    const map = Array.from({ length: get(bytes, 0x1e8, 1) }, (_, index) => [get(bytes, 0x2d0 + 20 * index, 8), get(bytes, 0x2d8 + 20 * index, 8), get(bytes, 0x2e0 + 20 * index, 4)])
    expect(map).toEqual([[0, 0x9_fc00, 1], [0x9_fc00, 0x400, 2], [0xe_0000, 0x2_0000, 2], [MIB, 255 * MIB, 1]])
    expect(String.fromCharCode(...part(made, 'command line').bytes)).toBe('console=ttyS0\0')
    expect([...part(made, 'rng seed').bytes]).toEqual([...new Array<number>(8).fill(0), 9, 0, 0, 0, 64, 0, 0, 0, ...new Array<number>(64).fill(3)])
    // GDT: nothing, nothing, code of 64 bits, data; then a page directory entry of each GiB.
    expect([0x10, 0x18].map((at) => get(part(made, 'gdt').bytes, at + 4, 4).toString(16))).toEqual(['af9b00', 'cf9300'])
    const pages = part(made, 'page tables').bytes
    expect([get(pages, 0, 8), get(pages, 0x1000 + 24, 8), get(pages, 0x2000 + 8 * 2047, 8)]).toEqual([0x2003, 0x6003, 0xffe0_0083])
  })

  test('of 32 bits, or asked for those, begins in protected mode', () => {
    for (const made of [plan({ kernel: bzImage({ flags: 2 }) }), plan({ kernel: bzImage({ version: 0x20b }) }), plan({ kernel: bzImage(), protocol: 'linux32' })]) {
      expect(made.start).toEqual({ kind: 'protected', pc: 16 * MIB, gdt: { base: 0x500, limit: 39 }, eax: 0, ebx: 0, esi: 0x7000 })
      expect(get(part(made, 'gdt').bytes, 0x14, 4).toString(16)).toBe('cf9b00')
    }
    expect(plan({ kernel: bzImage({ version: 0x209 }) }).entry.pc, 'older ones lie at 1 MiB').toBe(MIB)
  })

  test('is unpacked where that can be', () => {
    const gzip = bzImage({ packed: Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3, 4), length: 8 })
    const seen: unknown[] = []
    const made = plan({
      kernel: gzip,
      inflate(bytes, limit) {
        seen.push([...bytes], limit)
        return elf(64)
      },
    })
    expect(seen).toEqual([[0x1f, 0x8b, 8, 0, 1, 2, 3, 4], 256 * MIB])
    expect(made.start).toMatchObject({ kind: 'linux64', pc: 2 * MIB + 16 })
    expect(get(part(made, 'boot parameters').bytes, 0x260, 4), 'its own header').toBe(3 * MIB)
    for (const inflate of [() => new Uint8Array(9), () => elf(32)]) expect(plan({ kernel: gzip, inflate }).entry.pc).toBe(16 * MIB + 0x200)
    expect(plan({ kernel: gzip, inflate: () => elf(64), protocol: 'linux32' }).entry.pc, 'not by an entry that it has not').toBe(16 * MIB)
    const both = bzImage({ flags: 2, packed: Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3, 4), length: 8 })
    expect(plan({ kernel: both, inflate: () => elf(32) }).start).toMatchObject({ kind: 'protected', pc: 2 * MIB + 16 })
    // Zstandard: one block as it is, and 4 bytes of its length behind it.
    const content = elf(64)
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x88, content.length << 3 & 0xff | 1, content.length >> 5, 0, ...content)
    expect(plan({ kernel: bzImage({ packed: frame }) }).entry.pc).toBe(2 * MIB + 16)
    frame[6] = (frame[6] ?? 0) | 6
    expect(failure(() => plan({ kernel: bzImage({ packed: frame }) }))).toBe('image-compressed')
    expect(failure(() => plan({ kernel: gzip })), 'it is no gzip behind its header').toBe('image-compressed')
  })

  test('lies elsewhere where it does not fit, if it can', () => {
    const small = [{ base: 0, size: 16 * MIB }]
    expect(planX86Boot({ memory: small, kernel: bzImage() }).entry.pc).toBe(2 * MIB + 0x200)
    expect(failure(() => planX86Boot({ memory: small, kernel: bzImage({ initSize: 15 * MIB }) }))).toBe('boot-memory')
  })

  test('that is damaged or too old is refused', () => {
    const changed = (at: number, size: 1 | 2 | 4 | 8, value: number): string => {
      const kernel = bzImage()
      put(kernel, at, size, value)
      return failure(() => plan({ kernel }))
    }
    expect([changed(0x206, 2, 0x205), changed(0x1fe, 2, 0), changed(0x211, 1, 0), changed(0x201, 1, 0x10), changed(0x201, 1, 0xff), changed(0x1f4, 4, 0x1001), changed(0x1f1, 1, 255)]).toEqual([
      'bzimage-version', 'bzimage-malformed', 'bzimage-malformed', 'bzimage-malformed', 'bzimage-malformed', 'bzimage-truncated', 'bzimage-truncated',
    ])
    expect([changed(0x230, 4, 4097), changed(0x258, 8, 0), changed(0x25c, 4, 1), changed(0x202, 4, 0)]).toEqual(['bzimage-malformed', 'bzimage-malformed', 'bzimage-malformed', 'boot-protocol'])
    expect(failure(() => parseBzImage(bzImage().subarray(0, 0x250)))).toBe('bzimage-truncated')
    expect(failure(() => plan({ kernel: bzImage(), append: 'x'.repeat(256) }))).toBe('boot-command-line')
    expect(failure(() => plan({ kernel: bzImage(), initrd: new Uint8Array(240 * MIB) }))).toBe('boot-memory')
    expect(failure(() => plan({ kernel: bzImage({ flags: 2 }), protocol: 'linux64' }))).toBe('boot-protocol')
  })
})

describe('other kernels', () => {
  test('are started by PVH when they have its note', () => {
    const made = plan({ kernel: elf(64, { note: xen(0x20_0040) }), initrd: new Uint8Array(10), append: 'a', rsdp: 0xe_0000 })
    expect([made.protocol, made.start]).toEqual(['pvh', { kind: 'protected', pc: 0x20_0040, gdt: { base: 0x500, limit: 39 }, eax: 0, ebx: 0x7000, esi: 0 }])
    const [info, lists] = made.segments.filter((each) => each.part === 'start info').map(({ bytes }) => bytes)
    if (info === undefined || lists === undefined) expect.unreachable()
    expect([get(info, 0, 4), get(info, 4, 4), get(info, 12, 4), get(info, 16, 8), get(info, 24, 8), get(info, 32, 8), get(info, 40, 8), get(info, 48, 4)]).toEqual([0x336e_c578, 1, 1, 0x8000, 0x2_0000, 0xe_0000, 0x8020, 4])
    expect([get(lists, 0, 8), get(lists, 8, 8), get(lists, 32 + 3 * 24, 8), get(lists, 32 + 3 * 24 + 8, 8), get(lists, 32 + 3 * 24 + 16, 4)]).toEqual([256 * MIB - 4096, 10, MIB, 255 * MIB, 1])
  })

  test('are started by multiboot when they have its header: as ELF files, or where that says', () => {
    const header = (flags: number, ...addresses: number[]): Uint8Array => {
      const bytes = new Uint8Array(4096)
      for (const [index, value] of [0x1bad_b002, flags, -0x1bad_b002 - flags, ...addresses].entries()) put(bytes, 64 + 4 * index, 4, value >>> 0)
      return bytes
    }
    const made = plan({ kernel: elf(32, { content: header(3), note: xen(1) }), initrd: new Uint8Array(10), append: 'hi' })
    expect([made.protocol, made.start]).toEqual(['multiboot', { kind: 'protected', pc: 2 * MIB + 16, gdt: { base: 0x500, limit: 39 }, eax: 0x2bad_b002, ebx: 0x7000, esi: 0 }])
    const [info, lists] = made.segments.filter((each) => each.part === 'multiboot information').map(({ bytes }) => bytes)
    if (info === undefined || lists === undefined) expect.unreachable()
    expect([get(info, 0, 4), get(info, 4, 4), get(info, 8, 4), get(info, 16, 4), get(info, 20, 4), get(info, 24, 4), get(info, 44, 4), get(info, 48, 4)]).toEqual([0x24d, 639, 255 * 1024, 0x2_0000, 1, 0x8000, 96, 0x8010])
    expect([get(lists, 0, 4), get(lists, 4, 4), lists[get(lists, 8, 4) - 0x8000], get(lists, 16, 4), get(lists, 20, 8), get(lists, 28, 8), get(lists, 36, 4)]).toEqual([256 * MIB - 4096, 256 * MIB - 4086, 0, 20, 0, 0x9_fc00, 1])

    const flat = plan({ kernel: header(0x1_0000, 3 * MIB + 64, 3 * MIB, 0, 3 * MIB + 8192, 3 * MIB + 100) })
    expect([flat.protocol, flat.entry.pc, part(flat, 'kernel').address, part(flat, 'kernel').memorySize]).toEqual(['multiboot', 3 * MIB + 100, 3 * MIB, 8192])
    expect(failure(() => plan({ kernel: header(0x1_0000, 3 * MIB, 3 * MIB + 64, 0, 0, 0) }))).toBe('multiboot-malformed')
    expect(failure(() => plan({ kernel: header(0x1_0000, 3 * MIB + 65, 3 * MIB, 0, 0, 0) }))).toBe('multiboot-malformed')
    expect(failure(() => plan({ kernel: header(0x1_0000, 3 * MIB + 64, 3 * MIB, 3 * MIB + 4097, 0, 0) }))).toBe('multiboot-malformed')
    expect(failure(() => plan({ kernel: header(8) }))).toBe('multiboot-feature')
  })

  test('are started by Multiboot2 when they have its header: as ELF files, or where that says', () => {
    const first = { part: 'acpi', address: 0xe_0000, bytes: Uint8Array.from({ length: 100 }, (_, index) => index) }
    /** The information as a kernel reads it: tag by tag, each at a multiple of 8, up to the last. */
    const told = (made: X86BootPlan): Map<number, Uint8Array> => {
      const { address, bytes } = part(made, 'multiboot information')
      expect([made.start, get(bytes, 0, 4), get(bytes, 4, 4)]).toMatchObject([{ kind: 'protected', eax: 0x36d7_6289, ebx: address, esi: 0 }, bytes.length, 0])
      const tags = new Map<number, Uint8Array>()
      for (let at = 8; at < bytes.length; at += Math.ceil(get(bytes, at + 4, 4) / 8) * 8) {
        expect(tags.has(0)).toBe(false)
        tags.set(get(bytes, at, 4), bytes.subarray(at + 8, at + get(bytes, at + 4, 4)))
      }
      expect(tags.get(0)?.length).toBe(0)
      return tags
    }
    const made = plan({ kernel: elf(64, { content: multiboot2([[1, 0, 3, 21, 15], [10, 0, 0, 0, 0, 0], [7, 0], [99, 1]]), note: xen(1) }), initrd: new Uint8Array(10), append: 'hi', tables: [first], rsdp: 0xe_0000 })
    const tags = told(made)
    expect([made.protocol, made.entry.pc, [...tags.keys()].sort((a, b) => a - b)]).toEqual(['multiboot2', 2 * MIB + 16, [0, 1, 2, 3, 4, 6, 14, 15, 21]])
    const tag = (type: number): Uint8Array => tags.get(type) ?? expect.unreachable()
    expect([1, 2].map((type) => String.fromCharCode(...tag(type)))).toEqual(['hi\0', 'Machinist\0'])
    expect([get(tag(3), 0, 4), get(tag(3), 4, 4), tag(3)[8], get(tag(4), 0, 4), get(tag(4), 4, 4), get(tag(21), 0, 4)]).toEqual([256 * MIB - 4096, 256 * MIB - 4086, 0, 639, 255 * 1024, 2 * MIB])
    expect([get(tag(6), 0, 4), get(tag(6), 4, 4), tag(6).length, get(tag(6), 8 + 72, 8), get(tag(6), 16 + 72, 8), get(tag(6), 24 + 72, 4)]).toEqual([24, 0, 8 + 4 * 24, MIB, 255 * MIB, 1])
    expect([[...tag(14)], [...tag(15)]]).toEqual([[...first.bytes.subarray(0, 20)], [...first.bytes.subarray(0, 36)]])

    const entry = plan({ kernel: elf(64, { content: multiboot2([[3, 0, 2 * MIB + 99]]) }) })
    expect([entry.entry.pc, [...told(entry).keys()]]).toEqual([2 * MIB + 99, [1, 2, 4, 6, 0]])
    // A file that is no ELF file, whose header is 64 bytes from its beginning.
    const flat = plan({ kernel: multiboot2([[2, 0, 3 * MIB + 64, 3 * MIB, 0, 3 * MIB + 8192], [3, 0, 3 * MIB + 100]]) })
    expect([flat.protocol, flat.entry.pc, part(flat, 'kernel').address, part(flat, 'kernel').memorySize]).toEqual(['multiboot2', 3 * MIB + 100, 3 * MIB, 8192])
    expect(part(plan({ kernel: multiboot2([[2, 0, 3 * MIB + 64, 0xffff_ffff, 3 * MIB + 1000, 0], [3, 0, 3 * MIB]]) }), 'kernel')).toMatchObject({ address: 3 * MIB, memorySize: 1000 })
    // The longest command line, and one that is too long.
    expect(told(plan({ kernel: elf(64, { content: multiboot2([]) }), append: 'x'.repeat(65535) })).get(1)?.length).toBe(65536)
    expect(failure(() => plan({ kernel: elf(64, { content: multiboot2([]) }), append: 'x'.repeat(65536) }))).toBe('boot-command-line')
    for (const wrong of [[[2, 0, 3 * MIB, 3 * MIB + 64, 0, 0], [3, 0, 0]], [[2, 0, 3 * MIB + 65, 3 * MIB, 0, 0], [3, 0, 0]], [[2, 0, 3 * MIB + 64, 3 * MIB, 3 * MIB + 4097, 0], [3, 0, 0]], [[2, 0, 3 * MIB + 64, 3 * MIB, 0, 0]], [[2, 0, 1]], [[3, 0]]]) {
      expect(failure(() => plan({ kernel: multiboot2(wrong) }))).toBe('multiboot-malformed')
    }
    for (const wanted of [[1, 0, 22], [4, 0, 1], [5, 0, 640, 480, 32], [11, 0]]) {
      expect(failure(() => plan({ kernel: elf(64, { content: multiboot2([wanted]) }) }))).toBe('multiboot-feature')
      expect(plan({ kernel: elf(64, { content: multiboot2([wanted.map((value, index) => index === 1 ? 1 : value)]) }) }).protocol).toBe('multiboot2')
    }
  })

  test('are Linux of 64 bits when they say nothing, or what is asked for', () => {
    const made = plan({ kernel: elf(64) })
    expect(made.start).toMatchObject({ kind: 'linux64', pc: 2 * MIB + 16 })
    expect([get(part(made, 'boot parameters').bytes, 0x202, 4), get(part(made, 'boot parameters').bytes, 0x206, 2)]).toEqual([0x5372_6448, 0x20f])
    expect(plan({ kernel: elf(64, { note: xen(1) }), protocol: 'linux64' }).protocol).toBe('linux64')
    expect(plan({ kernel: elf(32), protocol: 'linux32' }).start).toMatchObject({ esi: 0x7000 })
    for (const [kernel, protocol] of [[elf(32), undefined], [elf(64), 'pvh'], [elf(64), 'multiboot'], [elf(32), 'linux64'], [elf(64), 'linux32'], [new Uint8Array(100), undefined]] as const) {
      expect(failure(() => plan({ kernel, ...(protocol !== undefined && { protocol }) }))).toBe('boot-protocol')
    }
    expect(failure(() => plan({ kernel: elf(64, { machine: ELF_MACHINE.arm64 }) }))).toBe('elf-machine')
    expect(failure(() => plan({ kernel: elf(64, { entry: 8 }) }))).toBe('elf-entry')
    for (const at of [0x9_f000, 255 * MIB + 0xff000, 300 * MIB]) expect(failure(() => plan({ kernel: elf(64, { at }) }))).toBe('boot-outside')
    expect(failure(() => plan({ kernel: elf(64, { at: 0x7000 }) }))).toBe('boot-overlap')
  })
})

test('tables lie where firmware has them, and nowhere else', () => {
  const tables = (address: number): X86BootPlan => plan({ kernel: bzImage(), tables: [{ part: 'acpi', address, bytes: new Uint8Array(100) }] })
  expect(part(tables(0xf_ff00), 'acpi').address).toBe(0xf_ff00)
  for (const address of [0xd_ffff, 0xf_ff9d]) expect(failure(() => tables(address))).toBe('boot-outside')
})

test('whatever a file has in it, it is refused with a reason, or all of it lies in RAM and nothing twice', () => {
  const packed = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0)
  const sources = [bzImage(), bzImage({ packed }), elf(64), elf(32), elf(64, { note: xen(0x20_0000) }), elf(64, { content: multiboot2([[10, 0, 0, 0, 0, 0]]) }), multiboot2([[2, 0, 3 * MIB + 64, 3 * MIB, 0, 3 * MIB + 8192], [3, 0, 3 * MIB + 100]])]
  fc.assert(fc.property(
    fc.nat(sources.length - 1), fc.array(fc.tuple(fc.oneof(fc.nat(0x300), fc.integer({ min: 0x1f0, max: 0x268 }), fc.integer({ min: 64, max: 112 })), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff))), { maxLength: 6 }),
    fc.option(fc.nat(0x2_0000)), fc.constantFrom(undefined, 'linux64', 'linux32', 'pvh', 'multiboot', 'multiboot2'),
    (which, changes, cut, protocol) => {
      const kernel = (sources[which] ?? new Uint8Array(0)).slice(0, cut ?? undefined)
      for (const [at, value] of changes) if (at < kernel.length) kernel[at] = value
      let made: X86BootPlan
      try {
        made = plan({ kernel, initrd: new Uint8Array(100), ...(protocol !== undefined && { protocol }), inflate: () => elf(64) })
      } catch (error) {
        expect(isMachinistError(error), String(error)).toBe(true)
        return
      }
      const sorted = [...made.segments].sort((a, b) => a.address - b.address)
      for (const [index, { address, bytes, memorySize }] of sorted.entries()) {
        expect(bytes.length).toBeLessThanOrEqual(memorySize)
        expect(address + memorySize).toBeLessThanOrEqual(sorted[index + 1]?.address ?? 256 * MIB)
      }
      expect(made.entry.pc).toBeLessThan(2 ** 32)
    },
  ), { numRuns: 500 })
})
