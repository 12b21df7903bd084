import { expect } from 'vitest'
import { isMachinistError } from '@machinist/api'
import type { DiskFormat, DiskImage } from '../src/index.ts'
import { checksum } from '../src/vhd/structures.ts'
import { checksumOf } from '../src/vhdx/structures.ts'
import { vdi } from '../src/vdi/vdi.ts'
import { vhd } from '../src/vhd/vhd.ts'
import { vhdx } from '../src/vhdx/vhdx.ts'
import { vmdk } from '../src/vmdk/vmdk.ts'
import { FragileFile } from './fragile-file.ts'
import { codec, generator } from './images.ts'
import { SEED } from './seed.ts'

/** A format, small images of it, and where its structures are. */
export interface Subject {
  readonly format: DiskFormat
  readonly parameters: Record<string, string>
  readonly size: number
  /** Places of structures that mutation aims at. */
  readonly structures: readonly { readonly at: number, readonly length: number }[]
  /** Makes checksums right again. */
  fix?(bytes: Uint8Array): void
}

const put = (bytes: Uint8Array, at: number, value: number, little: boolean): void => { new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, value, little) }

export const subjects: Readonly<Record<string, Subject>> = {
  vdi: { format: vdi, parameters: {}, size: 5 * 2 ** 20 + 512, structures: [{ at: 64, length: 440 }, { at: 512, length: 32 }] },
  vhd: {
    format: vhd, parameters: { block_size: '65536' }, size: 2 ** 20 + 512, structures: [{ at: 0, length: 512 }, { at: 512, length: 1024 }, { at: 1536, length: 72 }],
    fix(bytes) {
      for (const [at, length, field] of [[0, 512, 64], [512, 1024, 36], [bytes.length - 512, 512, 64]] as const) {
        if (at >= 0 && at + length <= bytes.length) put(bytes, at + field, checksum(bytes.subarray(at, at + length), field), false)
      }
    },
  },
  vhdx: {
    format: vhdx, parameters: {}, size: 5 * 2 ** 20 + 512,
    structures: [{ at: 65536, length: 96 }, { at: 131072, length: 96 }, { at: 196608, length: 96 }, { at: 262144, length: 96 }, { at: 2 << 20, length: 200 }, { at: (2 << 20) + 65536, length: 80 }, { at: 3 << 20, length: 48 }, { at: 1 << 20, length: 4200 }],
    fix(bytes) {
      for (const [at, length] of [[65536, 4096], [131072, 4096], [196608, 65536], [262144, 65536]] as const) if (at + length <= bytes.length) put(bytes, at + 4, checksumOf(bytes.subarray(at, at + length)), true)
      if (bytes.length > 2 << 20) {
        const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32((1 << 20) + 8, true)
        if (length <= 1 << 20) put(bytes, (1 << 20) + 4, checksumOf(bytes.subarray(1 << 20, (1 << 20) + length)), true)
      }
    },
  },
  'vmdk, sparse': { format: vmdk, parameters: {}, size: 2 ** 20 + 512, structures: [{ at: 0, length: 80 }, { at: 512, length: 400 }, { at: 21 * 512, length: 16 }, { at: 26 * 512, length: 16 }, { at: 27 * 512, length: 80 }] },
  'vmdk, stream': { format: vmdk, parameters: { subformat: 'streamOptimized' }, size: 2 ** 20 + 512, structures: [{ at: 0, length: 80 }, { at: 65536, length: 2048 }] },
}

/** An empty image. */
async function made(subject: Subject): Promise<FragileFile> {
  const file = new FragileFile()
  await subject.format.create?.(file, subject.size, { name: 'disk', parameters: subject.parameters })
  return new FragileFile(file.bytes.slice())
}

const openIt = (subject: Subject, file: FragileFile): Promise<DiskImage> => subject.format.open(file, { name: 'disk', codec })

const extremes = [0, 1, 2, 3, 6, 7, 0x7f, 0xff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff]

/** Spoils an image, and does with it what anybody may. */
async function mutate(subject: Subject, sound: Uint8Array<ArrayBuffer>, random: () => number): Promise<'refused' | 'opened'> {
  const pick = (below: number): number => Math.floor(random() * below)
  let bytes = sound.slice()
  const view = new DataView(bytes.buffer)
  for (let count = 1 + pick(4); count > 0; count--) {
    const place = subject.structures[pick(subject.structures.length)] ?? { at: 0, length: 4 }
    const at = place.at + pick(place.length / 4) * 4
    if (at + 8 > bytes.length) continue
    const kind = random()
    if (kind < 0.3) view.setUint32(at, extremes[pick(extremes.length)] ?? 0, random() < 0.5)
    else if (kind < 0.5) view.setUint32(at, view.getUint32(at, true) + pick(5) - 2, true)
    else if (kind < 0.65) view.setUint32(at, view.getUint32(place.at + pick(place.length / 4) * 4, true), true)
    else if (kind < 0.8) bytes[at + pick(4)] = pick(256)
    else if (kind < 0.9) view.setBigUint64(at, (1n << BigInt(40 + pick(24))) - BigInt(pick(2) * 512), random() < 0.5)
    else bytes.copyWithin(at, place.at + pick(place.length / 4) * 4, place.at + place.length)
  }
  if (random() < 0.1) bytes = bytes.slice(0, pick(bytes.length))
  if (random() < 0.7) subject.fix?.(bytes)
  subject.format.probe({ header: bytes.subarray(0, 4096), trailer: bytes.subarray(-512), size: bytes.length })
  const file = new FragileFile(bytes)
  let image: DiskImage
  try {
    image = await openIt(subject, file)
  } catch (error) {
    if (!isMachinistError(error)) throw error
    expect(file.longest).toBeLessThanOrEqual(1 << 24)
    return 'refused'
  }
  const typed = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      if (!isMachinistError(error) && !(error instanceof Error)) throw error
    }
  }
  for (let step = 0; step < 6; step++) {
    const offset = Math.floor(random() * image.size / 512) * 512
    const length = Math.min(image.size - offset, (1 + pick(2000)) * 512)
    await image.read(offset, [new Uint8Array(length)])
    if (step < 3) await image.write(offset, [new Uint8Array(length).fill(1)])
    else await image.writeZeroes(offset, length)
    await image.discard(offset, length)
  }
  await image.flush()
  await image.info()
  await typed(async () => { if (image.size < 2 ** 36) await image.check?.({ repair: 'all' }) })
  let steps = 0
  await typed(async () => { for await (const range of image.ranges()) if (range.length <= 0 || steps++ > 1000) break })
  await typed(async () => { await image.resize?.(image.size + 2 ** 20) })
  await typed(() => image.close())
  expect(file.longest).toBeLessThanOrEqual(1 << 24)
  return 'opened'
}

/** An image with content, to spoil. */
export async function filled(subject: Subject): Promise<Uint8Array<ArrayBuffer>> {
  const file = await made(subject)
  const image = await openIt(subject, file)
  for (let at = 0; at < subject.size; at += subject.size / 512 / 7 * 512 | 0) {
    const offset = at - at % 512
    await image.write(offset, [new Uint8Array(Math.min(4096, subject.size - offset)).fill(at % 255 + 1)])
  }
  // Killed, so that a VHDX has something in its log.
  await image.flush()
  return file.bytes.slice()
}

/** One random case after another; a failure names its seed. */
async function seeds(count: number, work: (random: () => number) => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index++) {
    const seed = (SEED * 1000 + index) >>> 0
    try {
      await work(generator(seed))
    } catch (error) {
      throw new Error(`seed ${String(seed)}`, { cause: error })
    }
  }
}

export async function mutations(subject: Subject, count: number): Promise<void> {
  const sound = await filled(subject)
  const outcomes = new Set<string>()
  await seeds(count, async (random) => { outcomes.add(await mutate(subject, sound, random)) })
  expect(outcomes.size).toBe(2)
}
