/**
 * What each request does. An operation takes its arguments and its fids at once, then works in the tree, and returns what
 * is to be done in the machine's order: to change fids, and to write the answer.
 */
import type { Operation } from './call.ts'
import { attributeOperations } from './operations-attributes.ts'
import { attachOperations } from './operations-fid.ts'
import { fileOperations } from './operations-file.ts'
import { nameOperations } from './operations-name.ts'
import { messageType } from './protocol.ts'

/** Operations by type. */
export const operations: Readonly<Record<number, Operation>> = {
  ...attachOperations, ...attributeOperations, ...fileOperations, ...nameOperations,
}

/** Types of requests that change the tree whatever their arguments are. */
export const changing: ReadonlySet<number> = new Set([
  messageType.lcreate, messageType.symlink, messageType.mknod, messageType.rename, messageType.setattr, messageType.link,
  messageType.mkdir, messageType.renameat, messageType.unlinkat, messageType.remove, messageType.write, messageType.xattrcreate,
])
