import { machinistError, type MachinistError } from '@machinist/api'
import type { RandomAccessFile } from '../file.ts'

/** Bytes of a block: what is fetched at least, and kept. */
const BLOCK = 64 * 1024
/** Most blocks in one request. */
const MAX_BLOCKS = 32
const FIRST_PAUSE = 100

/** What a web server answers, as far as it is looked at: a `Response` of `fetch` is one. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: { get(name: string): string | null }
  readonly body: { getReader(): { read(): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }>; cancel(): Promise<void> } } | null
}

/** How a host asks for a file on a web server. */
export interface HttpAccess {
  /** Asks with these headers, besides the host's own. Rejects, for what is wrong with the network, or when no answer came for long; the next attempt may be better. */
  ask(headers: Readonly<Record<string, string>>): Promise<HttpAnswer>
  wait(milliseconds: number): Promise<void>
  /** Ends what is under way. */
  end(): void
}

/** Options of {@link rangedFile}. */
export interface RangedFileOptions {
  /** Most bytes of fetched data to keep. Default: 64 MiB. */
  readonly cacheSize?: number
  /** How often a request is made again after a failure of the network or the server. Default: 3. */
  readonly retries?: number
  /** False: no header but `range` is sent, which pages may send to other origins without asking first. Default: true. */
  readonly conditional?: boolean
}

/** A failure that another attempt may mend. */
class Passing extends Error {}

/**
 * A file on a web server, read as needed by range requests, in blocks that are kept. It cannot be written; an overlay over it can.
 * When what the server has changes while it is open, reads fail.
 *
 * @param url - for errors; `access` knows where to ask
 * @throws typed errors: `'http-failed'`, the server or the network; `'http-range'`, the server has no range requests
 */
export async function rangedFile(url: string, access: HttpAccess, options: RangedFileOptions = {}): Promise<RandomAccessFile> {
  const { cacheSize = 64 * 2 ** 20, retries = 3, conditional = true } = options
  const fail = (code: string, problem: string, remedy: string, value?: string | number): MachinistError => machinistError({ code, part: url, value, remedy }, problem)
  let ended = false
  const maxBlocks = Math.max(MAX_BLOCKS, Math.floor(cacheSize / BLOCK))
  const blocks = new Map<number, Uint8Array>()
  const pending = new Map<number, Promise<void>>()
  let validator: string | null = null
  let size = -1

  /** Bytes of a range; of the first, what the file has of it. */
  const fetchRange = async (first: number, length: number): Promise<Uint8Array> => {
    let response: HttpAnswer
    try {
      response = await access.ask({
        range: `bytes=${first}-${first + length - 1}`, ...(conditional && { 'accept-encoding': 'identity', ...(validator !== null && { 'if-range': validator }) }),
      })
    } catch (error) {
      throw new Passing(error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error))
    }
    const reader = response.body?.getReader()
    const refuse = async (error: Error): Promise<never> => {
      await reader?.cancel().catch(() => undefined)
      throw error
    }
    if (response.status >= 500 || response.status === 429 || response.status === 408) return refuse(new Passing(`status ${response.status}`))
    if (response.status === 416 && size < 0) return refuse(fail('http-failed', 'the file is empty', 'Check the URL.'))
    if (response.status === 200) {
      return refuse(size < 0
        ? fail('http-range', 'the server has no range requests', 'Download the file, or use another server.')
        : fail('http-failed', 'the file has changed while it was in use', 'Start again.'))
    }
    const range = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/([0-9]{1,15})$/.exec(response.headers.get('content-range') ?? '')
    if (response.status !== 206) return refuse(fail('http-failed', 'the server refuses', 'Check the URL.', response.status))
    const total = Number(range?.[3] ?? NaN)
    const count = Number(range?.[2] ?? NaN) - first + 1
    if (range === null || Number(range[1]) !== first || count !== Math.min(length, total - first) || (size >= 0 && total !== size)) {
      return refuse(fail('http-failed', 'the server answers with another range than was asked for', 'Download the file, or use another server.', response.headers.get('content-range') ?? 'none'))
    }
    const etag = response.headers.get('etag')
    // A weak one does not promise the same bytes, and may not be used here.
    const found = etag !== null && !etag.startsWith('W/') ? etag : response.headers.get('last-modified')
    if (size >= 0 && found !== validator) return refuse(fail('http-failed', 'the file has changed while it was in use', 'Start again.'))
    const bytes = new Uint8Array(count)
    let done = 0
    try {
      for (;;) {
        const { value } = await reader?.read() ?? {}
        if (value === undefined) break
        if (done + value.length > count) return await refuse(new Passing('the answer is longer than it says'))
        bytes.set(value, done)
        done += value.length
      }
    } catch (error) {
      throw new Passing(String(error))
    }
    if (done !== count) throw new Passing('the answer is cut short')
    if (size < 0) [size, validator] = [total, found]
    return bytes
  }

  const persistently = async (first: number, length: number): Promise<Uint8Array> => {
    for (let attempt = 0; ; attempt++) {
      try {
        return await fetchRange(first, length)
      } catch (error) {
        if (!(error instanceof Passing)) throw error
        if (attempt >= retries || ended) throw fail('http-failed', 'it cannot be fetched', 'Check the network and the server.', error.message)
        await access.wait(FIRST_PAUSE * 2 ** attempt)
      }
    }
  }

  const keep = (first: number, bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; at += BLOCK) blocks.set(first + at / BLOCK, bytes.slice(at, at + BLOCK))
    for (const block of blocks.keys()) {
      if (blocks.size <= maxBlocks) break
      blocks.delete(block)
    }
  }

  /** Fetches a block, and those after it that are wanted and missing. */
  const load = (block: number, past: number): Promise<void> => {
    let end = block + 1
    while (end < past && end - block < MAX_BLOCKS && !blocks.has(end) && !pending.has(end)) end += 1
    const loading = persistently(block * BLOCK, (end - block) * BLOCK)
      .then((bytes) => { keep(block, bytes) })
      .finally(() => { for (let each = block; each < end; each++) pending.delete(each) })
    for (let each = block; each < end; each++) pending.set(each, loading)
    return loading
  }

  keep(0, await persistently(0, BLOCK))
  return {
    size,
    writable: false,
    async read(offset, into) {
      const length = Math.max(0, Math.min(into.length, size - offset))
      const past = Math.ceil((offset + length) / BLOCK)
      for (let done = 0; done < length;) {
        const block = Math.floor((offset + done) / BLOCK)
        const bytes = blocks.get(block)
        if (bytes === undefined) {
          await (pending.get(block) ?? load(block, past))
          continue
        }
        blocks.delete(block)
        blocks.set(block, bytes)
        const inside = offset + done - block * BLOCK
        const piece = bytes.subarray(inside, inside + length - done)
        into.set(piece, done)
        done += piece.length
      }
      return length
    },
    write: () => Promise.reject(Object.assign(new Error('a file on a web server cannot be written'), { code: 'EROFS' })),
    flush: () => Promise.resolve(),
    close() {
      ended = true
      access.end()
      blocks.clear()
      return Promise.resolve()
    },
  }
}
