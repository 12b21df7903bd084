/** A web site for tests: programs, files with ranges, with or without isolation, and Debian's Chromium that looks at it. */
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { build } from 'esbuild'
import { type Browser, chromium } from 'playwright-core'

/** What stands at a path: bytes, text, or the path of a file. */
export type SiteFile = Uint8Array | string | { readonly path: string }

export interface Site {
  readonly url: string
  /** Requests so far, as `GET /path range`. */
  readonly requests: readonly string[]
  close(): void
}

const TYPES: Readonly<Record<string, string>> = { html: 'text/html', js: 'text/javascript', css: 'text/css', json: 'application/json' }

export interface SiteOptions {
  /** Shared memory is for pages that no other origin can look into. */
  readonly isolated: boolean
  readonly policy?: string
  /** Takes what pages put. */
  readonly put?: (path: string, bytes: Uint8Array) => void
}

/** Serves files at their paths. */
export async function serve(files: ReadonlyMap<string, SiteFile>, { isolated, policy, put }: SiteOptions): Promise<Site> {
  const requests: string[] = []
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = new URL(request.url ?? '/', 'http://host').pathname
    const { range } = request.headers
    requests.push(`${request.method} ${path} ${range ?? ''}`.trim())
    if (request.method === 'PUT' && put !== undefined) {
      const parts: Uint8Array[] = []
      request.on('data', (part: Uint8Array) => { parts.push(part) }).on('end', () => {
        put(path, Buffer.concat(parts))
        response.writeHead(204).end()
      })
      return
    }
    const file = files.get(path)
    if (file === undefined) {
      response.writeHead(404).end()
      return
    }
    const bytes = typeof file === 'string' ? Buffer.from(file) : file instanceof Uint8Array ? file : readFileSync(file.path)
    response.setHeader('content-type', TYPES[path.split('.').at(-1) ?? ''] ?? (path === '/' ? 'text/html' : 'application/octet-stream'))
    response.setHeader('etag', `"${bytes.length}"`)
    if (isolated) {
      response.setHeader('cross-origin-opener-policy', 'same-origin')
      response.setHeader('cross-origin-embedder-policy', 'require-corp')
    }
    if (policy !== undefined) response.setHeader('content-security-policy', policy)
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
    if (first === undefined) {
      response.writeHead(200, { 'content-length': bytes.length }).end(bytes)
      return
    }
    const part = bytes.subarray(Number(first), Number(last) + 1)
    response.writeHead(206, { 'content-range': `bytes ${first}-${Number(first) + part.length - 1}/${bytes.length}`, 'content-length': part.length }).end(part)
  }
  const server = createServer(answer)
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Programs for browsers, of what packages have for all. What needs Node.js does not get through. */
export async function bundle(entries: Readonly<Record<string, string>>): Promise<ReadonlyMap<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: { ...entries }, outdir: '/', bundle: true, write: false, minify: true, platform: 'browser', format: 'esm', target: 'es2022', conditions: ['@machinist/source'], loader: { '.css': 'text' }, logLevel: 'error',
  })
  return new Map(outputFiles.map(({ path, contents }) => [path, contents]))
}

/** Debian's Chromium. */
export function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] })
}
