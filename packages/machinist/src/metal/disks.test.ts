import { randomFillSync } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type AppliancePlan, openMetalDatastore } from '@machinist/host-metal'
import { Datastore, openDiskImage, openFile } from '@machinist/host-node'
import { diskFormats } from '@machinist/storage'
import { convertDisk } from '../disk/create.ts'
import { type Fleet, fleetOf } from '../fleet/file/fleet.ts'
import { buildMetal } from './build.ts'
import { makeDatastore } from './datastore.ts'
import { metalDisks } from './disks.ts'
import { imageFiles } from './plan.ts'

const MiB = 2 ** 20
const folder = mkdtempSync(join(tmpdir(), 'machinist-metal-disks-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const path = (name: string): string => join(folder, name)

mkdirSync(path('other'))
writeFileSync(path('kernel'), new Uint8Array(64))
const web = randomFillSync(new Uint8Array(3 * MiB + 512))
web.fill(0, MiB, 2 * MiB)
writeFileSync(path('web.img'), web)
writeFileSync(path('other/web.img'), web)

const fleet = (machines: Readonly<Record<string, object>>): Promise<Fleet> => fleetOf({ machines: Object.fromEntries(Object.entries(machines).map(([name, each]) => [name, { kernel: 'kernel', ...each }])) }, path('fleet.json'))
/** Disks by machine, as the plan in the image has them. */
const planned = (given: Fleet): unknown => (JSON.parse(Buffer.from(imageFiles(given)['plan.json'] ?? []).toString()) as AppliancePlan).machines.map(({ machine }) => 'version' in machine && machine.devices['disk0']?.backends?.['disk'])

describe('disks of machines on bare metal', () => {
  it('are images of a datastore with the bytes of the files that they are here, whatever the format', async () => {
    const from = await openDiskImage(path('web.img'), { format: 'raw' })
    await convertDisk(from, 'web', path('db.qcow2'), diskFormats.find(({ name }) => name === 'qcow2')!, { force: false })
    await from.close()
    const store = await Datastore.create(path('store'))
    await store.createDisk('scratch', 65_536)
    const given = await fleet({
      web: { disk: 'web.img,bps=1M' }, db: { disk: 'db.qcow2' }, one: { disk: 'other/../kernel,ro' }, two: { disk: 'kernel,overlay', count: 2 }, scratch: { disk: 'store,disk=scratch' },
    })
    const { fleet: named, disks } = await metalDisks(given)
    const kernel = { type: 'disk', image: 'kernel', size: 512 }
    expect(planned(named)).toEqual([
      { type: 'disk', image: 'web.img', mode: 'rw', size: web.length, limits: { bytesPerSecond: MiB } }, { type: 'disk', image: 'db.qcow2', mode: 'rw', size: web.length },
      { ...kernel, mode: 'ro' }, { ...kernel, mode: 'overlay' }, { ...kernel, mode: 'overlay' }, { type: 'disk', image: 'scratch', mode: 'rw', size: 65_536 },
    ])
    await makeDatastore(path('disk'), disks)
    const file = openFile(path('disk'), true)
    const { images, problems } = await openMetalDatastore([{ ...file, size: file.size, writable: true, name: 'disk', read: (offset, into) => file.read(offset, into), write: (offset, from) => file.write(offset, from), flush: () => file.flush() }])
    await file.close()
    expect([problems, images.map(({ name, size, readOnly }) => [name, size, readOnly])]).toEqual([[], [['web.img', web.length, false], ['db.qcow2', web.length, false], ['kernel', 512, true], ['scratch', 65_536, false]]])
    const bytes = readFileSync(path('disk'))
    for (const at of [1, 5]) expect(bytes.subarray(at * MiB, at * MiB + web.length).equals(web)).toBe(true)
    // It is not made over what machines wrote.
    await expect(makeDatastore(path('disk'), disks)).rejects.toMatchObject({ code: 'file-exists' })
    expect(readFileSync(path('disk')).equals(bytes)).toBe(true)
  })

  it('are of machines for the processor of the hardware', async () => {
    const given = await fleet({ pc: { arch: 'x86_64' } })
    expect(() => imageFiles(given)).toThrow(expect.objectContaining({ code: 'metal-cpu', part: 'pc', value: 'amd64' }))
  })

  it('are refused where names cannot be told apart, or are none', async () => {
    for (const disk of ['other/web.img', 'web.img,format=vhd', 'a b.img', `${'x'.repeat(37)}`]) await expect(metalDisks(await fleet({ a: { disk: 'web.img' }, b: { disk } })), disk).rejects.toMatchObject({ code: 'metal-disk', part: 'b.disk0.disk' })
  })

  it('need not be here, unless a datastore is made of them, which leaves nothing behind then', async () => {
    const { fleet: named, disks } = await metalDisks(await fleet({ a: { disk: 'there.img' } }))
    expect(planned(named)).toEqual([{ type: 'disk', image: 'there.img', mode: 'rw' }])
    await expect(makeDatastore(path('none'), disks)).rejects.toMatchObject({ code: 'file-enoent' })
    const broken = { name: 'x', source: 'x', size: MiB, readOnly: false, open: () => Promise.reject(new Error('gone')) }
    await expect(makeDatastore(path('none'), [broken])).rejects.toThrow('gone')
    await expect(makeDatastore(path('none'), Array.from({ length: 129 }, () => broken))).rejects.toMatchObject({ code: 'metal-disk' })
    writeFileSync(path('empty.json'), JSON.stringify({ machines: { a: { kernel: 'kernel' } } }))
    await expect(buildMetal({ file: path('empty.json'), output: path('image'), datastore: path('none') })).rejects.toMatchObject({ code: 'usage', part: '--datastore' })
    expect(existsSync(path('none'))).toBe(false)
  })
})
