import { type BackendState, type FileNode, isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { files, memoryTree, type MemoryTree } from '../index.ts'

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

/** All that is below a node, with ids. */
async function walk(node: FileNode, at = ''): Promise<string[]> {
  const found: string[] = []
  const list = await node.list()
  for (const { name, attributes: { kind, id, mode, size, links, user } } of await list.next(1000)) {
    const path = `${at}/${String.fromCharCode(...name)}`
    const below = (await node.lookup(name)).node
    let content = ''
    if (kind === 'link') content = String.fromCharCode(...await below.readLink())
    if (kind === 'file') {
      const { file } = await below.open({ read: true, write: false })
      const into = new Uint8Array(size)
      await file.read(0, into)
      content = String.fromCharCode(...into)
      file.close()
    }
    found.push(`${path} ${kind} ${String(id)} ${mode} ${links} ${user} ${content}`)
    if (kind === 'folder') found.push(...await walk(below, path))
    below.release()
  }
  list.close()
  return found.sort()
}

const all = async (tree: MemoryTree): Promise<string[]> => walk((await tree.root()).node)

async function example(): Promise<MemoryTree> {
  const tree = memoryTree({ limit: 1 << 20 })
  tree.put('a/b/file', bytes('content'), 0o600)
  tree.put('a/other', bytes('more'))
  const { node } = await tree.root()
  await node.makeLink(bytes('link'), bytes('a/other'))
  const a = (await node.lookup(bytes('a'))).node
  await a.link(bytes('again'), (await a.lookup(bytes('other'))).node)
  await (await a.lookup(bytes('other'))).node.change({ user: 5 })
  await a.makeFolder(bytes('empty'), 0o700)
  return tree
}

const stateOf = (tree: MemoryTree): BackendState => {
  const [state] = structuredClone(files(tree).save?.() ?? [])
  if (state === undefined) throw new Error('no state')
  return state
}

it('a tree that is saved goes on, and another has what it had, with the same ids, and room for as much', async () => {
  const tree = await example()
  const before = await all(tree)
  const [state] = files(tree).save?.() ?? []
  if (state === undefined) throw new Error('no state')
  const { node } = await (await tree.root()).node.lookup(bytes('a'))
  await (await (await node.lookup(bytes('other'))).node.open({ read: true, write: true })).file.write(0, bytes('MORE'))
  const again = memoryTree({ limit: 1 << 20 })
  again.put('forgotten', bytes('x'))
  expect(files(again).restore?.(state, 'share0.files')).toBe(true)
  expect(await all(again)).toEqual(before)
  expect(await again.statistics()).toEqual(await tree.statistics())
  // It goes on as a tree does: new files have new ids, names can go, and both names of a file are one.
  const folder = (await (await again.root()).node.lookup(bytes('a'))).node
  const made = await folder.makeFolder(bytes('new'), 0o755)
  expect(before.some((line) => line.split(' ')[2] === String(made.attributes.id))).toBe(false)
  await folder.unlink(bytes('other'), false)
  expect((await folder.lookup(bytes('again'))).attributes.links).toBe(1)
  await folder.rename(bytes('b'), (await folder.lookup(bytes('new'))).node, bytes('c'))
  expect((await all(again)).some((line) => line.startsWith('/a/new/c/file file'))).toBe(true)
  expect(files(memoryTree({ readOnly: true })).save?.()).toEqual([])
  expect(files(memoryTree({ readOnly: true })).restore?.(state, 'share0.files')).toBe(false)
})

const outcome = (state: BackendState, tree: MemoryTree = memoryTree()): string => {
  try {
    return String(files(tree).restore?.(state, 'share0.files'))
  } catch (error) {
    return isMachinistError(error) ? `${error.code} ${error.part}` : String(error)
  }
}

it('a state from anywhere is taken or refused with a typed error, and what is taken is a tree', async () => {
  const state = stateOf(await example())
  expect([outcome({ ...state, kind: 'disk' }), outcome({ ...state, version: 2 }), outcome(state, memoryTree({ limit: 600 }))]).toEqual(['false', 'state share0.files', 'state share0.files'])
  const { files: saved, count } = state.state as { files: Record<string, unknown>[]; count: number }
  const root = saved[0] as { entries: unknown[] }
  const file = { ...saved.find(({ kind }) => kind === 'file') }
  const time = 0n
  const folder = (id: bigint, entries: unknown[]): object => ({ id, kind: 'folder', mode: 0, user: 0, group: 0, accessed: time, modified: time, changed: time, entries })
  const name = bytes('x')
  for (const wrong of [
    5, { files: [], count }, { files: saved, count: 1 }, { files: saved.slice(1), count }, { files: saved.slice(0, -1), count }, { files: [...saved, saved[1]], count }, { files: [file], count },
    { files: [{ ...root, entries: [[bytes('a/b'), 2n]] }, ...saved.slice(1)], count }, { files: [{ ...root, entries: [[bytes('..'), 2n]] }, ...saved.slice(1)], count },
    { files: [folder(1n, []), folder(2n, [[name, 3n]]), folder(3n, [[name, 2n]])], count: 3 }, { files: [folder(1n, [[name, 1n]])], count: 3 }, { files: [folder(1n, [[name, 2n], [bytes('y'), 2n]]), folder(2n, [])], count: 3 },
    { files: [folder(1n, [[name, 2n], [name, 3n]]), { ...file, id: 2n }, { ...file, id: 3n }], count: 3 }, { files: [folder(1n, [[name, 2n]]), { ...file, id: 2n, kind: 'fifo' }], count: 3 },
    { files: [folder(1n, [[name, 2n]]), { ...file, id: 2n, bytes: 'text' }], count: 3 }, { files: [folder(1n, [[name, 2n]]), { ...file, id: 2n, mode: 0o10000 }], count: 3 },
  ]) expect(outcome({ ...state, state: wrong }), JSON.stringify(wrong, (_key, value: unknown) => typeof value === 'bigint' ? String(value) : value).slice(0, 200)).toBe('state share0.files')
  await fc.assert(fc.asyncProperty(fc.nat(saved.length - 1), fc.constantFrom('id', 'kind', 'mode', 'bytes', 'entries', 'user', 'changed'), fc.constantFrom<unknown>(0n, 3n, 'folder', 'file', 5, null, [], new Uint8Array(3), [[name, 2n]]), async (index, field, value) => {
    const tree = memoryTree()
    const result = outcome({ ...state, state: { files: saved.map((each, at) => (at === index ? { ...each, [field]: value } : each)), count } }, tree)
    expect(['true', 'state share0.files']).toContain(result)
    await all(tree)
  }), { numRuns: 200, seed: 1 })
})
