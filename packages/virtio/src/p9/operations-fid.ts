/** Requests about fids. */
import { posixError } from '@machinist/api'
import type { FileAttributes, FileNode, FoundNode } from '@machinist/api'
import { checkName, isDots } from './codec.ts'
import { Place, type Path, walk } from './fid.ts'
import { type Answer, type Call, nothing, type Operation, putQid, refuse } from './call.ts'
import { lock, maximumWalk, messageType, noFid } from './protocol.ts'
import { below } from './session.ts'

async function attach({ reader, session, tree }: Call): Promise<Answer> {
  const number = reader.u32()
  const authenticated = reader.u32() !== noFid
  reader.string()
  const which = reader.string()
  if (authenticated) throw posixError('EOPNOTSUPP')
  // There is one tree, and this is its name.
  if (which.length > 1 || (which.length === 1 && which[0] !== 0x2f)) throw posixError('ENOENT')
  session.vacant(number)
  const found = await tree.root()
  return (out) => {
    session.add(number, new Place([], found))
    putQid(out, found.attributes)
  }
}

async function walkNames(call: Call): Promise<Answer> {
  const { reader, session, tree } = call
  const number = reader.u32()
  const newNumber = reader.u32()
  const count = reader.u16()
  if (count > maximumWalk) throw posixError('EINVAL')
  const names = Array.from({ length: count }, () => reader.string())
  for (const name of names) checkName(name)
  const fid = call.use(number)
  if (newNumber !== number) session.vacant(newNumber)
  else if (fid.isOpen) throw posixError('EBADF')

  const { place } = fid
  let path: Path = place.path
  let current: FileNode = await place.node(tree)
  let found: FoundNode | null = null
  const passed: FileAttributes[] = []
  try {
    for (const name of names) {
      const next: FoundNode = isDots(name) ? await walk(tree, name.length === 1 ? path : path.slice(0, -1)) : await current.lookup(name)
      path = isDots(name) ? name.length === 1 ? path : path.slice(0, -1) : below(path, name)
      found?.node.release()
      found = next
      current = next.node
      passed.push(next.attributes)
    }
  } catch (error) {
    found?.node.release()
    // A walk that comes some of the way says how far, and makes no fid.
    if (passed.length === 0) throw error
  }
  const target = passed.length < count ? null : found === null ? place : new Place(path, found)
  return (out) => {
    if (target !== null) session.point(number, newNumber, target)
    out.u16(passed.length)
    for (const attributes of passed) putQid(out, attributes)
  }
}

/** Locks of this client's processes are its kernel's business; there is no other client. */
function takeLock(call: Call): Answer {
  call.use(call.reader.u32())
  return (out) => out.u8(lock.success)
}

function testLock(call: Call): Answer {
  const { reader } = call
  call.use(reader.u32())
  reader.u8()
  const start = reader.u64()
  const length = reader.u64()
  const process = reader.u32()
  const client = reader.string()
  return (out) => out.u8(lock.unlocked).u64(start).u64(length).u32(process).string(client)
}

/** Operations of fids, and those that are refused. */
export const attachOperations: Readonly<Record<number, Operation>> = {
  [messageType.auth]: refuse('EOPNOTSUPP'),
  [messageType.attach]: attach,
  [messageType.walk]: walkNames,
  [messageType.clunk]({ reader, session }) {
    session.remove(reader.u32())
    return nothing
  },
  [messageType.lock]: takeLock,
  [messageType.getlock]: testLock,
  [messageType.xattrwalk]: refuse('EOPNOTSUPP'),
  [messageType.xattrcreate]: refuse('EOPNOTSUPP'),
}
