import { type RandomAccessFile, rangedFile } from '@machinist/storage'

/** Milliseconds until an attempt counts as failed. */
const TIMEOUT = 30_000

/**
 * A file on a web server, read as needed by range requests. One of another origin must say that pages may read it, and its `Content-Range` too (CORS).
 *
 * @throws typed errors, as `rangedFile` of `@machinist/storage`
 */
export function httpFile(url: URL): Promise<RandomAccessFile> {
  const ending = new AbortController()
  const { origin } = (globalThis as unknown as { readonly location: { readonly origin: string } }).location
  return rangedFile(url.href, {
    ask: (headers) => fetch(url, { headers, signal: AbortSignal.any([ending.signal, AbortSignal.timeout(TIMEOUT)]) }),
    wait: (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds) }),
    end: () => { ending.abort() },
  }, { conditional: url.origin === origin })
}
