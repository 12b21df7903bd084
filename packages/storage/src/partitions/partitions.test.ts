import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SparseFile } from '../../test/fuzz.ts'
import { generator } from '../../test/node-file.ts'
import { openExt4, openImage, type PartitionTable, readerOf, readPartitions } from '../index.ts'
import { SEED } from '../../test/seed.ts'

const MiB = 1 << 20
const SFDISK = ['/usr/sbin/sfdisk', '/sbin/sfdisk'].find((path) => spawnSync(path, ['--version']).status === 0)
const MKE2FS = ['/usr/sbin/mke2fs', '/sbin/mke2fs'].find((path) => spawnSync(path, ['-V']).status === 0)
let folder = ''
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-partitions-')) })
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })
const disk = (): string => join(folder, 'disk')

function tableOf(bytes: Uint8Array): Promise<PartitionTable | null> {
  return readPartitions(async (offset, length) => bytes.slice(offset, offset + length), bytes.length)
}

interface Dumped { readonly label: string, readonly id: string, readonly partitions?: readonly { readonly node: string, readonly start: number, readonly size: number, readonly type: string, readonly uuid?: string, readonly name?: string, readonly attrs?: string, readonly bootable?: boolean }[] }

/** Makes a table as a script of sfdisk says. @returns what it says of that */
function sfdisk(script: string, size: number): Dumped {
  writeFileSync(disk(), '')
  truncateSync(disk(), size)
  const made = spawnSync(SFDISK ?? '', ['-q', '--wipe', 'never', disk()], { input: script, encoding: 'utf8' })
  expect(made.stderr).toBe('')
  return (JSON.parse(spawnSync(SFDISK ?? '', ['--json', disk()], { encoding: 'utf8' }).stdout) as { partitiontable: Dumped }).partitiontable
}

describe.skipIf(SFDISK === undefined)(`tables of partitions are read as sfdisk does${SFDISK === undefined ? ' (not here: it is not installed)' : ''}`, () => {
  it('GPT, the second one too', async () => {
    const random = generator(SEED)
    for (let round = 0; round < 3; round++) {
      const lines = ['label: gpt', ...Array.from({ length: 1 + random(12) }, (_, index) =>
        `${random(4) === 0 ? `${disk()}${20 + index}: ` : ''}size=${1 + random(3)}MiB, type=${random(2) === 0 ? 'L' : 'U'}, name="part ${index} ü"${['', '', ', attrs=LegacyBIOSBootable', ', attrs="GUID:60"'][random(4)]!}`)]
      const said = sfdisk(`${lines.join('\n')}\n`, 48 * MiB)
      const bytes = new Uint8Array(readFileSync(disk()))
      const expected = {
        scheme: 'gpt', id: said.id.toLowerCase(),
        partitions: (said.partitions ?? []).map(({ node, start, size, type, uuid, name, attrs }) => ({
          number: Number(/\d+$/.exec(node)?.[0]), offset: start * 512, length: size * 512, type: type.toLowerCase(), uuid: uuid?.toLowerCase(), name, bootable: attrs === 'LegacyBIOSBootable', readOnly: attrs === 'GUID:60',
        })),
      }
      expect(await tableOf(bytes)).toMatchObject(expected)
      // One bit of the first is wrong.
      bytes[512 + random(92)]! ^= 1 << random(8)
      expect(await tableOf(bytes)).toMatchObject(expected)
      bytes[1024 + random(128)]! ^= 1
      expect(await tableOf(bytes)).toMatchObject(expected)
      // The second as well: what stands for it in the MBR is no partition.
      bytes.fill(0, bytes.length - 512)
      expect(await tableOf(bytes)).toMatchObject({ scheme: 'mbr', partitions: [] })
    }
  })

  it('MBR with logical partitions', async () => {
    const random = generator(SEED)
    for (let round = 0; round < 3; round++) {
      const logical = Array.from({ length: random(6) }, () => `size=${1 + random(3)}MiB, type=83`)
      const lines = [
        'label: dos', `label-id: 0x${(1 + random(2 ** 31)).toString(16)}`, `size=${1 + random(5)}MiB, type=83, bootable`, `size=${1 + random(5)}MiB, type=${random(2) === 0 ? 'c' : '82'}`,
        ...(logical.length > 0 ? ['size=24MiB, type=5', ...logical] : []),
      ]
      const said = sfdisk(`${lines.join('\n')}\n`, 48 * MiB)
      const found = await tableOf(new Uint8Array(readFileSync(disk())))
      const id = said.id.slice(2).padStart(8, '0')
      expect(found).toEqual({
        scheme: 'mbr', id,
        partitions: (said.partitions ?? []).filter(({ type }) => type !== '5').map(({ node, start, size, type, bootable = false }) => {
          const number = Number(/\d+$/.exec(node)?.[0])
          return { number, offset: start * 512, length: size * 512, type: `0x${type.padStart(2, '0')}`, uuid: `${id}-${number.toString(16).padStart(2, '0')}`, name: '', bootable, readOnly: false }
        }),
      })
    }
  })

  it.skipIf(MKE2FS === undefined)('and a file system in one of them', async () => {
    const said = sfdisk('label: gpt\nsize=1MiB\nsize=8MiB\n', 16 * MiB)
    const second = said.partitions?.[1]
    const made = spawnSync(MKE2FS ?? '', ['-q', '-F', '-t', 'ext4', '-L', 'root', '-E', `offset=${(second?.start ?? 0) * 512}`, disk(), '8M'], { encoding: 'utf8' })
    expect(made).toMatchObject({ status: 0 })
    const image = await openImage(new SparseFile(new Uint8Array(readFileSync(disk()))), { name: 'disk', readOnly: true })
    const table = await readPartitions(readerOf(image), image.size)
    const found = await Promise.all((table?.partitions ?? []).map((partition) => openExt4(readerOf(image, partition))))
    expect(found.map((fs) => fs?.label)).toEqual([undefined, 'root'])
    expect(await found[1]?.list('/')).toEqual(['lost+found'])
  })
})

describe('a disk without a table', () => {
  it('has none: empty, short, or a file system that begins with code', async () => {
    expect(await tableOf(new Uint8Array(MiB))).toBeNull()
    expect(await tableOf(new Uint8Array(512))).toBeNull()
    const code = new Uint8Array(MiB).map((_, index) => index % 251)
    code.set([0x55, 0xaa], 510)
    expect(await tableOf(code)).toBeNull()
  })

  it('and one that is hostile ends', async () => {
    const random = generator(SEED)
    for (let round = 0; round < 300; round++) {
      const bytes = new Uint8Array(64 * 1024)
      const view = new DataView(bytes.buffer)
      for (const at of [0, 512, 4096, 8192]) {
        for (let entry = 446; entry < 510; entry += 16) {
          bytes[at + entry] = random(3) === 0 ? 0x80 : 0
          bytes[at + entry + 4] = [0, 5, 0x83, 0x0f, 0xee][random(5)]!
          view.setUint32(at + entry + 8, random(10) === 0 ? 0xffffffff : random(20), true)
          view.setUint32(at + entry + 12, random(10) === 0 ? 0xffffffff : random(100), true)
        }
        bytes.set([0x55, 0xaa], at + 510)
      }
      const table = await tableOf(bytes)
      for (const { offset, length } of table?.partitions ?? []) {
        expect(length).toBeGreaterThan(0)
        expect(offset + length).toBeLessThanOrEqual(bytes.length)
      }
    }
  })
})
