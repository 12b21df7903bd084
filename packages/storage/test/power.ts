import { expect } from 'vitest'
import type { BlockPort, BlockStatus } from '@machinist/api'
import { diskFormats, imageDisk } from '../src/index.ts'
import type { Disk, DiskFormat, DiskImage, OpenFile, RandomAccessFile } from '../src/index.ts'
import { PowerFile, SECTOR, type Sync } from './power-file.ts'
import { codec, generator } from './support.ts'

/** An open disk, and what checks it, if anything does. */
export interface Opened {
  readonly disk: Disk
  readonly check?: DiskImage['check']
}

/** Opens images of a format, over a base if there is one. */
export function imageOf(format: DiskFormat, base?: () => Promise<RandomAccessFile>): Subject['open'] {
  const openFile: OpenFile = async () => ({ file: await base?.() ?? await Promise.reject(new Error('there is no other file')), name: 'base', openFile })
  return async (file) => {
    const image = await format.open(file, { name: 'image', codec, formats: diskFormats, openFile })
    return { disk: imageDisk(image), check: image.check?.bind(image) }
  }
}

/** Images that lose power: how they are made, and which sectors of them are written. */
export interface Subject {
  open(file: RandomAccessFile): Promise<Opened>
  /** Makes an empty image. */
  make(file: RandomAccessFile): Promise<void>
  /** Parts of the disk that are written: sector and number of sectors. */
  readonly zones: readonly (readonly [number, number])[]
  /** Bytes of the file that the format keeps safe even when a loss of power damages what was being written. */
  fragile?(offset: number): boolean
  /** The syncs of a flush, by what they are for: a test leaves each of them out, and has to fail. */
  readonly syncs: Readonly<Record<string, (sync: Sync) => boolean>>
}

/** The value of the sectors of an image below. */
export const BASE = 0xffff_fff0

/** What a sector holds after it was written for the n-th time: its place and n, so that nothing can be taken for something else. */
export function fill(bytes: Uint8Array, first: number, value: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  for (let at = 0; at < words.length; at++) words[at] = value === 0 ? 0 : at % 128 === 0 ? value : Math.imul(first + Math.floor(at / 128) + 1, 0x9e37_79b1) ^ Math.imul(value, at % 128)
}

/** The value of a sector, or -1 when it holds anything else. */
function valueOf(words: Uint32Array, sector: number): number {
  const value = words[0] ?? 0
  const expected = new Uint8Array(SECTOR)
  fill(expected, sector, value)
  return new Uint32Array(expected.buffer).every((word, index) => word === words[index]) ? value : -1
}

/** What the sectors may hold: the last value that was flushed, and those after it. */
class Expectation {
  readonly may = new Map<number, readonly { readonly value: number, readonly request: object | null }[]>()
  readonly #done = new Set<object>()

  written(request: object, first: number, count: number, value: number): void {
    for (let sector = first; sector < first + count; sector++) this.may.set(sector, [...this.may.get(sector) ?? [], { value, request }])
  }

  done(request: object): void {
    this.#done.add(request)
  }

  /** What a flush that begins now promises. */
  promise(): () => void {
    const done = new Set(this.#done)
    return () => {
      for (const [sector, values] of this.may) {
        const last = values.findLastIndex(({ request }) => request === null || done.has(request))
        this.may.set(sector, values.slice(Math.max(0, last)))
      }
    }
  }
}

const settled = (submit: (done: (status: BlockStatus) => void) => void): Promise<BlockStatus> => new Promise((resolve) => { submit(resolve) })

/** Random requests; what they promise is noted in the journal of the file. */
async function work(port: BlockPort, file: PowerFile, expectation: () => Expectation, subject: Subject, random: (below: number) => number, first: number): Promise<void> {
  let value = first
  for (let round = 6 + random(10); round > 0; round--) {
    const waiting: Promise<void>[] = []
    const ask = (submit: (done: (status: BlockStatus) => void) => void, done: () => void): void => {
      waiting.push(settled(submit).then((status) => {
        expect(status).toBe('ok')
        done()
      }))
    }
    const flush = (): void => {
      let keep = (): void => {}
      file.guestFlush(true)
      file.note(() => { keep = expectation().promise() })
      ask((done) => { port.flush(done) }, () => {
        file.guestFlush(false)
        file.note(() => { keep() })
      })
    }
    if (random(6) === 0) flush()
    else for (let count = random(4); count >= 0; count--) {
      const [start, length] = subject.zones[random(subject.zones.length)] ?? [0, 1]
      const at = random(length), sectors = Math.min(length - at, 1 + random([3, 40, 300][random(3)] ?? 1))
      const zero = random(5) === 0
      const request = {}, mine = zero ? 0 : value++
      const bytes = new Uint8Array(sectors * SECTOR)
      fill(bytes, start + at, mine)
      file.note(() => { expectation().written(request, start + at, sectors, mine) })
      ask((done) => {
        if (zero) port.writeZeroes?.((start + at) * SECTOR, bytes.length, done)
        else port.write((start + at) * SECTOR, [bytes], done)
      }, () => { file.note(() => { expectation().done(request) }) })
    }
    await Promise.all(waiting)
    if (random(3) > 0) continue
    flush()
    await Promise.all(waiting)
  }
}

/** The values of all sectors of the zones; fails for what nobody wrote, as far as it can see that. */
async function valuesOf(port: BlockPort, subject: Subject): Promise<Map<number, number>> {
  const values = new Map<number, number>()
  for (const [start, count] of subject.zones) {
    const bytes = new Uint8Array(count * SECTOR)
    expect(await settled((done) => { port.read(start * SECTOR, [bytes], done) })).toBe('ok')
    for (let index = 0; index < count; index++) values.set(start + index, valueOf(new Uint32Array(bytes.buffer, index * SECTOR, SECTOR / 4), start + index))
  }
  return values
}

/** Options of {@link losePower}. */
export interface PowerOptions {
  /** Losses of power that are looked at, in each of three lives of the image. */
  readonly losses: number
  readonly omit?: (sync: Sync) => boolean
}

/** Writes to an image, and looks at what losses of power would leave: what was flushed must be there, and the image be sound. */
export async function losePower(subject: Subject, seed: number, options: PowerOptions): Promise<void> {
  const random = generator(seed)
  const made = new PowerFile({ sectors: new Map(), size: 0 }, random)
  await subject.make(made)
  const open = async (file: PowerFile): Promise<Opened & { readonly port: BlockPort }> => {
    const opened = await subject.open(file)
    return { ...opened, port: opened.disk.connect((callback) => { callback() }) }
  }

  let start = made.content
  for (let life = 0; life < 3; life++) {
    const file = new PowerFile(start, random, options.omit, subject.fragile)
    const image = await open(file)
    const before = await valuesOf(image.port, subject)
    const fresh = (): Expectation => {
      const expectation = new Expectation()
      for (const [sector, value] of before) expectation.may.set(sector, [{ value, request: null }])
      return expectation
    }
    if (life === 0) for (const value of before.values()) expect([0, BASE]).toContain(value)
    let expectation = fresh()
    await work(image.port, file, () => expectation, subject, random, 1 + life * 10_000)
    const closed = random(2) === 0
    if (closed) {
      file.guestFlush(true)
      await image.disk.close()
    }
    const moments = new Map<number, number>()
    for (let count = 0; count < options.losses; count++) {
      const moment = random(4) === 0 ? file.events - 1 - random(4) : random(file.events)
      moments.set(moment, (moments.get(moment) ?? 0) + 1)
    }
    expectation = fresh()
    await file.replay(moments, async (found) => {
      const again = await open(new PowerFile(found, random))
      for (const [sector, value] of await valuesOf(again.port, subject)) {
        const may = expectation.may.get(sector)?.map((each) => each.value) ?? []
        if (!may.includes(value)) throw new Error(`seed ${String(seed)}, life ${String(life)}: sector ${String(sector)} holds ${String(value)}, not one of ${may.join()}`)
      }
      if (again.check !== undefined) {
        expect(await again.check({ repair: random(2) === 0 ? 'all' : false })).toMatchObject({ corruptions: 0 })
        expect(await again.check()).toMatchObject({ corruptions: 0 })
      }
      await again.disk.close()
      start = found
    })
    if (!closed || options.omit !== undefined) continue
    // After closing in good order nothing is lost.
    start = file.content
    const again = await open(new PowerFile(start, random))
    for (const [sector, value] of await valuesOf(again.port, subject)) expect(value).toBe(expectation.may.get(sector)?.at(-1)?.value)
    await again.disk.close()
  }
}
