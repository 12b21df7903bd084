import { testMachine } from '@machinist/machine/testing'
import { expect, test } from 'vitest'
import { machineLoader } from './machine-loader.ts'

test('a copy that has ended does not get the disks of the machine that it was a copy of', async () => {
  const plain = testMachine([])
  const disks = { ...plain, devices: { ...plain.devices, disk: { kind: 'virtio-blk', backends: { disk: { type: 'disk', path: '/nowhere' } } } } }
  const loader = machineLoader({ readMachine: (file) => ({ definition: file === '/plain' ? plain : disks }) })
  for (const machine of [disks, { file: '/disks' }]) {
    await expect(loader.load({ name: 'copy', machine, copyOf: 'one' })).rejects.toMatchObject({ code: 'copy-ended', part: 'copy', value: 'one' })
    await expect(loader.load({ name: 'one', machine })).rejects.toMatchObject({ code: 'file-enoent' })
  }
  for (const machine of [plain, { file: '/plain' }]) expect(await loader.load({ name: 'copy', machine, copyOf: 'one' })).toMatchObject({ machine: { definition: plain } })
})
