import { posixError } from '@machinist/api'
import type { FileAttributes, FilesPort, FileTree } from '@machinist/api'
import type { MessageReader, MessageWriter } from './codec.ts'
import type { Fid } from './fid.ts'
import type { Session } from './session.ts'
import { fileType, qidType } from './protocol.ts'

/** A request, as its operation sees it. */
export interface Call {
  readonly reader: MessageReader
  readonly session: Session
  readonly port: FilesPort
  readonly tree: FileTree
  /** Bytes that the answer may have. */
  readonly room: number
  /** A fid, held until the request is answered. */
  use(number: number): Fid
  /** A buffer of `length` bytes for the answer, which it keeps until it is sent. */
  answerIn(length: number): Uint8Array
}

/** Writes the fields of an answer. May throw an error, which is then the answer. */
export type Answer = (out: MessageWriter) => void

/** An operation. */
export type Operation = (call: Call) => Answer | Promise<Answer>

/** An answer without fields. */
export const nothing: Answer = () => undefined

/** Refuses what this server never does. */
export const refuse = (code: string): Operation => () => { throw posixError(code) }

/** Writes the qid of a file. */
export function putQid(out: MessageWriter, { kind, id, modified, size }: FileAttributes): MessageWriter {
  const type = kind === 'folder' ? qidType.folder : kind === 'link' ? qidType.link : qidType.file
  // The version only has to change with the content.
  return out.u8(type).u32(Number(BigInt.asUintN(32, modified ^ BigInt(size)))).u64(id)
}

/** The mode of Linux: type and permissions. */
export function modeOf({ kind, mode }: FileAttributes): number {
  return fileType[kind] | mode
}
