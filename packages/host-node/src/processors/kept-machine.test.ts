import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeviceSpec } from '@machinist/api'
import { createHypervisor, type FromProcessor, localChannel, type MachineSpec, type OwnHypervisor, runProcessor, type ToProcessor } from '@machinist/hypervisor'
import type { MachineDefinition } from '@machinist/machine'
import { constant, fakeCpu, gadget, hub, op, poke, testMachine } from '@machinist/machine/testing'
import { afterAll, expect, test } from 'vitest'
import { askForSnapshot, listSnapshots, machineLoader, nodeHost, nodeLoop, openDiskImage, SnapshotTree } from '../index.ts'

const root = mkdtempSync(join(tmpdir(), 'machinist-kept-'))
afterAll(() => { rmSync(root, { recursive: true }) })
const PAD = 0x2000_0000

/** Writes what is stored in it to the beginning of its disk. */
const pad: DeviceSpec<object, object, never, { readonly disk: 'block' }> = {
  kind: 'pad', stateVersion: 1, backends: { disk: 'block' }, configure: () => ({}), regions: () => [{ name: 'registers', size: 4, space: 'mmio' }], irqs: () => [],
  create: (_config, { backends: { disk } }) => ({
    read: () => 0,
    write(_region, _offset, _width, value) { disk.write(0, [new Uint8Array(512).fill(value)], () => {}) },
    reset() {}, save: () => ({}), restore() {},
  }),
}

/** Writes a number to the disk, says it, and counts on, each 40 ms: bytes, which begin again after 10 s. */
const loop = [...poke(12, 40_000_000), op.wait(), ...poke(20, 0), ...constant(7, PAD), op.store(5, 7), ...poke(0, 0).slice(0, 2), op.store(5, 7), op.add(5, 3), op.li(4, 1)]
const counting = [op.li(5, 1), op.li(3, 1), ...loop, op.branch(4, -loop.length)]

function hypervisorHere(): OwnHypervisor {
  return createHypervisor({
    loop: nodeLoop, processors: 2,
    open() {
      const [mine, its] = localChannel<ToProcessor, FromProcessor>(nodeLoop)
      runProcessor(its, { host: nodeHost(), catalogue: [fakeCpu, gadget, hub, pad], loader: machineLoader({ folder: root }) })
      return mine
    },
  })
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await new Promise((resolve) => { setTimeout(resolve, 2) })
}

test('a machine of a hypervisor is kept with its snapshots, memory and disks as one, in the folder that single machines have', async () => {
  const image = join(root, 'disk.img')
  writeFileSync(image, new Uint8Array(1 << 20))
  const plain = testMachine(counting)
  const machine: MachineDefinition = { ...plain, devices: { ...plain.devices, pad: { kind: 'pad', at: PAD, backends: { disk: { type: 'disk', path: 'disk.img' } } } } }
  const folder = join(root, 'vm')
  const spec: MachineSpec = { name: 'web', machine, snapshots: 'vm' }
  const hypervisor = hypervisorHere()
  try {
    await hypervisor.add(spec)
    let said: number[] = []
    await hypervisor.console('web', { output: (bytes) => { said.push(...bytes) }, closed() {} })
    const more = async (): Promise<void> => {
      const before = said.length
      await until(() => said.length > before + 2)
    }
    /** What the disk has, once nobody has it open. */
    const written = async (): Promise<number> => {
      const tree = await SnapshotTree.open(folder)
      const disk = await openDiskImage(tree.path(tree.index.current.disks[0] ?? ''), { files: 'any' })
      const bytes = new Uint8Array(512)
      await disk.read(0, [bytes])
      await disk.close()
      await tree.close()
      return bytes[0] ?? 0
    }
    const off = async (): Promise<void> => {
      await hypervisor.stop('web')
      // It may have written what it did not come to say.
      await until(() => said.length > 0)
      for (;;) {
        try {
          const last = said.at(-1) ?? 0
          expect([last, (last + 1) & 255]).toContain(await written())
          return
        } catch (error) {
          if ((error as { readonly code?: string }).code !== 'snapshot-tree-busy') throw error
          await new Promise((resolve) => { setTimeout(resolve, 5) })
        }
      }
    }
    await hypervisor.start('web')
    expect((await hypervisor.machines())[0]).toMatchObject({ snapshots: 'vm' })
    await more()
    const before = said.at(-1) ?? 0
    expect(await askForSnapshot(folder, { action: 'take', name: 'one' })).toBe(true)
    const after = said.at(-1) ?? 0
    await expect(hypervisor.move('web', 1)).rejects.toMatchObject({ code: 'not-movable' })
    await more()
    const file = join(root, 'web.snapshot')
    await hypervisor.save('web', file)
    await more()
    await off()
    // It goes on from there, on other disks than what was saved has.
    const tree = await SnapshotTree.open(folder)
    await tree.revert('one')
    await tree.close()
    await expect(hypervisor.start('web', file)).rejects.toMatchObject({ code: 'snapshot-disks' })
    said = []
    await hypervisor.start('web')
    await more()
    const from = ((said[0] ?? 0) - before) & 255
    expect(from).toBeGreaterThanOrEqual(1)
    expect(from).toBeLessThanOrEqual(((after - before) & 255) + 1)
    expect(said.slice(0, 3)).toEqual([0, 1, 2].map((index) => (before + from + index) & 255))
    expect(await askForSnapshot(folder, { action: 'take', name: 'two' })).toBe(true)
    expect(await askForSnapshot(folder, { action: 'delete', name: 'one' })).toBe(true)
    expect(listSnapshots(folder).snapshots).toMatchObject([{ name: 'two', parent: null, running: true }])
    await more()
    await off()
    // The image itself was never written.
    const base = await openDiskImage(image)
    const bytes = new Uint8Array(512).fill(9)
    await base.read(0, [bytes])
    await base.close()
    expect(bytes).toEqual(new Uint8Array(512))
    // A copy has none.
    await hypervisor.start('web')
    await hypervisor.fork('web', { name: 'copy' })
    expect((await hypervisor.machines()).map((each) => each.snapshots)).toEqual(['vm', undefined])
    expect(await askForSnapshot(folder, { action: 'take', name: 'three' })).toBe(true)
  } finally {
    hypervisor.close()
  }
}, 60_000)

test('what cannot be kept is refused with its name', async () => {
  const hypervisor = hypervisorHere()
  const plain = testMachine(counting)
  const withDisk = (disk: object): MachineDefinition => ({ ...plain, devices: { ...plain.devices, pad: { kind: 'pad', at: PAD, backends: { disk: { type: 'disk', ...disk } } } } })
  try {
    writeFileSync(join(root, 'other.img'), new Uint8Array(1 << 20))
    const wrong: readonly (readonly [string, MachineSpec['machine'], string])[] = [
      ['overlay', withDisk({ path: 'other.img', mode: 'overlay' }), 'snapshot-disk'], ['store', withDisk({ datastore: 'x', name: 'y' }), 'snapshot-disk'], ['file', { snapshot: 'x' }, 'snapshot-parts'],
    ]
    for (const [name, machine, code] of wrong) {
      await hypervisor.add({ name, machine, snapshots: `of-${name}` })
      await expect(hypervisor.start(name), name).rejects.toMatchObject({ code })
    }
    await hypervisor.add({ name: 'first', machine: withDisk({ path: 'other.img' }), snapshots: 'both' })
    await hypervisor.start('first')
    await hypervisor.stop('first')
    await hypervisor.add({ name: 'second', machine: plain, snapshots: 'both' })
    await expect(hypervisor.start('second')).rejects.toMatchObject({ code: 'snapshot-parts' })
  } finally {
    hypervisor.close()
  }
})
