import { describe, expect, it } from 'vitest'
import { qcow2 } from '../src/index.ts'
import { crash } from './crash.ts'
import { exercise, mutate, SparseFile } from './fuzz.ts'
import { exchange } from './qcow2.ts'
import { generator, noQemu } from './support.ts'

describe.skipIf(noQemu !== null)(`qcow2 and QEMU, at length${noQemu === null ? '' : ` (skipped: ${noQemu})`}`, () => {
  for (let seed = 100; seed < 180; seed++) {
    it(`write and read the same image, seed ${seed}`, async () => {
      await exchange(seed, 60)
      expect.hasAssertions()
    })
  }
})

it('a qcow2 image survives a loss of power at any moment, at length', async () => {
  for (let seed = 1000; seed < 1200; seed++) await crash(seed)
  expect.hasAssertions()
})

it('hostile qcow2 images are contained, at length', async () => {
  const random = generator(9)
  for (const [clusterSize, bits] of [[512, 64], [1024, 16], [4096, 2]] as const) {
    const file = new SparseFile(new Uint8Array(0))
    await qcow2.create?.(file, 1 << 20, { name: 'image', parameters: { cluster_size: String(clusterSize), refcount_bits: String(bits) } })
    const image = await qcow2.open(file, { name: 'image' })
    for (let at = 0; at < 1 << 20; at += 3 * clusterSize) await image.write(at, [new Uint8Array(clusterSize).fill(9)])
    await image.close()
    const bytes = new Uint8Array(file.size)
    await file.read(0, bytes)
    for (let round = 0; round < 600; round++) await exercise(qcow2, mutate(bytes, random), random)
  }
  expect.hasAssertions()
})
