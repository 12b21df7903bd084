import type { Backend, BackendState, Deliver, FilesPort, FileTree } from '@machinist/api'

/** A tree of files that machines can use, with what it takes to let it go. */
export interface SharedTree extends FileTree {
  readonly readOnly: boolean
  /** Releases what the tree holds of its host. */
  close?(): void
  /** As {@link Backend.save}, while no request is under way. */
  save?(): readonly BackendState[]
  /** As {@link Backend.restore}. */
  restore?(saved: BackendState, part: string): boolean
}

/** A backend for file-sharing devices over a tree of files. */
export function files(tree: SharedTree): Backend<FilesPort> {
  return {
    kind: 'files',
    connect(deliver: Deliver): FilesPort {
      return {
        tree,
        readOnly: tree.readOnly,
        settle(work, done) {
          work.then(
            (value) => { deliver(() => { done({ value }) }) },
            (error: unknown) => { deliver(() => { done({ error }) }) })
        },
      }
    },
    save: () => tree.save?.() ?? [],
    restore: (saved, part) => tree.restore?.(saved, part) ?? false,
    close() { tree.close?.() },
  }
}
