import { posixError } from '@machinist/api'
import type { FoundNode } from '@machinist/api'
import type { SharedTree } from './backend.ts'
import { MemoryNode } from './memory-node.ts'
import { type Inode, MemoryStore } from './memory-store.ts'
import { restoreTree, treeState } from './saved-tree.ts'

/** What {@link memoryTree} may be told. */
export interface MemoryTreeOptions {
  /** Refuses changes, but for those of {@link MemoryTree.put}. Default: false. */
  readonly readOnly?: boolean
  /** Most bytes, each file and folder counted as 512 and more. Default: 64 MiB. */
  readonly limit?: number
  /** Nanoseconds since 1970, for the times of files. Default: it stays 1970. */
  readonly now?: () => bigint
}

/** A tree of files in memory. */
export interface MemoryTree extends SharedTree {
  /** Puts a file there, with the folders above it, from outside the machine. `'EFBIG'` when there is no room. */
  put(path: string, bytes: Uint8Array, mode?: number): void
}

/**
 * A tree of files in memory, for machines in a browser and for tests. It knows no permissions: modes and owners are kept
 * and mean nothing to it. Snapshots of the machine have its files, unless it is read-only; they come back in another one, in the place of what that has.
 */
export function memoryTree(options: MemoryTreeOptions = {}): MemoryTree {
  const store = new MemoryStore(options)
  return {
    readOnly: store.readOnly,
    root: (): Promise<FoundNode> => Promise.resolve({ node: new MemoryNode(store, store.root), attributes: store.root.attributes() }),
    statistics: () => Promise.resolve(store.statistics()),
    save: () => store.readOnly ? [] : [treeState(store)],
    restore: (saved, part) => !store.readOnly && restoreTree(store, saved, part),
    put(path, bytes, mode = 0o644) {
      const names = path.split('/').filter((name) => name !== '')
      const last = names.pop()
      if (last === undefined) throw posixError('EINVAL')
      let folder: Inode = store.root
      for (const name of names) {
        const found = folder.entries.get(name) ?? store.make('folder', 0o755)
        if (found.kind !== 'folder') throw posixError('ENOTDIR')
        folder.entries.set(name, found)
        found.parent = folder
        folder = found
      }
      const old = folder.entries.get(last)
      if (old?.kind === 'folder') throw posixError('EISDIR')
      const inode = store.make('file', mode, bytes.slice())
      if (old !== undefined) store.unname(old)
      folder.entries.set(last, inode)
    },
  }
}
