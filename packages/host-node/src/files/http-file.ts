import { setTimeout as wait } from 'node:timers/promises'
import { machinistError } from '@machinist/api'
import { type RandomAccessFile, rangedFile, type RangedFileOptions } from '@machinist/storage'

/** Options of {@link httpFile}. */
export interface HttpOptions extends Pick<RangedFileOptions, 'cacheSize' | 'retries'> {
  /** Milliseconds until an attempt counts as failed. Default: 30000. */
  readonly timeout?: number
  /** Headers of every request, such as `authorization`. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * A file on a web server, read as needed by range requests, in blocks that are kept. It cannot be written; an overlay over it can.
 * When what the server has changes while it is open, reads fail.
 *
 * @throws typed errors: `'http-url'`; as `rangedFile` of `@machinist/storage`
 */
export async function httpFile(url: string, options: HttpOptions = {}): Promise<RandomAccessFile> {
  const { timeout = 30_000, headers: own, ...rest } = options
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) throw machinistError({ code: 'http-url', part: url, remedy: 'Use http:// or https://.' }, 'is not an HTTP URL')
  const ending = new AbortController()
  return rangedFile(url, {
    ask: (headers) => fetch(url, { headers: { ...own, ...headers }, signal: AbortSignal.any([ending.signal, AbortSignal.timeout(timeout)]) }),
    wait,
    end: () => { ending.abort() },
  }, rest)
}
