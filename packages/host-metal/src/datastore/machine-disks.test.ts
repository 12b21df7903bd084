import { beforeEach, describe, expect, it } from 'vitest'
import type { Backend, BlockPort, BlockStatus } from '@machinist/api'
import type { MachineDefinition } from '@machinist/machine'
import { createGpt } from '@machinist/storage'
import { type DatastoreDisk, IMAGE_TYPE, type MetalDatastore, openMetalDatastore } from './datastore.ts'
import { openMachineDisks } from './machine-disks.ts'

const MiB = 2 ** 20
let bytes = new Uint8Array(0)
let datastore: MetalDatastore
/** What the disk does with a write before it is done. */
let slow: Promise<void> = Promise.resolve()

beforeEach(async () => {
  bytes = new Uint8Array(4 * MiB)
  slow = Promise.resolve()
  const { first, last } = createGpt(bytes.length, '01234567-89ab-4cde-8f01-23456789abcd', ['rw.img', 'ro.img'].map((name, index) => ({ offset: (index + 1) * MiB, length: 8192, type: IMAGE_TYPE, uuid: `${index}1111111-2222-4333-8444-555555555555`, name, readOnly: name === 'ro.img' })))
  bytes.set(first)
  bytes.set(last, bytes.length - last.length)
  const disk: DatastoreDisk = {
    name: 'hardware', size: bytes.length, writable: true,
    read(offset, into) {
      into.set(bytes.subarray(offset, offset + into.length))
      return into.length
    },
    async write(offset, from) {
      await slow
      bytes.set(from, offset)
    },
    flush: () => Promise.resolve(), close: () => Promise.resolve(),
  }
  datastore = await openMetalDatastore([disk])
})

/** A machine with disks. */
const machine = (...disks: readonly object[]): MachineDefinition => ({
  version: 1, memory: [], cpu: { kind: 'riscv' }, time: 'real',
  devices: { uart0: { kind: 'uart', backends: { console: 'console' } }, ...Object.fromEntries(disks.map((disk, index) => [`disk${index}`, { kind: 'virtio-block', backends: { disk: { type: 'disk', ...disk } } }])) },
} as unknown as MachineDefinition)
const port = (disk: Backend<unknown> | undefined): BlockPort => (disk as Backend<BlockPort>).connect((callback) => { callback() }, { now: () => 0, timer: () => ({ arm: () => undefined, cancel: () => undefined }) } as never)
const written = (to: BlockPort, offset: number, from: Uint8Array): Promise<BlockStatus> => new Promise((resolve) => { to.write(offset, [from], resolve) })
const read = (from: BlockPort, offset: number): Promise<number> => new Promise((resolve) => {
  const into = new Uint8Array(1)
  from.read(offset, [into], () => { resolve(into[0] ?? -1) })
})

describe('disks of machines on a datastore', () => {
  it('are images by their names: written, only read, or with writes that stay in memory', async () => {
    const { definition, backends } = await openMachineDisks(machine({ image: 'rw.img', size: 8192, limits: { bytesPerSecond: 1e6 } }, { image: 'ro.img', mode: 'ro' }, { image: 'ro.img', mode: 'overlay' }), datastore)
    expect(Object.entries(definition.devices).map(([name, { backends: of }]) => [name, of])).toEqual([['uart0', { console: 'console' }], ['disk0', { disk: 'disk0.disk' }], ['disk1', { disk: 'disk1.disk' }], ['disk2', { disk: 'disk2.disk' }]])
    const [rw, ro, over] = ['disk0.disk', 'disk1.disk', 'disk2.disk'].map((part) => port(backends.get(part))) as [BlockPort, BlockPort, BlockPort]
    expect([rw.size, rw.readOnly, ro.readOnly, over.readOnly]).toEqual([8192, false, true, false])
    expect([await written(rw, 4096, Uint8Array.of(7)), await written(ro, 0, Uint8Array.of(7)), await written(over, 0, Uint8Array.of(9))]).toEqual(['ok', 'read-only', 'ok'])
    expect([bytes[MiB + 4096], bytes[2 * MiB], await read(over, 0), await read(ro, 0)]).toEqual([7, 0, 9, 0])
  })

  it.each([
    ['datastore-image', { image: 'none.img' }], ['datastore-read-only', { image: 'ro.img' }], ['datastore-size', { image: 'rw.img', size: 8193 }], ['backend-option', {}], ['backend-option', { path: 'rw.img' }],
    ['backend-option', { image: 'rw.img', mode: 'new' }], ['backend-option', { image: 'rw.img', size: '1' }], ['backend-option', { image: 'rw.img', limits: 3 }], ['disk-limit', { image: 'rw.img', limits: { bytesPerSecond: 0 } }],
  ])('are refused with %s for %j, and nothing stays open', async (code, wrong) => {
    await expect(openMachineDisks(machine({ image: 'ro.img', mode: 'ro' }, wrong), datastore)).rejects.toMatchObject({ code })
    for (const name of ['rw.img', 'ro.img']) await datastore.open(name).close()
    const { backends } = await openMachineDisks(machine({ image: 'rw.img' }), datastore)
    await expect(openMachineDisks(machine({ image: 'rw.img', mode: 'ro' }), datastore)).rejects.toMatchObject({ code: 'disk-in-use' })
    backends.get('disk0.disk')?.close?.()
    await openMachineDisks(machine({ image: 'rw.img' }), datastore)
  })

  it('that were closed with requests under way are waited for', async () => {
    let done = (): void => undefined
    slow = new Promise((resolve) => { done = resolve })
    const { backends } = await openMachineDisks(machine({ image: 'rw.img' }), datastore)
    const last = written(port(backends.get('disk0.disk')), 0, Uint8Array.of(5))
    backends.get('disk0.disk')?.close?.()
    expect(() => datastore.open('rw.img')).toThrow(expect.objectContaining({ code: 'disk-in-use' }))
    const next = openMachineDisks(machine({ image: 'rw.img' }), datastore)
    done()
    expect(await last).toBe('ok')
    const again = port((await next).backends.get('disk0.disk'))
    expect(await read(again, 0)).toBe(5)
  })
})
