import { badBackendState, type BackendState, backendStateFields } from '@machinist/api'
import { Inode, keyName, type MemoryStore, nameKey } from './memory-store.ts'

const kind = 'tree'
const version = 1
const longestName = 255
/** Most files, each of which counts half a kilobyte. */
const mostFiles = 2 ** 21

/** All that a tree in memory has. Files without a name, which somebody has open, are not in it. */
export function treeState(store: MemoryStore): BackendState {
  const files: object[] = []
  const seen = new Set<Inode>()
  const visit = (inode: Inode): void => {
    if (seen.has(inode)) return
    seen.add(inode)
    const { id, kind: what, mode, user, group, accessed, modified, changed, bytes, size, entries } = inode
    files.push({
      id, kind: what, mode, user, group, accessed, modified, changed,
      ...(what === 'folder' ? { entries: [...entries].map(([key, { id: entry }]) => [keyName(key), entry]) } : { bytes: bytes.slice(0, size) }),
    })
    waiting.push(...entries.values())
  }
  const waiting = [store.root]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) visit(next)
  return { kind, version, state: { files, count: store.count } }
}

interface SavedFile {
  readonly inode: Inode
  readonly entries: readonly (readonly [name: Uint8Array, id: bigint])[]
}

/**
 * Gives a tree what another had, in the place of what it has. False for a state of another kind.
 *
 * @throws a typed error `'state'`
 */
export function restoreTree(store: MemoryStore, saved: BackendState, part: string): boolean {
  if (saved.kind !== kind) return false
  const bad = (problem: string): Error => badBackendState(part, problem)
  const { files, count } = backendStateFields(saved, version, part)
  if (!Array.isArray(files) || files.length > mostFiles || typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0) throw bad('the saved tree is none')
  const known = new Map<bigint, SavedFile>()
  let first: SavedFile | null = null
  for (const each of files as readonly unknown[]) {
    const file = fileOf(each)
    if (file === null || file.inode.id > BigInt(count) || known.has(file.inode.id)) throw bad('a file of the saved tree is none')
    known.set(file.inode.id, file)
    first ??= file
  }
  if (first?.inode.kind !== 'folder') throw bad('the saved tree has no root')
  const reached = new Set<Inode>([first.inode])
  for (const { inode: folder, entries } of known.values()) {
    for (const [name, id] of entries) {
      const inode = known.get(id)?.inode
      if (inode === undefined || folder.entries.has(nameKey(name))) throw bad('a name of the saved tree leads nowhere')
      // A folder is in one place.
      if (inode.kind === 'folder' && reached.has(inode)) throw bad('a folder of the saved tree is in two places')
      if (inode.kind === 'folder') inode.parent = folder
      inode.links = reached.has(inode) ? inode.links + 1 : 1
      reached.add(inode)
      folder.entries.set(nameKey(name), inode)
    }
  }
  if (reached.size !== known.size || !connected(first.inode, known.size)) throw bad('files of the saved tree are in no place')
  if (!store.begin(first.inode, [...reached], count)) throw bad('the tree may not hold so much')
  return true
}

/** Whether so many files are below a root: none in a ring of folders. */
function connected(root: Inode, count: number): boolean {
  const seen = new Set([root])
  for (const inode of seen) for (const entry of inode.entries.values()) seen.add(entry)
  return seen.size === count
}

function fileOf(value: unknown): SavedFile | null {
  if (typeof value !== 'object' || value === null) return null
  const { id, kind: what, mode, user, group, accessed, modified, changed, bytes, entries } = value as Readonly<Record<string, unknown>>
  const times = [accessed, modified, changed].every(isU64)
  const numbers = [user, group].every((number) => typeof number === 'number' && Number.isInteger(number) && number >= 0 && number < 2 ** 32)
  if (!isU64(id) || !times || !numbers || typeof mode !== 'number' || !Number.isInteger(mode) || mode < 0 || mode > 0o7777) return null
  if (what !== 'file' && what !== 'folder' && what !== 'link') return null
  if (what === 'folder' ? !Array.isArray(entries) : !(bytes instanceof Uint8Array)) return null
  const inode = new Inode(what, id, mode, modified as bigint, what === 'folder' ? new Uint8Array(0) : (bytes as Uint8Array).slice())
  Object.assign(inode, { user, group, accessed, changed })
  const names: SavedFile['entries'][number][] = []
  for (const each of what === 'folder' ? entries as readonly unknown[] : []) {
    const [name, entry] = Array.isArray(each) ? each as readonly unknown[] : []
    if (!(name instanceof Uint8Array) || name.length === 0 || name.length > longestName || name.some((byte) => byte === 0 || byte === 0x2f) || ['.', '..'].includes(nameKey(name)) || !isU64(entry)) return null
    names.push([name, entry])
  }
  return { inode, entries: names }
}

function isU64(value: unknown): value is bigint {
  return typeof value === 'bigint' && value === BigInt.asUintN(64, value)
}
