import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createGpt, type NewPartition } from './create-gpt.ts'
import { readPartitions } from './partitions.ts'

const MiB = 2 ** 20
const ID = '01234567-89ab-4cde-8f01-23456789abcd'
const TYPE = '6d91da6b-aeb7-4c2c-98d2-6ddb8f1fd480'
const one: NewPartition = { offset: MiB, length: 1536, type: TYPE, uuid: '11111111-2222-4333-8444-555555555555', name: 'web.img', readOnly: false }
const two: NewPartition = { offset: 2 * MiB, length: MiB, type: TYPE, uuid: '21111111-2222-4333-8444-555555555555', name: 'x'.repeat(36), readOnly: true }
const PATH = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`

function disk(size: number, partitions: readonly NewPartition[]): Uint8Array {
  const bytes = new Uint8Array(size)
  const { first, last } = createGpt(size, ID, partitions)
  bytes.set(first)
  bytes.set(last, size - last.length)
  return bytes
}

const tableOf = (bytes: Uint8Array): ReturnType<typeof readPartitions> => readPartitions((offset, length) => Promise.resolve(bytes.slice(offset, offset + length)), bytes.length)

describe('a new GUID partition table', () => {
  it('is read as it was made, the second too where the first is damaged', async () => {
    const bytes = disk(4 * MiB, [one, two])
    const expected = { scheme: 'gpt', id: ID, partitions: [{ ...one, number: 1, bootable: false }, { ...two, number: 2, bootable: false }] }
    expect(await tableOf(bytes)).toEqual(expected)
    bytes.fill(0, 0, 34 * 512)
    expect(await tableOf(bytes)).toEqual(expected)
  })

  it.skipIf(spawnSync('sfdisk', ['--version'], { env: { ...process.env, PATH } }).status !== 0)('is one for sfdisk', () => {
    const folder = mkdtempSync(join(tmpdir(), 'machinist-gpt-'))
    try {
      writeFileSync(join(folder, 'disk'), disk(4 * MiB, [one, two]))
      const sfdisk = (...args: string[]): string => spawnSync('sfdisk', [...args, join(folder, 'disk')], { encoding: 'utf8', env: { ...process.env, PATH } }).stdout
      expect(sfdisk('--verify')).toContain('No errors detected')
      const { partitiontable } = JSON.parse(sfdisk('--json')) as { readonly partitiontable: { readonly id: string; readonly partitions: readonly object[] } }
      expect(partitiontable).toMatchObject({ id: ID.toUpperCase(), firstlba: 34, lastlba: 8158, partitions: [{ start: 2048, size: 3, name: 'web.img' }, { start: 4096, size: 2048, name: two.name, attrs: 'GUID:60' }] })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('is refused where partitions lie over one another or over the table', () => {
    for (const partitions of [[one, { ...one, offset: MiB + 512 }], [{ ...one, offset: 33 * 512 }], [{ ...one, offset: 4 * MiB - 34 * 512 }], [{ ...one, length: 100 }], [{ ...one, name: 'x'.repeat(37) }], Array.from({ length: 129 }, () => one)]) {
      expect(() => createGpt(4 * MiB, ID, partitions), JSON.stringify(partitions).slice(0, 200)).toThrow(RangeError)
    }
    expect(() => createGpt(4 * MiB, ID, [{ ...one, offset: 4 * MiB - 36 * 512 }])).not.toThrow()
  })
})
