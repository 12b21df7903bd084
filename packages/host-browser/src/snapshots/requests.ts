import type { RangeAnswer, RangeRequests } from './ranged-input.ts'

/** A request of a worker that waits for the answer (XMLHttpRequest, 3.5.6). */
interface WaitingRequest {
  responseType: string
  timeout: number
  readonly status: number
  readonly response: unknown
  open(method: string, url: string, later: false): void
  setRequestHeader(name: string, value: string): void
  getResponseHeader(name: string): string | null
  send(): void
}

/** Milliseconds until an attempt counts as failed. */
const TIMEOUT = 30_000

/** Asks the server of a URL. For workers. */
export function rangeRequests({ href, origin }: URL): RangeRequests {
  const { XMLHttpRequest, location } = globalThis as unknown as { readonly XMLHttpRequest: new () => WaitingRequest; readonly location: { readonly origin: string } }
  // Other origins show their ETag to nobody unless told so, and the browser complains when it is asked for; the time of the last change they show (Fetch, 2.2.2).
  const tagOf = (header: (name: string) => string | null): string | null => (origin === location.origin ? header('etag') : null) ?? header('last-modified')
  const answer = (status: number, bytes: Uint8Array | null, header: (name: string) => string | null): RangeAnswer => ({ status, bytes, range: header('content-range'), tag: tagOf(header) })
  const range = (from: number, to: number): string => `bytes=${from}-${to - 1}`
  return {
    now(from, to) {
      const request = new XMLHttpRequest()
      request.open('GET', href, false)
      request.responseType = 'arraybuffer'
      request.timeout = TIMEOUT
      request.setRequestHeader('range', range(from, to))
      request.send()
      const { response } = request
      return answer(request.status, response instanceof ArrayBuffer ? new Uint8Array(response) : new Uint8Array(), (name) => request.getResponseHeader(name))
    },
    async later(from, to, mostWhole) {
      const response = await fetch(href, { headers: { range: range(from, to) }, signal: AbortSignal.timeout(TIMEOUT) })
      const { status } = response
      return answer(status, await bodyOf(response, status === 206 ? to - from : status === 200 ? mostWhole : 0), (name) => response.headers.get(name))
    },
  }
}

/** @returns null when it is longer than that; the rest is not loaded */
async function bodyOf({ body, headers }: Response, most: number): Promise<Uint8Array | null> {
  if (body === null) return new Uint8Array()
  if (Number(headers.get('content-length')) > most) {
    await body.cancel()
    return null
  }
  const parts: Uint8Array[] = []
  const reader = body.getReader()
  let length = 0
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.length
    if (length > most) {
      await reader.cancel()
      return null
    }
    parts.push(read.value)
  }
  const all = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
