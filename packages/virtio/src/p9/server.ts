import { posixError } from '@machinist/api'
import type { FilesPort } from '@machinist/api'
import { type BufferPool } from '../device/buffer-pool.ts'
import type { Answer, Call } from './call.ts'
import { MessageReader, MessageWriter } from './codec.ts'
import type { Fid } from './fid.ts'
import { changing, operations } from './operations.ts'
import { errorNumber, headerSize, messageSize, messageType } from './protocol.ts'
import { Session } from './session.ts'

/** Room for every answer that carries no data. */
const plainAnswer = 8192
const dialect = [...'9P2000.L'].map((character) => character.charCodeAt(0))
const unknownDialect = Uint8Array.from('unknown', (character) => character.charCodeAt(0))

/** A request in flight. */
interface Pending {
  /** Flushes that wait for its end. */
  readonly waiting: (() => void)[]
}

/** A 9P2000.L server for one client. Messages may be nonsense: then the answer is an error. */
export class P9Server {
  session: Session | null = null
  readonly #port: FilesPort
  readonly #pool: BufferPool
  #pending = new Map<number, Pending>()

  constructor(port: FilesPort, pool: BufferPool) {
    this.#port = port
    this.#pool = pool
  }

  /** Ends the session. What is in flight ends by itself. */
  reset(): void {
    this.session?.close()
    this.session = null
    this.#pending = new Map()
  }

  /**
   * Takes a request.
   *
   * @param message - all of it; stays as it is until the answer
   * @param room - bytes that the answer may have
   * @param sent - called once, perhaps at once, with the answer, which is the caller's until it returns
   */
  request(message: Uint8Array, room: number, sent: (answer: Uint8Array) => void): void {
    const reader = new MessageReader(message, 4)
    const type = reader.u8()
    const tag = reader.u16()
    let buffer = this.#pool.take(plainAnswer)
    const held: Fid[] = []
    const pending: Pending = { waiting: [] }
    const all = this.#pending

    const finish = (end: { readonly answer: Answer } | { readonly error: unknown }): void => {
      const length = this.#write(buffer, type, tag, end)
      for (const fid of held) fid.drop()
      if (all.get(tag) === pending) all.delete(tag)
      sent(buffer.subarray(0, length))
      this.#pool.give(buffer)
      for (const flushed of pending.waiting) flushed()
    }

    if (all.has(tag)) return finish({ error: posixError('EINVAL') })
    if (type === messageType.version) return finish({ answer: this.#version(reader) })
    all.set(tag, pending)
    if (type === messageType.flush) return this.#flush(reader, tag, (answer) => { finish({ answer }) })
    const { session } = this
    const port = this.#port
    const call: Call = {
      reader, port, tree: port.tree, room: Math.min(room, session?.messageSize ?? 0),
      get session(): Session {
        if (session === null) throw posixError('EPROTO')
        return session
      },
      use(number) {
        const fid = this.session.get(number).hold()
        held.push(fid)
        return fid
      },
      answerIn: (length) => {
        if (length < plainAnswer) return buffer.subarray(0, length)
        this.#pool.give(buffer)
        buffer = this.#pool.take(length)
        return buffer.subarray(0, length)
      },
    }
    try {
      const operation = Object.hasOwn(operations, type) ? operations[type] : undefined
      if (operation === undefined) throw posixError('EOPNOTSUPP')
      if (port.readOnly && changing.has(type)) throw posixError('EROFS')
      const result = operation(call)
      if (typeof result === 'function') finish({ answer: result })
      else port.settle(result, (outcome) => { finish('value' in outcome ? { answer: outcome.value } : outcome) })
    } catch (error) {
      finish({ error })
    }
  }

  /** A new session: what the client had is gone. */
  #version(reader: MessageReader): Answer {
    this.reset()
    try {
      const size = Math.min(reader.u32(), messageSize.most)
      const wanted = reader.string()
      const ours = wanted.length === dialect.length && wanted.every((byte, index) => byte === dialect[index])
      if (ours && size < messageSize.least) throw posixError('EMSGSIZE')
      if (ours) this.session = new Session(size)
      return (out) => out.u32(size).string(ours ? wanted : unknownDialect)
    } catch (error) {
      return () => { throw error }
    }
  }

  /** An operation in the tree cannot be called back, so a flush is answered when what it flushes is. */
  #flush(reader: MessageReader, tag: number, done: (answer: Answer) => void): void {
    let old: number
    try {
      old = reader.u16()
    } catch (error) {
      return done(() => { throw error })
    }
    const pending = old === tag ? undefined : this.#pending.get(old)
    if (pending === undefined) done(() => undefined)
    else pending.waiting.push(() => { done(() => undefined) })
  }

  /** Writes the answer, or the error that it turned out to be. Returns its length. */
  #write(buffer: Uint8Array, type: number, tag: number, end: { readonly answer: Answer } | { readonly error: unknown }): number {
    const put = (kind: number, fields: Answer): number => {
      const out = new MessageWriter(buffer, headerSize)
      fields(out)
      new MessageWriter(buffer, 0).u32(out.length).u8(kind).u16(tag)
      return out.length
    }
    try {
      if ('error' in end) throw end.error
      return put(type + 1, end.answer)
    } catch (error) {
      return put(messageType.lerror + 1, (out) => out.u32(errorNumber(error)))
    }
  }
}
