import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished, vi } from 'vitest'
import { rangeRequests } from './requests.ts'

/** A server, at its URL, and a page of this origin or another one. */
async function served(listener: RequestListener, own: boolean = true): Promise<URL> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
    vi.unstubAllGlobals()
  })
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/it`)
  vi.stubGlobal('location', { origin: own ? url.origin : 'https://example.org' })
  return url
}

it.each([['that tells how long it is', true], ['that does not', false]])('of a file that is too long, on a server without ranges %s, the rest is not loaded', async (_, told) => {
  let sent = 0
  let gone: Promise<unknown> = Promise.resolve()
  const url = await served((_request, response) => {
    gone = once(response, 'close')
    response.writeHead(200, told ? { 'content-length': 2 ** 33 } : {})
    const more = (): void => {
      while (!response.destroyed && response.write(new Uint8Array(65536))) sent += 65536
      response.once('drain', more)
    }
    more()
  })
  expect(await rangeRequests(url).later(0, 100, 1 << 20)).toMatchObject({ status: 200, bytes: null })
  await gone
  expect(sent).toBeLessThan(64 << 20)
})

it('has a whole file that is short enough, a range, and nothing longer than was asked for', async () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => at * 7)
  const url = await served(({ url: path, headers: { range } }, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '')?.map(Number) ?? []
    if (path === '/whole') response.end(bytes)
    else response.writeHead(206, { 'content-range': `bytes ${from}-${to}/100000` }).end(bytes.subarray(from, path === '/long' ? undefined : (to ?? 0) + 1))
  })
  const at = (path: string): ReturnType<typeof rangeRequests> => rangeRequests(new URL(path, url))
  expect((await at('/whole').later(0, 10, bytes.length)).bytes).toEqual(bytes)
  expect((await at('/whole').later(0, 10, bytes.length - 1)).bytes).toBeNull()
  expect(await at('/range').later(50_000, 60_000, 0)).toMatchObject({ status: 206, bytes: bytes.subarray(50_000, 60_000), range: 'bytes 50000-59999/100000' })
  expect((await at('/long').later(50_000, 60_000, 1 << 20)).bytes).toBeNull()
})

it.each([[true, '"one"'], [false, 'Tue, 01 Dec 2026 00:00:00 GMT']])('tells files apart by what a page may see: of its own origin %s', async (own, tag) => {
  const url = await served((_, response) => { response.writeHead(206, { 'etag': '"one"', 'last-modified': 'Tue, 01 Dec 2026 00:00:00 GMT' }).end() }, own)
  expect((await rangeRequests(url).later(0, 1, 0)).tag).toBe(tag)
})
