import { machinistError } from '@machinist/api'
import type { SnapshotInput } from '@machinist/snapshot'

/** Bytes that are kept together. */
const BLOCK = 256 * 1024
/** Most blocks that are asked for at once: twice as many after an answer that came quickly, half as many after a slow one, in milliseconds. */
const MOST_AT_ONCE = 16
const QUICK = 60
const SLOW = 250
/** Largest file of a server that has no ranges, which is loaded whole. */
const MOST_WHOLE = 512 * 2 ** 20
/** Blocks that are kept of a file; a larger one is not loaded ahead, as its blocks would drive out each other. */
const MOST_KEPT = 512
/** Attempts, of which a network loses some. */
const ATTEMPTS = 3

/** What a server says to a request for a range. */
export interface RangeAnswer {
  readonly status: number
  /** Null when there were more than were wanted, which are not loaded. */
  readonly bytes: Uint8Array | null
  /** `Content-Range`. */
  readonly range: string | null
  /** What tells one version of the file from another, where it is known. */
  readonly tag: string | null
}

/** How a server is asked for bytes `from` to `to - 1`: at once, where the whole worker waits, and later. Both throw when nobody answers. */
export interface RangeRequests {
  now(from: number, to: number): RangeAnswer
  /** @param mostWhole - bytes that are loaded of the whole file (status 200), of a server that has no ranges */
  later(from: number, to: number, mostWhole: number): Promise<RangeAnswer>
}

/** A file that is read at once, as pages of memory are touched, and can be loaded ahead. */
export interface RangedInput extends SnapshotInput {
  /** Loads what is not there yet, until it is closed. What fails is tried again when somebody needs it. */
  ahead(): Promise<void>
  close(): void
}

/**
 * A file on a web server that is read by ranges, in blocks that are kept. The first one is asked for now; of a server that has no ranges, it is the whole file, 512 MiB at most.
 *
 * @throws typed errors `'snapshot-load'`; `'snapshot-changed'` when the server has another file by now, from reads, too: another length, `ETag` or `Last-Modified`. Where it tells neither of these, another file of the same
 * length is found out by the checksum of what is read, as `'snapshot-damaged'`
 */
export async function rangedInput(name: string, requests: RangeRequests): Promise<RangedInput> {
  const fail = (value: string | number): Error => machinistError({ code: 'snapshot-load', part: name, value, remedy: 'Check the URL, and that the server answers range requests and lets pages of this origin read them.' }, 'the snapshot cannot be loaded')
  const blocks = new Map<number, Uint8Array>()
  let ended = false
  let size = -1
  let tag: string | null = null
  let atOnce = 1

  const check = (answer: RangeAnswer, from: number): Uint8Array => {
    const { status, bytes, range } = answer
    if (status === 200 && size < 0 && bytes === null) throw fail(`200, and more than ${MOST_WHOLE} bytes`)
    if (status === 200 && size < 0 && bytes !== null) return bytes
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(range ?? '') ?? []
    if (status !== 206 || bytes === null || Number(first) !== from || !Number.isSafeInteger(Number(total))) throw fail(status)
    if (size >= 0 && (Number(total) !== size || answer.tag !== tag)) throw machinistError({ code: 'snapshot-changed', part: name, remedy: 'Open it anew.' }, 'the server has another file by now')
    return bytes
  }
  const attempt = (from: number, to: number): RangeAnswer => {
    for (let tried = 1; ; tried++) {
      try {
        const began = performance.now()
        const answer = requests.now(from, to)
        const took = performance.now() - began
        if (took < QUICK) atOnce = Math.min(MOST_AT_ONCE, 2 * atOnce)
        else if (took > SLOW) atOnce = Math.max(1, atOnce >> 1)
        if (answer.status < 500 || tried === ATTEMPTS) return answer
      } catch (error) {
        if (tried === ATTEMPTS) throw fail(error instanceof Error ? error.message : String(error))
      }
    }
  }
  const firstOf = async (): Promise<RangeAnswer> => {
    for (let tried = 1; ; tried++) {
      try {
        const answer = await requests.later(0, BLOCK, MOST_WHOLE)
        if (answer.status < 500 || tried === ATTEMPTS) return answer
      } catch (error) {
        if (tried === ATTEMPTS) throw fail(error instanceof Error ? error.message : String(error))
      }
    }
  }
  const keep = (index: number, bytes: Uint8Array): Uint8Array => {
    if (bytes.length !== Math.min(BLOCK, size - index * BLOCK)) throw fail(`${bytes.length} bytes`)
    blocks.delete(index)
    blocks.set(index, bytes)
    if (blocks.size > MOST_KEPT) for (const oldest of blocks.keys()) {
      blocks.delete(oldest)
      break
    }
    return bytes
  }

  const first = await firstOf()
  const begin = check(first, 0)
  tag = first.tag
  const whole = first.status === 200 ? begin : null
  size = whole?.length ?? Number((first.range ?? '').split('/')[1])
  if (whole === null) keep(0, begin)
  const rangeOf = (index: number): [number, number] => [index * BLOCK, Math.min(size, (index + 1) * BLOCK)]
  const block = (index: number): Uint8Array => {
    const known = blocks.get(index)
    if (known !== undefined) return keep(index, known)
    let end = index + 1
    while (end < index + atOnce && end * BLOCK < size && !blocks.has(end)) end++
    const from = index * BLOCK
    const bytes = check(attempt(from, Math.min(size, end * BLOCK)), from)
    if (bytes.length !== Math.min(size, end * BLOCK) - from) throw fail(`${bytes.length} bytes`)
    for (let each = end - 1; each > index; each--) keep(each, bytes.slice((each - index) * BLOCK, (each - index + 1) * BLOCK))
    return keep(index, end === index + 1 ? bytes : bytes.slice(0, BLOCK))
  }

  return {
    name, size,
    read(offset, length) {
      if (whole !== null) return whole.subarray(offset, offset + length)
      const into = new Uint8Array(length)
      for (let done = 0; done < length;) {
        const index = Math.floor((offset + done) / BLOCK)
        const from = offset + done - index * BLOCK
        const part = block(index).subarray(from, from + length - done)
        into.set(part, done)
        done += part.length
        if (part.length === 0) return into.subarray(0, done)
      }
      return into
    },
    async ahead() {
      const count = Math.ceil(size / BLOCK)
      if (whole !== null || count > MOST_KEPT) return
      for (let index = 0; index < count && !ended; index++) {
        if (blocks.has(index)) continue
        try {
          const answer = await requests.later(...rangeOf(index), 0)
          if (!blocks.has(index) && !ended) keep(index, check(answer, index * BLOCK))
        } catch {
          return
        }
      }
    },
    close() {
      ended = true
      blocks.clear()
    },
  }
}
