/** Requests that make, move and remove names. */
import { posixError } from '@machinist/api'
import type { FoundNode } from '@machinist/api'
import { inParent } from './fid.ts'
import { type Answer, type Call, nothing, type Operation, putQid } from './call.ts'
import { fileType, messageType, removeFolder } from './protocol.ts'
import { below } from './session.ts'

/** Answers with the qid of what was made, which nobody uses yet. */
function made({ node, attributes }: FoundNode): Answer {
  node.release()
  return (out) => putQid(out, attributes)
}

async function makeFolder(call: Call): Promise<Answer> {
  const { reader, tree } = call
  const fid = call.use(reader.u32())
  const name = reader.name()
  const mode = reader.u32() & 0o7777
  return made(await (await fid.place.node(tree)).makeFolder(name, mode))
}

async function makeLink(call: Call): Promise<Answer> {
  const { reader, tree } = call
  const fid = call.use(reader.u32())
  const name = reader.name()
  const target = reader.string()
  if (target.length === 0 || target.includes(0)) throw posixError('EINVAL')
  return made(await (await fid.place.node(tree)).makeLink(name, target))
}

/** Regular files only: a device of the host is nothing for a guest. */
async function makeNode(call: Call): Promise<Answer> {
  const { reader, tree } = call
  const fid = call.use(reader.u32())
  const name = reader.name()
  const mode = reader.u32()
  if ((mode & fileType.mask) !== fileType.file) throw posixError('EPERM')
  const found = await (await fid.place.node(tree)).create(name, mode & 0o7777, { read: false, write: true, exclusive: true })
  found.file.close()
  return made(found)
}

async function link(call: Call): Promise<Answer> {
  const { reader, tree } = call
  const folder = call.use(reader.u32())
  const fid = call.use(reader.u32())
  const name = reader.name()
  await (await folder.place.node(tree)).link(name, await fid.place.node(tree))
  return nothing
}

async function readLink(call: Call): Promise<Answer> {
  const fid = call.use(call.reader.u32())
  const target = await (await fid.place.node(call.tree)).readLink()
  return (out) => out.string(target)
}

async function rename(call: Call): Promise<Answer> {
  const { reader, tree, session } = call
  const fid = call.use(reader.u32())
  const folder = call.use(reader.u32())
  const name = reader.name()
  const from = fid.place.path
  const to = below(folder.place.path, name)
  const into = await folder.place.node(tree)
  await inParent(tree, fid.place, (parent, old) => parent.rename(old, into, name))
  return () => { session.moved(from, to) }
}

async function renameAt(call: Call): Promise<Answer> {
  const { reader, tree, session } = call
  const folder = call.use(reader.u32())
  const name = reader.name()
  const into = call.use(reader.u32())
  const newName = reader.name()
  const from = below(folder.place.path, name)
  const to = below(into.place.path, newName)
  await (await folder.place.node(tree)).rename(name, await into.place.node(tree), newName)
  return () => { session.moved(from, to) }
}

async function unlinkAt(call: Call): Promise<Answer> {
  const { reader, tree } = call
  const fid = call.use(reader.u32())
  const name = reader.name()
  const flags = reader.u32()
  await (await fid.place.node(tree)).unlink(name, (flags & removeFolder) !== 0)
  return nothing
}

/** The fid goes, whether the file does or not. */
async function remove(call: Call): Promise<Answer> {
  const { reader, session, tree } = call
  const number = reader.u32()
  const fid = call.use(number)
  session.remove(number)
  const folder = await fid.place.kind(tree) === 'folder'
  await inParent(tree, fid.place, (parent, name) => parent.unlink(name, folder))
  return nothing
}

/** Operations on names. */
export const nameOperations: Readonly<Record<number, Operation>> = {
  [messageType.mkdir]: makeFolder,
  [messageType.symlink]: makeLink,
  [messageType.mknod]: makeNode,
  [messageType.link]: link,
  [messageType.readlink]: readLink,
  [messageType.rename]: rename,
  [messageType.renameat]: renameAt,
  [messageType.unlinkat]: unlinkAt,
  [messageType.remove]: remove,
}
