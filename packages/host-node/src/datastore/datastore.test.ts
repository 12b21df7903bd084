import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Backend, BlockPort, BlockStatus } from '@machinist/api'
import type { MachineBlueprint } from '@machinist/machine'
import { checkImage } from '@machinist/storage'
import { afterAll, describe, expect, it } from 'vitest'
import { canLock, Datastore, nodeHost, openDiskImage, openDisks } from '../index.ts'
import { codeOfAsync } from '../../../api/test/code-of.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-datastore-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const MIB = 2 ** 20
let made = 0
const place = (): string => join(folder, `store${String(made++)}`)

/** A disk, and requests to it. */
function requests(disk: Backend<BlockPort>) {
  const port = disk.connect((callback) => { callback() })
  const done = (submit: (done: (status: BlockStatus) => void) => void): Promise<BlockStatus> => new Promise((resolve) => { submit(resolve) })
  return {
    port,
    write: (at: number, length: number, fill: number) => done((finish) => { port.write(at, [new Uint8Array(length).fill(fill)], finish) }),
    flush: () => done((finish) => { port.flush(finish) }),
    discard: (at: number, length: number) => done((finish) => { port.discard?.(at, length, finish) }),
    async byte(at: number) {
      const bytes = new Uint8Array(512)
      expect(await done((finish) => { port.read(at, [bytes], finish) })).toBe('ok')
      return bytes[7]
    },
  }
}

const imageOf = (store: Datastore, name: string): string => join(store.folder, readdirSync(store.folder).find((file) => file.startsWith(`${name}.`) && file.endsWith('.qcow2')) ?? '')

async function sound(store: Datastore, name: string): Promise<void> {
  const image = await openDiskImage(imageOf(store, name), { maintenance: true })
  expect(await checkImage(image, { name })).toMatchObject({ corruptions: 0, leaks: 0 })
  await image.close()
}

describe('a datastore', () => {
  it('makes, lists, resizes and deletes disks that take what is written to them', async () => {
    const store = await Datastore.create(place(), { quota: 64 * MIB })
    await store.createDisk('data', 1024 * MIB)
    expect(store.list()).toMatchObject({ quota: 64 * MIB, promised: 0, disks: [{ name: 'data', size: 1024 * MIB, base: null, clones: [] }] })
    const empty = store.list().used
    expect(empty).toBeLessThan(MIB)
    const disk = await store.openDisk('data')
    const { write, flush, byte, discard } = requests(disk)
    expect(await write(512 * MIB, 8 * MIB, 5)).toBe('ok')
    expect(await flush()).toBe('ok')
    const full = store.list()
    expect(full.used).toBeGreaterThan(8 * MIB)
    expect(full.used + full.promised).toBeLessThanOrEqual(64 * MIB)
    if (canLock()) {
      expect(await codeOfAsync(store.deleteDisk('data'))).toBe('file-locked')
      // Who comes while it may be about to be closed waits a little.
      expect(await Promise.all([codeOfAsync(store.openDisk('data')), codeOfAsync(store.cloneDisk('data', 'other'))])).toEqual(['file-locked', 'file-locked'])
      expect(await discard(512 * MIB, 8 * MIB)).toBe('ok')
      expect(await flush()).toBe('ok')
      expect(store.list().used).toBeLessThan(empty + MIB)
    }
    expect(await byte(0)).toBe(0)
    await disk.close()
    expect(store.list().promised).toBe(0)
    await store.resizeDisk('data', 2048 * MIB)
    expect(await codeOfAsync(store.resizeDisk('data', MIB))).toBe('disk-size')
    expect(Datastore.open(store.folder).list().disks.map(({ size }) => size)).toEqual([2048 * MIB])
    await sound(store, 'data')
    await store.deleteDisk('data')
    expect(store.list()).toMatchObject({ used: 0, disks: [] })
    expect(readdirSync(store.folder).filter((name) => name.endsWith('.qcow2'))).toEqual([])
  })

  it('refuses what cannot be', async () => {
    const at = place()
    expect(await codeOfAsync(() => Datastore.open(at))).toBe('datastore')
    const store = await Datastore.create(at)
    expect(await codeOfAsync(Datastore.create(at))).toBe('datastore')
    for (const quota of [0, -1, 1.5, NaN]) expect(await codeOfAsync(store.setQuota(quota))).toBe('datastore-quota')
    await store.createDisk('one', MIB)
    for (const name of ['', '.hidden', 'a/b', 'x'.repeat(65), 'one']) expect(await codeOfAsync(store.createDisk(name, MIB))).toBe('datastore-name')
    for (const size of [0, 100, NaN, -512]) expect(await codeOfAsync(store.createDisk('two', size))).toBe('disk-size')
    for (const work of [() => store.openDisk('two'), () => store.deleteDisk('two'), () => store.cloneDisk('two', 'three'), () => store.openDisk('two', { mode: 'ro' })]) expect(await codeOfAsync(work)).toBe('datastore-unknown')
    await store.setQuota(MIB)
    expect(await codeOfAsync((async () => { for (let index = 0; index < 20; index++) await store.createDisk(`disk${String(index)}`, MIB) })())).toBe('datastore-full')
    expect(store.list().used).toBeLessThanOrEqual(MIB)
    expect(readdirSync(at).filter((name) => name.endsWith('.qcow2')).length).toBe(store.list().disks.length)
    mkdirSync(join(folder, 'other'))
    writeFileSync(join(folder, 'other', 'mine.txt'), '')
    expect(await codeOfAsync(Datastore.create(join(folder, 'other')))).toBe('datastore')
    for (const content of ['', '{}', '[]', '{"format":"machinist datastore","version":1,"last":1,"quota":null,"disks":[{"name":"a","file":"../a.1.qcow2","size":512,"base":null,"time":0}]}',
      '{"format":"machinist datastore","version":1,"last":1,"quota":null,"disks":[{"name":"a","file":"a.1.qcow2","size":512,"base":"a","time":0}]}', '{"format":"machinist datastore","version":9}']) {
      writeFileSync(join(at, 'datastore.json'), content)
      expect(await codeOfAsync(() => Datastore.open(at)), content).toBe('datastore')
    }
  })

  it.runIf(canLock())('has linked clones, and clones of those, over bases that nobody can write or delete', async () => {
    const store = await Datastore.create(place())
    await store.createDisk('base', 64 * MIB)
    const disk = await store.openDisk('base')
    expect(await requests(disk).write(0, 4 * MIB, 1)).toBe('ok')
    await disk.close()
    await store.cloneDisk('base', 'one')
    await store.cloneDisk('base', 'two')
    await store.cloneDisk('one', 'three')
    const content = readFileSync(imageOf(store, 'base'))
    for (const name of ['base', 'one']) {
      expect(await codeOfAsync(store.openDisk(name))).toBe('datastore-base')
      expect(await codeOfAsync(store.deleteDisk(name))).toBe('datastore-base')
      expect(await codeOfAsync(store.resizeDisk(name, 128 * MIB))).toBe('datastore-base')
    }
    const [two, three] = [await store.openDisk('two'), await store.openDisk('three')]
    const [second, third] = [requests(two), requests(three)]
    expect(await second.write(MIB, MIB, 2)).toBe('ok')
    expect(await third.write(2 * MIB, MIB, 3)).toBe('ok')
    expect([await second.byte(0), await second.byte(MIB), await second.byte(2 * MIB), await third.byte(0), await third.byte(MIB), await third.byte(2 * MIB), await third.byte(5 * MIB)]).toEqual([1, 2, 1, 1, 1, 3, 0])
    const { disks } = store.list()
    expect(disks.map(({ name, base, clones }) => [name, base, clones.join()])).toEqual([['base', null, 'one,two'], ['one', 'base', 'three'], ['two', 'base', ''], ['three', 'one', '']])
    expect(disks[2]?.used).toBeLessThan(2 * MIB)
    // A base is read beside its clones.
    const read = await store.openDisk('base', { mode: 'ro' })
    expect(await requests(read).byte(MIB)).toBe(1)
    await read.close()
    await two.close()
    await three.close()
    for (const name of ['two', 'three']) await sound(store, name)
    expect(readFileSync(imageOf(store, 'base')).equals(content)).toBe(true)
    await store.deleteDisk('three')
    await store.deleteDisk('one')
    await store.deleteDisk('two')
    await (await store.openDisk('base')).close()
  })
})

/** Fills a disk until nothing is taken any more; the whole megabytes that were. */
async function fill({ write }: ReturnType<typeof requests>): Promise<number> {
  let whole = 0
  while (await write(whole * MIB, MIB, 1 + whole % 250) === 'ok') whole++
  let status: BlockStatus = 'ok'
  for (let at = (whole + 1) * MIB; status === 'ok'; at += 65536) status = await write(at, 65536, 1)
  expect(status).toBe('no-space')
  return whole
}

describe('a datastore that is full', () => {
  it('refuses exactly what has no room; the rest is there, can be flushed and written over, and is sound', async () => {
    const store = await Datastore.create(place(), { quota: 20 * MIB })
    await store.createDisk('one', 1024 * MIB)
    await store.createDisk('two', 1024 * MIB)
    const [one, two] = [await store.openDisk('one'), await store.openDisk('two')]
    const [first, second] = [requests(one), requests(two)]
    expect(await second.write(0, 2 * MIB, 9)).toBe('ok')
    const filled = await fill(first)
    expect(filled).toBeGreaterThan(13)
    expect(filled).toBeLessThan(18)
    expect(store.list().used).toBeLessThanOrEqual(20 * MIB)
    for (let at = 0; at < filled; at++) expect(await first.byte(at * MIB)).toBe(1 + at % 250)
    for (let at = 0; at < filled; at++) expect(await first.write(at * MIB, 65536, 200)).toBe('ok')
    expect(await second.write(4096, 4096, 8)).toBe('ok')
    expect([await first.flush(), await second.flush()]).toEqual(['ok', 'ok'])
    expect(await first.write(900 * MIB, 512, 1)).toBe('no-space')
    // Room that one gives back, another has.
    if (canLock()) {
      expect(await first.discard(0, 8 * MIB)).toBe('ok')
      expect(await first.flush()).toBe('ok')
      await one.close()
      for (let at = 2; at < 8; at++) expect(await second.write(at * MIB, MIB, 7)).toBe('ok')
    } else await one.close()
    await store.setQuota(40 * MIB)
    expect(await second.write(30 * MIB, 4 * MIB, 7)).toBe('ok')
    await two.close()
    for (const name of ['one', 'two']) await sound(store, name)
    expect(store.list().used).toBeLessThanOrEqual(40 * MIB)
  })

  it('has writes wait, when that is wanted, until there is room: nothing fails and nothing is lost', async () => {
    const store = await Datastore.create(place(), { quota: 8 * MIB })
    await store.createDisk('data', 1024 * MIB)
    await store.createDisk('old', 1024 * MIB)
    const old = await store.openDisk('old')
    expect(await requests(old).write(0, 3 * MIB, 1)).toBe('ok')
    await old.close()
    const disk = await store.openDisk('data', { whenFull: 'wait' })
    const { port, byte, write } = requests(disk)
    const said: boolean[] = []
    const waits = new Promise<void>((resolve) => {
      disk.space.onWaiting = (is) => {
        said.push(is)
        resolve()
      }
    })
    const done = new Set<number>()
    for (let at = 0; at < 2; at++) {
      expect(await write(at * MIB, MIB, at + 1)).toBe('ok')
      done.add(at)
    }
    for (let at = 2; at < 7; at++) port.write(at * MIB, [new Uint8Array(MIB).fill(at + 1)], (status) => { if (status === 'ok') done.add(at) })
    await waits
    expect(disk.space.waiting).toBe(true)
    expect(done.size).toBeLessThan(7)
    // What is there can be read and written over meanwhile.
    expect(await byte(MIB)).toBe(2)
    expect(await write(MIB, 512, 2)).toBe('ok')
    const over = new Promise<void>((resolve) => {
      disk.space.onWaiting = (is) => {
        said.push(is)
        resolve()
      }
    })
    await store.deleteDisk('old')
    await store.setQuota(12 * MIB)
    await over
    expect([said, done.size, disk.space.waiting]).toEqual([[true, false], 7, false])
    for (let at = 0; at < 7; at++) expect(await byte(at * MIB)).toBe(at + 1)
    await disk.close()
    await sound(store, 'data')
  })

  it('fails what still waits when it is closed, also when there is room by then: whoever has it next may do that again', async () => {
    const store = await Datastore.create(place(), { quota: 2 * MIB })
    await store.createDisk('data', 1024 * MIB)
    const disk = await store.openDisk('data', { whenFull: 'wait' })
    const { write } = requests(disk)
    const waiting = new Promise<void>((resolve) => { disk.space.onWaiting = () => { resolve() } })
    disk.space.room = () => 0
    const late = write(0, MIB, 1)
    await waiting
    expect(disk.heldBack?.()).toBe(1)
    disk.space.room = null
    await disk.close()
    expect(await late).not.toBe('ok')
    await sound(store, 'data')
  })

  it('keeps what waits while another has the disk, and does it when it comes back', async () => {
    const store = await Datastore.create(place())
    await store.createDisk('data', 1024 * MIB)
    const disk = await store.openDisk('data', { whenFull: 'wait' })
    const { write, byte } = requests(disk)
    const waiting = new Promise<void>((resolve) => { disk.space.onWaiting = () => { resolve() } })
    disk.space.room = () => 0
    const late = write(0, MIB, 1)
    await waiting
    const { used, taken } = disk.space
    const back = await disk.park?.()
    expect([disk.space.used, disk.space.taken]).toEqual([used, taken])
    disk.space.room = null
    disk.space.retry()
    expect(disk.heldBack?.()).toBe(1)
    const there = await store.openDisk('data')
    const other = requests(there)
    expect(await other.byte(0)).toBe(0)
    await there.close()
    await back?.()
    expect([await late, await byte(0), disk.heldBack?.()]).toEqual(['ok', 1, 0])
    expect(disk.space.used).toBeGreaterThan(used)
    await disk.close()
    await sound(store, 'data')
  })

  it('keeps a disk to what it is allowed beside the quota', async () => {
    const store = await Datastore.create(place())
    await store.createDisk('data', 1024 * MIB)
    const disk = await store.openDisk('data')
    const { space } = disk
    space.room = () => Math.max(0, 10 * MIB - space.taken)
    const own = requests(disk)
    expect(await fill(own)).toBeGreaterThan(7)
    expect(space.used).toBeLessThanOrEqual(10 * MIB)
    space.room = null
    expect(await own.write(500 * MIB, MIB, 1)).toBe('ok')
    await disk.close()
  })
})

const root = process.platform === 'linux' && process.getuid?.() === 0

describe.runIf(root)('a file system of the host that is full', () => {
  it('is the same as a quota, to a disk of a datastore and to any qcow2 image', async () => {
    const at = place()
    mkdirSync(at)
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'machinist-test', at]).status !== 0) return
    try {
      const store = await Datastore.create(join(at, 'store'))
      await store.createDisk('data', 1024 * MIB)
      const disk = await store.openDisk('data')
      const own = requests(disk)
      const filled = await fill(own)
      expect(filled).toBeGreaterThan(8)
      expect(filled).toBeLessThan(12)
      expect(await own.write(700 * MIB, 512, 1)).toBe('no-space')
      expect(await own.flush()).toBe('ok')
      for (let each = 0; each < filled; each++) {
        expect(await own.byte(each * MIB)).toBe(1 + each % 250)
        expect(await own.write(each * MIB, 4096, 99)).toBe('ok')
      }
      expect(await own.flush()).toBe('ok')
      if (canLock()) {
        expect(await own.discard(0, 2 * MIB)).toBe('ok')
        expect(await own.flush()).toBe('ok')
        expect(await own.write(500 * MIB, MIB, 1)).toBe('ok')
      }
      await disk.close()
      await sound(store, 'data')
    } finally {
      execFileSync('umount', ['-l', at])
    }
  })
})

it('an index outlives whoever makes and deletes disks, at any moment', async () => {
  const store = await Datastore.create(place())
  const reported: string[] = []
  // Left over by somebody who came to a sudden end.
  writeFileSync(join(store.folder, 'gone.7.qcow2'), '')
  writeFileSync(join(store.folder, 'datastore.json.99.part'), '{')
  for (let index = 0; index < 3; index++) {
    await store.createDisk(`disk${String(index)}`, MIB)
    reported.push(`disk${String(index)}`)
  }
  expect(existsSync(join(store.folder, 'gone.7.qcow2'))).toBe(false)
  expect(existsSync(join(store.folder, 'datastore.json.99.part'))).toBe(false)
  expect(store.list().disks.map(({ name }) => name)).toEqual(reported)
  expect(statSync(imageOf(store, 'disk0')).size).toBeGreaterThan(0)
})

it('disks of a machine that is plain data are opened by the names of datastore and disk', async () => {
  const store = await Datastore.create(place())
  await store.createDisk('root', 2 * MIB)
  const opened = async (descriptor: object): Promise<Backend<unknown> | undefined> =>
    (await openDisks({ definition: { devices: { disk0: { kind: 'virtio-blk', backends: { disk: { type: 'disk', ...descriptor } } } } }, backends: new Map() } as unknown as MachineBlueprint, folder)).backends.get('disk0.disk')
  const disk = await opened({ datastore: basename(store.folder), name: 'root', limits: { bytesPerSecond: 1e9 } })
  expect((disk?.connect(() => undefined, { now: () => 0, timer: () => ({ arm: () => undefined, cancel: () => undefined }) }) as BlockPort).size).toBe(2 * MIB)
  void disk?.close?.()
  const there = { datastore: store.folder, name: 'root' }
  for (const wrong of [{ ...there, path: 'x' }, { ...there, datastore: 1 }, { datastore: store.folder }, { ...there, mode: 'wo' }, { ...there, whenFull: 'cry' }]) expect(await codeOfAsync(opened(wrong)), JSON.stringify(wrong)).toBe('backend-option')
  expect(await codeOfAsync(opened({ ...there, name: 'other' }))).toBe('datastore-unknown')
  // A disk whose limits are refused is closed: it can be opened again.
  for (const [limits, code] of [[{ speed: 1 }, 'backend-option'], [{ bytesPerSecond: -1 }, 'disk-limit']] as const) expect(await codeOfAsync(opened({ ...there, limits }))).toBe(code)
  void (await opened(there))?.close?.()
  expect(await codeOfAsync(() => nodeHost().backend?.({ type: 'disk', ...there }, 'block', 'disk0.disk'))).toBe('backend-option')
})
