import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { virt, virtCatalogue } from '@machinist/boards'
import { type DiskMode, fileDisk, nodeHost } from '@machinist/host-node'
import { createMachine, instantiateStored, type MachineDefinition, part, type StoredMachine } from '@machinist/machine'
import { type Disk, memoryDisk } from '@machinist/storage'
import { virtioBlockPci } from '@machinist/virtio'
import { afterAll, expect, it } from 'vitest'
import { checkSameParts } from './same-parts.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-parts-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

/** A disk that keeps nothing in memory. */
function imageOf(mib: number, mode: DiskMode = 'rw'): Disk {
  const path = join(folder, `${mib}.img`)
  writeFileSync(path, '')
  truncateSync(path, mib << 20)
  return fileDisk(path, { mode, lock: 'off' })
}

const refused = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return `${error.code} ${error.part} ${String(error.value)}: ${error.remedy}`
    throw error
  }
  return 'none'
}

const disk = (): ReturnType<typeof memoryDisk> => memoryDisk(1 << 20)
const of = (...args: Parameters<typeof virt>): MachineDefinition => virt(...args).definition

it('other parts than a machine had when it was saved are refused, and named', () => {
  const saved = of({ disks: [disk(), disk()], nets: ['nat'] })
  expect(refused(() => { checkSameParts(saved, of({ disks: [disk(), disk()], nets: [{ type: 'nat', mode: 'isolated' }] })) })).toBe('none')
  expect(refused(() => { checkSameParts(saved, of({ disks: [disk()], nets: ['nat'] })) })).toBe('restore-parts disk1 virtio-blk: Give 2 with --disk, or leave --disk out.')
  expect(refused(() => { checkSameParts(saved, of({ disks: [disk(), disk(), disk()], nets: ['nat'] })) })).toBe('restore-parts disk2 virtio-blk: Give 2 with --disk, or leave --disk out.')
  expect(refused(() => { checkSameParts(saved, of({ disks: [disk(), disk()] })) })).toBe('restore-parts net0 virtio-net: Give 1 with --net, or leave --net out.')
  expect(refused(() => { checkSameParts(of({}), of({ nets: ['nat'] })) })).toBe('restore-parts net0 virtio-net: Leave out --net.')
  expect(refused(() => { checkSameParts(of({ disks: [disk()] }), of({ disks: [disk()], virtio: 'pci' })) })).toContain('restore-parts disk0')
  expect(refused(() => { checkSameParts(of({}), of({ devices: { more: part(virtioBlockPci, { backends: { disk: disk() } }) } })) })).toContain('restore-parts more')
})

it('a disk of another size, or one that cannot be written as the one before, is refused, and named', async () => {
  const loop = new Uint8Array(new Uint32Array([0x0000_006f]).buffer)
  const blueprint = virt({ console: 'null', memory: 16 << 20, disks: [imageOf(1)] })
  const machine = createMachine({ ...blueprint, definition: { ...blueprint.definition, boot: { protocol: 'raw' as const, images: [{ name: 'code', at: 0x8000_0000, bytes: loop }], entry: 0x8000_0000 } } }, nodeHost())
  machine.start({ drive: 'caller' })
  machine.runSlice(0)
  const snapshot = await machine.save()
  const { definition, state, memory } = snapshot
  const stored: StoredMachine = {
    definition, state, image: () => loop,
    memory: memory.regions.map((region) => ({ name: region.name, base: region.base, size: region.size, pages: new Uint32Array(region.size / 4096) })),
    source: { load() {} },
  }
  const restore = (given: Disk): string => refused(() => { instantiateStored(stored, virtCatalogue, nodeHost(), { backends: { 'disk0.disk': given } }).dispose() })
  expect(restore(imageOf(1))).toBe('none')
  expect(restore(imageOf(2))).toBe('restore-disk disk0.disk 2097152 bytes: Give it one of 1048576 bytes.')
  expect(restore(imageOf(1, 'ro'))).toBe('restore-disk disk0.disk read-only: Give it one that is writable.')
  snapshot.dispose()
  machine.dispose()
})
