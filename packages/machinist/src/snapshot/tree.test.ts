import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canLock, listSnapshots, openDiskImage, openFile, SnapshotTree } from '@machinist/host-node'
import { createImage, type DiskImage } from '@machinist/storage'
import { afterAll, expect, it } from 'vitest'
import { KeptMachine } from '../../test/kept-machine.ts'
import { codeOfAsync } from '../../../api/test/code-of.ts'

const root = mkdtempSync(join(tmpdir(), 'machinist-tree-'))
afterAll(() => { rmSync(root, { recursive: true }) })

const SIZE = 4 << 20
const noQemu = spawnSync('qemu-img', ['--version']).status !== 0
let folders = 0

/** Two disks, one raw and one qcow2, and where their tree is to be. */
async function disks(): Promise<{ readonly folder: string; readonly choices: readonly { readonly name: string; readonly path: string }[] }> {
  const folder = join(root, String(++folders))
  const [raw, qcow2] = [`${folder}.img`, `${folder}.qcow2`]
  writeFileSync(raw, 'of the base')
  truncateSync(raw, SIZE)
  writeFileSync(qcow2, '')
  const file = openFile(qcow2, true)
  await createImage(file, SIZE, { name: qcow2 })
  await file.close()
  return { folder, choices: [{ name: 'disk0', path: raw }, { name: 'disk1', path: qcow2 }] }
}

const start = async (folder: string): Promise<KeptMachine> => KeptMachine.of(await SnapshotTree.open(folder))

async function byteOf(image: DiskImage, at: number): Promise<number> {
  const bytes = new Uint8Array(512)
  expect(await image.read(at * 65536, [bytes])).toBe('ok')
  return bytes[0] ?? -1
}

const alone = async <T>(folder: string, work: (tree: SnapshotTree) => Promise<T>): Promise<T> => {
  const tree = await SnapshotTree.open(folder)
  try {
    return await work(tree)
  } finally {
    await tree.close()
  }
}

function namesOf(folder: string): string[] {
  return listSnapshots(folder).snapshots.map(({ name, parent, running }) => `${parent ?? ''}/${name}${running ? '+' : ''}`)
}

/** All overlays are sound, for QEMU too. */
function check(folder: string): void {
  if (!noQemu) for (const name of readdirSync(folder).filter((each) => each.endsWith('.qcow2'))) expect(spawnSync('qemu-img', ['check', '-q', join(folder, name)]).status, name).toBe(0)
}

it('a machine goes back to what it was, its memory and its disks as one, however often', async () => {
  const { folder, choices } = await disks()
  const created = await SnapshotTree.create(folder, choices, { line: ['x'] })
  await created.close()
  expect(await codeOfAsync(() => SnapshotTree.create(folder, choices, null))).toBe('snapshot-tree')
  let running = await start(folder)
  if (canLock()) expect(await codeOfAsync(() => SnapshotTree.open(folder))).toBe('snapshot-tree-busy')
  await running.write(1, 1)
  await running.session.take('one')
  expect(running.machine.state).toBe('running')
  await running.write(1, 2)
  await running.write(2, 2)
  await running.session.take('two')
  await running.write(2, 3)
  expect(await codeOfAsync(() => running.session.take('two'))).toBe('snapshot-name')
  expect(await codeOfAsync(() => running.session.take('a\nb'))).toBe('snapshot-name')
  expect(await running.read(1)).toEqual([2, 2, 2])
  await running.end()
  // The second has what changed since the first.
  const sizes = listSnapshots(folder).snapshots.map(({ name, size }) => [name, size])
  expect(sizes.map(([name]) => name)).toEqual(['one', 'two'])
  await alone(folder, (tree) => tree.revert('one'))
  expect(listSnapshots(folder).current).toMatchObject({ parent: 'one', resume: true })
  running = await start(folder)
  expect([await running.read(1), await running.read(2)]).toEqual([[1, 1, 1], [0, 0, 0]])
  await running.write(3, 4)
  await running.session.take('other')
  await running.end()
  // Off: what is on its disks.
  await alone(folder, (tree) => tree.take('off'))
  expect(namesOf(folder)).toEqual(['/one+', 'one/two+', 'one/other+', 'other/off'])
  for (const [name, first, third] of [['two', [2, 2, 2], [0, 0, 0]], ['other', [1, 1, 1], [4, 4, 4]], ['off', [0, 1, 1], [0, 4, 4]], ['two', [2, 2, 2], [0, 0, 0]]] as const) {
    await alone(folder, (tree) => tree.revert(name))
    running = await start(folder)
    expect([await running.read(1), await running.read(3)]).toEqual([first, third])
    await running.write(1, 9)
    await running.end()
  }
  check(folder)
  const base = await openDiskImage(choices[0]?.path ?? '')
  expect([await byteOf(base, 0), await byteOf(base, 1)]).toEqual(['of the base'.charCodeAt(0), 0])
  await base.close()
})

it('a snapshot that others came from is deleted, and these stay as they are, running or not', async () => {
  const { folder, choices } = await disks()
  await (await SnapshotTree.create(folder, choices, null)).close()
  let running = await start(folder)
  for (const [index, name] of ['a', 'b', 'c', 'd'].entries()) {
    await running.write(index, index + 1)
    await running.session.take(name)
  }
  await running.write(4, 5)
  // One between others, and the one that it came from last.
  await running.session.delete('b')
  await running.session.delete('d')
  expect([running.machine.state, await running.read(3), await running.read(4)]).toEqual(['running', [4, 4, 4], [5, 5, 5]])
  await running.session.take('e')
  await running.end()
  expect(namesOf(folder)).toEqual(['/a+', 'a/c+', 'c/e+'])
  check(folder)
  await alone(folder, async (tree) => {
    await tree.delete('a')
    await tree.revert('c')
    expect(await codeOfAsync(() => tree.delete('c'))).toBe('snapshot-in-use')
    expect(await codeOfAsync(() => tree.delete('a'))).toBe('snapshot-unknown')
    expect(await codeOfAsync(() => tree.take('x'))).toBe('snapshot-unchanged')
  })
  running = await start(folder)
  expect([await running.read(0), await running.read(1), await running.read(2), await running.read(3)]).toEqual([[1, 1, 1], [2, 2, 2], [3, 3, 3], [0, 0, 0]])
  await running.end()
  await alone(folder, async (tree) => {
    await tree.revert('e')
    await tree.delete('c')
  })
  running = await start(folder)
  expect([await running.read(0), await running.read(2), await running.read(3), await running.read(4)]).toEqual([[1, 1, 1], [3, 3, 3], [4, 4, 4], [5, 5, 5]])
  await running.end()
  await alone(folder, (tree) => tree.delete('e'))
  // What is left: the index, the lock, and one overlay for each disk.
  expect(readdirSync(folder)).toHaveLength(4)
  check(folder)
})
