import { spawnSync } from 'node:child_process'
import { closeSync, fsyncSync, fstatSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openExt4, readerOf } from '@machinist/storage'
import type { BlockPort } from '@machinist/api'
import { FuzzRandom } from '@machinist/virtio/testing'
import { type DatastoreDisk, IMAGE_TYPE, openMetalDatastore } from './datastore.ts'

const SEED = Number(process.env['MACHINIST_SEED'] ?? 1)
const MiB = 2 ** 20
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`
const TOOL = join(import.meta.dirname, '../../tools/metal-disk')
const has = (program: string, ...args: string[]): boolean => spawnSync(program, args, { env: { ...process.env, PATH } }).status === 0
const SFDISK = has('sfdisk', '--version')

let folder = ''
const open: number[] = []
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-datastore-')) })
afterAll(() => {
  for (const file of open) closeSync(file)
  rmSync(folder, { recursive: true, force: true })
})
const path = (name: string): string => join(folder, name)

/** A program of Debian's. @returns what it writes */
function run(program: string, args: readonly string[], input?: string): string {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, PATH }, ...(input !== undefined && { input }) })
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`)
  return stdout
}

const make = (...args: string[]): string => run('sh', [TOOL, ...args])

/** A file as a disk of the hardware. */
function diskOf(name: string, writable = true): DatastoreDisk {
  const file = openSync(path(name), writable ? 'r+' : 'r')
  open.push(file)
  return {
    name, writable, size: fstatSync(file).size,
    read: (offset, into) => Promise.resolve(readSync(file, into, 0, into.length, offset)),
    write(offset, from) {
      writeSync(file, from, 0, from.length, offset)
      return Promise.resolve()
    },
    flush() {
      fsyncSync(file)
      return Promise.resolve()
    },
    close: () => Promise.resolve(),
  }
}

const port = (disk: { connect(deliver: (callback: () => void) => void): BlockPort }): BlockPort => disk.connect((callback) => { callback() })
const written = (to: BlockPort, offset: number, bytes: Uint8Array): Promise<string> => new Promise((resolve) => { to.write(offset, [bytes], (status) => { to.flush((flushed) => { resolve(status === 'ok' ? flushed : status) }) }) })
async function bytesOf(from: BlockPort, offset: number, length: number): Promise<Uint8Array> {
  const into = new Uint8Array(length)
  expect(await new Promise((resolve) => { from.read(offset, [into], resolve) })).toBe('ok')
  return into
}

describe.skipIf(!SFDISK)(`a datastore${SFDISK ? '' : ' (not here: sfdisk is not installed)'}`, () => {
  it('that metal-disk makes is read here, written here, and read by sfdisk and dd', async () => {
    const random = new FuzzRandom(SEED)
    const image = random.bytes(3 * MiB + 1536)
    writeFileSync(path('web.img'), image)
    make(path('disk'), `web=${path('web.img')}:5M`, `base=${path('web.img')},ro`, 'data:2M')
    const disk = diskOf('disk')
    const { images, problems, open: take } = await openMetalDatastore([disk])
    expect([problems, images.map(({ name, size, readOnly, disk: on, partition }) => [name, size, readOnly, on, partition])]).toEqual([[], [['web', 5 * MiB, false, 'disk', 1], ['base', 4 * MiB, true, 'disk', 2], ['data', 2 * MiB, false, 'disk', 3]]])
    const web = port(take('web'))
    const there = await bytesOf(web, 0, 5 * MiB)
    expect(Buffer.compare(there.subarray(0, image.length), image)).toBe(0)
    expect(there.subarray(image.length).every((byte) => byte === 0)).toBe(true)
    const before = readFileSync(path('disk'))
    const news = random.bytes(70_000)
    expect(await written(web, 4096 * 9, news)).toBe('ok')
    expect(await written(port(take('base')), 0, news)).toBe('read-only')
    const [part] = (JSON.parse(run('sfdisk', ['--json', path('disk')])) as { partitiontable: { partitions: { start: number; size: number; name: string; uuid: string }[] } }).partitiontable.partitions
    expect([part!.name, part!.uuid.toLowerCase()]).toEqual(['web', images[0]!.uuid])
    run('dd', [`if=${path('disk')}`, `of=${path('out')}`, 'bs=512', `skip=${part!.start}`, `count=${part!.size}`, 'status=none'])
    there.set(news, 4096 * 9)
    expect(Buffer.compare(readFileSync(path('out')), there)).toBe(0)
    expect(run('sfdisk', ['--verify', path('disk')])).toContain('No errors detected')
    // Nothing else has changed.
    before.set(news, part!.start * 512 + 4096 * 9)
    expect(Buffer.compare(readFileSync(path('disk')), before)).toBe(0)
    expect(make(path('disk')).split('\n').map((line) => line.split(' ')[0])).toEqual(['web', 'base', 'data', ''])
  })

  it.skipIf(!has('mke2fs', '-V') || !has('qemu-img', '--version'))('has file systems that mke2fs made, also from images that are not raw, and e2fsck finds them whole afterwards', async () => {
    mkdirSync(path('root/etc'), { recursive: true })
    writeFileSync(path('root/etc/motd'), 'made by Debian\n')
    run('mke2fs', ['-q', '-t', 'ext4', '-L', 'guest', '-d', path('root'), path('root.img'), '8M'])
    run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', path('root.img'), path('root.qcow2')])
    make(path('second'), `guest=${path('root.qcow2')}`)
    const { open: take } = await openMetalDatastore([diskOf('second')])
    const disk = port(take('guest'))
    const read = { size: disk.size, read: async (offset: number, into: readonly Uint8Array[]): Promise<'ok'> => {
      for (const buffer of into) buffer.set(await bytesOf(disk, offset, buffer.length))
      return 'ok'
    } }
    const system = await openExt4(readerOf(read))
    expect([system?.label, Buffer.from(await system!.read('/etc/motd') ?? []).toString()]).toEqual(['guest', 'made by Debian\n'])
    // The label, as tune2fs would write it; without checksums of metadata nothing else has to change.
    const superblock = await bytesOf(disk, 1024, 1024)
    expect(await written(disk, 8 * MiB - 4096, new Uint8Array(512))).toBe('ok')
    expect(await written(disk, 1024, superblock)).toBe('ok')
    const [{ offset }] = make(path('second')).split('\n').flatMap((line) => [...line.matchAll(/from byte ([0-9]+)/g)].map(([, at]) => ({ offset: Number(at) }))) as [{ offset: number }]
    run('dd', [`if=${path('second')}`, `of=${path('fs')}`, 'bs=1M', `skip=${offset / MiB}`, 'count=8', 'status=none'])
    run('e2fsck', ['-f', '-n', path('fs')])
  })

  it('gives an image to one that writes, or to many that do not', async () => {
    make(path('third'), 'one:1M')
    const store = await openMetalDatastore([diskOf('third')])
    const writer = store.open('one')
    for (const readOnly of [false, true]) expect(() => store.open('one', { readOnly })).toThrow(expect.objectContaining({ code: 'disk-in-use' }))
    await writer.close()
    const readers = [store.open('one', { readOnly: true }), store.open('one', { readOnly: true })]
    expect(() => store.open('one')).toThrow(expect.objectContaining({ code: 'disk-in-use' }))
    for (const reader of readers) {
      await reader.close()
      await reader.close()
    }
    await store.open('one').close()
    expect(() => store.open('two')).toThrow(expect.objectContaining({ code: 'datastore-image', message: expect.stringContaining('one') }))
    const readOnly = await openMetalDatastore([diskOf('third', false)])
    expect(readOnly.images[0]!.readOnly).toBe(true)
  })

  it('leaves out what is no image, and says what cannot be one', async () => {
    writeFileSync(path('odd'), '')
    truncateSync(path('odd'), 16 * MiB)
    const lines = ['label: gpt', 'first-lba: 34', 'size=2048, type=L, name="debian"', `size=2048, type=${IMAGE_TYPE}, name="good"`, `size=2048, type=${IMAGE_TYPE}, name="a b"`, `size=2048, type=${IMAGE_TYPE}, name="good"`, `start=34, size=66, type=${IMAGE_TYPE}, name="crooked"`]
    run('sfdisk', ['-q', path('odd')], `${lines.join('\n')}\n`)
    writeFileSync(path('empty'), new Uint8Array(MiB))
    const broken: DatastoreDisk = { ...diskOf('empty'), name: 'broken', read: () => Promise.reject(new Error('no answer')) }
    const { images, problems } = await openMetalDatastore([broken, diskOf('empty'), diskOf('odd')])
    expect(images.map(({ name }) => name)).toEqual(['good'])
    expect(problems.map(({ code, part, value }) => [code, part, value])).toEqual([['datastore-disk', 'broken', undefined], ['datastore-image', 'odd', 'a b'], ['datastore-image', 'odd', 'good'], ['datastore-image', 'odd', 'crooked']])
  })

  it('is made once, and metal-disk says what it cannot do', () => {
    make(path('fourth'), 'one:1M')
    for (const [args, text] of [[['one:1M'], 'already'], [['big:1G'], 'no room'], [['x=nothere'], 'not a size'], [['-x:1M'], 'not a name'], [['nothing'], '--help']] as const) {
      const { status, stderr } = spawnSync('sh', [TOOL, path('fourth'), ...args], { encoding: 'utf8', env: { ...process.env, PATH } })
      expect([status, stderr]).toEqual([1, expect.stringContaining(text)])
    }
    expect(make(path('fourth')).split('\n').length).toBe(2)
  })
})

describe('a table of partitions of any content', () => {
  it.skipIf(!SFDISK)('gives no machine what is not an image of its own', async () => {
    make(path('fuzzed'), 'a:1M', 'b:1M', 'c:1M')
    const good = readFileSync(path('fuzzed'))
    const crc = (bytes: Uint8Array): number => {
      let value = 0xffff_ffff
      for (const byte of bytes) {
        value ^= byte
        for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb8_8320 : 0)
      }
      return ~value >>> 0
    }
    let some = 0
    for (let round = 0; round < 200; round++) {
      const random = new FuzzRandom(SEED * 1000 + round)
      const bytes = Buffer.from(good)
      for (let count = 0; count < 3; count++) bytes.writeBigUInt64LE(BigInt(random.pick([0, 1, 33, 34, 2048, 4096, 6000, 8191, 10_239, bytes.length / 512 - 1, bytes.length / 512 - 33])), 1024 + 128 * random.below(3) + 32 + 8 * random.below(2))
      bytes.writeUInt32LE(crc(bytes.subarray(1024, 1024 + 128 * 128)), 512 + 88)
      bytes.writeUInt32LE(0, 512 + 16)
      bytes.writeUInt32LE(crc(bytes.subarray(512, 512 + 92)), 512 + 16)
      const disk: DatastoreDisk = { ...diskOf('fuzzed'), read: (offset, into) => { into.set(bytes.subarray(offset, offset + into.length)); return Math.min(into.length, bytes.length - offset) } }
      const { images } = await openMetalDatastore([disk])
      const taken = images.map(({ partition, size }) => ({ from: Number(bytes.readBigUInt64LE(1024 + 128 * (partition - 1) + 32)) * 512, size }))
      for (const { from, size } of taken) {
        some++
        expect(from >= 34 * 512 && size > 0 && from + size <= bytes.length - 33 * 512).toBe(true)
        for (const other of taken) if (other.from !== from) expect(from + size <= other.from || other.from + other.size <= from).toBe(true)
      }
    }
    expect(some).toBeGreaterThan(100)
  })
})
