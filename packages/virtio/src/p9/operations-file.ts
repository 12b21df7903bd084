/** Requests on open files and folders. */
import { posixError } from '@machinist/api'
import type { FileTree, FolderEntry, OpenMode } from '@machinist/api'
import { MessageWriter } from './codec.ts'
import { beginListing, type Fid, type Listing, Place, type Path, walk } from './fid.ts'
import { type Answer, type Call, modeOf, nothing, type Operation, putQid } from './call.ts'
import { entryTypeShift, messageType, openFlag, readOverhead } from './protocol.ts'
import { below } from './session.ts'

/** Entries that are asked for at once. */
const batch = 64
/** Bytes of an entry besides its name: qid, offset, type, length of the name. */
const entryOverhead = 13 + 8 + 1 + 2
const self = Uint8Array.of(0x2e)
const up = Uint8Array.of(0x2e, 0x2e)

function openMode(flags: number): OpenMode {
  const access = flags & openFlag.accessMode
  if (access > openFlag.readWrite) throw posixError('EINVAL')
  return { read: access !== openFlag.writeOnly, write: access !== 0, append: (flags & openFlag.append) !== 0, truncate: (flags & openFlag.truncate) !== 0 }
}

/** Marks a fid as being opened while `work` is. */
async function opening<T>(fid: Fid, work: () => Promise<T>): Promise<T> {
  if (fid.isOpen) throw posixError('EBADF')
  fid.opening = true
  try {
    return await work()
  } finally {
    fid.opening = false
  }
}

async function open(call: Call): Promise<Answer> {
  const { reader, tree, port, session: { sizes } } = call
  const fid = call.use(reader.u32())
  const flags = reader.u32()
  const mode = openMode(flags)
  if (port.readOnly && (mode.write || mode.truncate === true)) throw posixError('EROFS')
  if (mode.truncate === true && fid.place.id !== null) sizes.cut(fid.place.id, 0)
  return opening(fid, async () => {
    const node = await fid.place.node(tree)
    if (await fid.place.kind(tree) === 'folder') {
      if (mode.write) throw posixError('EISDIR')
      const attributes = await node.attributes()
      fid.opened = { kind: 'folder', listing: await beginListing(node) }
      return (out) => putQid(out, attributes).u32(0)
    }
    if ((flags & openFlag.folder) !== 0) throw posixError('ENOTDIR')
    const { file, attributes } = await node.open(mode)
    fid.opened = { kind: 'file', file, id: attributes.id, mode }
    return (out) => putQid(out, attributes).u32(0)
  })
}

async function create(call: Call): Promise<Answer> {
  const { reader, tree } = call
  const fid = call.use(reader.u32())
  const name = reader.name()
  const flags = reader.u32()
  const permissions = reader.u32() & 0o7777
  const mode = openMode(flags)
  return opening(fid, async () => {
    const path = below(fid.place.path, name)
    const folder = await fid.place.node(tree)
    const { node, file, attributes } = await folder.create(name, permissions, { ...mode, exclusive: (flags & openFlag.exclusive) !== 0 })
    fid.become(new Place(path, { node, attributes }), { kind: 'file', file, id: attributes.id, mode })
    return (out) => putQid(out, attributes).u32(0)
  })
}

async function read(call: Call): Promise<Answer> {
  const { reader, tree, room, session: { sizes } } = call
  const fid = call.use(reader.u32())
  const offset = reader.offset()
  const count = Math.min(reader.u32(), room - readOverhead)
  const into = call.answerIn(readOverhead + count).subarray(readOverhead)
  const { file, id, mode } = await fid.file(tree)
  if (!mode.read) throw posixError('EBADF')
  const length = await file.read(offset, into)
  return (out) => {
    if (length === 0 && count > 0 && offset < sizes.of(id, fid.place.believed)) throw posixError('EIO')
    out.u32(length).skip(length)
  }
}

async function write(call: Call): Promise<Answer> {
  const { reader, tree, session: { sizes } } = call
  const fid = call.use(reader.u32())
  const offset = reader.offset()
  const count = reader.u32()
  const bytes = reader.data(count)
  const { file, id, mode } = await fid.file(tree)
  if (!mode.write) throw posixError('EBADF')
  await file.write(offset, bytes)
  return (out) => {
    sizes.reached(id, offset + count)
    out.u32(count)
  }
}

async function readFolder(call: Call): Promise<Answer> {
  const { reader, tree, room } = call
  const fid = call.use(reader.u32())
  const offset = reader.offset()
  const count = Math.min(reader.u32(), room - readOverhead)
  const buffer = call.answerIn(readOverhead + count)
  const { path } = fid.place
  const work = fid.turn.then(async () => {
    const { listing } = await fid.folder(tree)
    return fill(new MessageWriter(buffer, readOverhead), listing, path, tree, offset)
  })
  fid.turn = work.catch(() => undefined)
  const length = await work
  return (out) => out.u32(length).skip(length)
}

/**
 * Writes as many entries as there is room for, from number `offset` on: `.` is 0, `..` is 1. Going on where the last call
 * stopped costs nothing; going back begins anew.
 */
async function fill(out: MessageWriter, listing: Listing, path: Path, tree: FileTree, offset: number): Promise<number> {
  const start = out.length
  let number = offset
  const put = ({ name, attributes }: FolderEntry): boolean => {
    if (out.room < entryOverhead + name.length) return false
    number += 1
    putQid(out, attributes).u64(number).u8(modeOf(attributes) >>> entryTypeShift).string(name)
    return true
  }
  let fits = true
  if (offset === 0) fits = put({ name: self, attributes: await listing.list.attributes() })
  if (fits && number === 1) fits = put({ name: up, attributes: await parentAttributes(tree, path) })
  if (fits && number >= 2) {
    await seek(listing, number - 2)
    for (let entry = await next(listing); entry !== undefined; entry = await next(listing)) {
      fits = put(entry)
      if (!fits) {
        listing.ahead.unshift(entry)
        break
      }
      listing.position += 1
    }
  }
  if (!fits && out.length === start) throw posixError('EINVAL')
  return out.length - start
}

async function parentAttributes(tree: FileTree, path: Path): Promise<FolderEntry['attributes']> {
  const { node, attributes } = await walk(tree, path.slice(0, -1))
  node.release()
  return attributes
}

async function seek(listing: Listing, position: number): Promise<void> {
  if (listing.position > position) {
    await listing.list.rewind()
    listing.ahead = []
    listing.position = 0
  }
  for (; listing.position < position; listing.position++) if (await next(listing) === undefined) break
}

async function next(listing: Listing): Promise<FolderEntry | undefined> {
  if (listing.ahead.length === 0) listing.ahead = [...await listing.list.next(batch)]
  return listing.ahead.shift()
}

async function flush(call: Call): Promise<Answer> {
  const fid = call.use(call.reader.u32())
  await (await fid.handleAgain(call.tree)).flush()
  return nothing
}

/** Operations on what is open. */
export const fileOperations: Readonly<Record<number, Operation>> = {
  [messageType.lopen]: open,
  [messageType.lcreate]: create,
  [messageType.read]: read,
  [messageType.write]: write,
  [messageType.readdir]: readFolder,
  [messageType.fsync]: flush,
}
