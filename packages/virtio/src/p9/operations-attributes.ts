/** Requests about what is known of files. */
import { posixError } from '@machinist/api'
import type { AttributeChanges, FileAttributes } from '@machinist/api'
import type { MessageReader, MessageWriter } from './codec.ts'
import { type Answer, type Call, modeOf, type Operation, putQid } from './call.ts'
import { attributesValid, changeBit, fileSystemType, messageType } from './protocol.ts'

const nanoseconds = 1_000_000_000n
/** Furthest time from 1970 that is accepted, in seconds. */
const furthest = 1n << 40n
const ioUnit = 4096

async function getAttributes(call: Call): Promise<Answer> {
  const { reader, tree, session: { sizes } } = call
  const fid = call.use(reader.u32())
  const attributes = await (fid.handle ?? await fid.place.node(tree)).attributes()
  return (out) => {
    sizes.told(attributes.id, attributes.size)
    out.u64(attributesValid)
    putQid(out, attributes).u32(modeOf(attributes)).u32(attributes.user).u32(attributes.group)
    out.u64(attributes.links).u64(0).u64(attributes.size).u64(ioUnit).u64(attributes.blocks)
    putTimes(out, attributes)
    // Birth time, generation, data version: none.
    out.u64(0).u64(0).u64(0).u64(0)
  }
}

function putTimes(out: MessageWriter, { accessed, modified, changed }: FileAttributes): void {
  for (const time of [accessed, modified, changed]) {
    const part = ((time % nanoseconds) + nanoseconds) % nanoseconds
    out.u64((time - part) / nanoseconds).u64(part)
  }
}

async function setAttributes(call: Call): Promise<Answer> {
  const { reader, tree, session: { sizes } } = call
  const fid = call.use(reader.u32())
  const changes = readChanges(reader)
  const { size } = changes
  const id = fid.opened?.kind === 'file' ? fid.opened.id : fid.place.id
  if (size !== undefined && id !== null) sizes.cut(id, size)
  await (fid.handle ?? await fid.place.node(tree)).change(changes)
  return () => { if (size !== undefined && id !== null) sizes.told(id, size) }
}

function readChanges(reader: MessageReader): AttributeChanges {
  const valid = reader.u32()
  const has = (bit: number): boolean => (valid & bit) !== 0
  const mode = reader.u32() & 0o7777
  const user = reader.u32()
  const group = reader.u32()
  const size = has(changeBit.size) ? reader.offset() : Number(reader.u64() & 0n)
  const accessed = readTime(reader, has(changeBit.accessed), has(changeBit.accessedSet))
  const modified = readTime(reader, has(changeBit.modified), has(changeBit.modifiedSet))
  return {
    ...(has(changeBit.mode) && { mode }),
    ...(has(changeBit.user) && { user }),
    ...(has(changeBit.group) && { group }),
    ...(has(changeBit.size) && { size }),
    ...(accessed !== null && { accessed }),
    ...(modified !== null && { modified }),
  }
}

function readTime(reader: MessageReader, wanted: boolean, given: boolean): bigint | 'now' | null {
  const seconds = BigInt.asIntN(64, reader.u64())
  const part = reader.u64()
  if (!wanted) return null
  if (!given) return 'now'
  if (part >= nanoseconds || seconds > furthest || seconds < -furthest) throw posixError('EINVAL')
  return seconds * nanoseconds + part
}

async function statistics(call: Call): Promise<Answer> {
  call.use(call.reader.u32())
  const { blockSize, blocks, free, available, files, filesFree, nameLength } = await call.tree.statistics()
  return (out) => out.u32(fileSystemType).u32(blockSize).u64(blocks).u64(free).u64(available).u64(files).u64(filesFree).u64(0).u32(nameLength)
}

/** Operations on attributes. */
export const attributeOperations: Readonly<Record<number, Operation>> = {
  [messageType.getattr]: getAttributes,
  [messageType.setattr]: setAttributes,
  [messageType.statfs]: statistics,
}
