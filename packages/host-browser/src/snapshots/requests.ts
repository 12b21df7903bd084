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
  // Other origins show it to nobody unless told so, and the browser complains when it is asked for.
  const tagOf = (header: (name: string) => string | null): string | null => origin === location.origin ? header('etag') ?? header('last-modified') : null
  const answer = (status: number, body: unknown, header: (name: string) => string | null): RangeAnswer => ({ status, bytes: body instanceof ArrayBuffer ? new Uint8Array(body) : new Uint8Array(), range: header('content-range'), tag: tagOf(header) })
  const range = (from: number, to: number): string => `bytes=${from}-${to - 1}`
  return {
    now(from, to) {
      const request = new XMLHttpRequest()
      request.open('GET', href, false)
      request.responseType = 'arraybuffer'
      request.timeout = TIMEOUT
      request.setRequestHeader('range', range(from, to))
      request.send()
      return answer(request.status, request.response, (name) => request.getResponseHeader(name))
    },
    async later(from, to) {
      const response = await fetch(href, { headers: { range: range(from, to) }, signal: AbortSignal.timeout(TIMEOUT) })
      return answer(response.status, await response.arrayBuffer(), (name) => response.headers.get(name))
    },
  }
}
