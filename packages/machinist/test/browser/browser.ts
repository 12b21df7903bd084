/** Opens a page in Debian's Chromium. The page has a program and files, and tells one thing. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildSync } from 'esbuild'

/** A program for browsers, of what packages have for all. What needs Node.js does not get through. */
export function bundle(entry: string): string {
  const { outputFiles: [file] } = buildSync({ entryPoints: [entry], bundle: true, write: false, platform: 'browser', format: 'esm', target: 'es2022', conditions: ['@machinist/source'], logLevel: 'error' })
  return file?.text ?? ''
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/**
 * @param files - what the page may fetch, by path
 * @returns what it posted to `/told`, as JSON
 */
export async function inChromium(program: string, files: ReadonlyMap<string, Uint8Array | string>): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-browser-'))
  let tell: (text: string) => void = () => {}
  let fail: (error: Error) => void = () => {}
  const told = new Promise<string>((resolve, reject) => { [tell, fail] = [resolve, reject] })
  const server = createServer((request, response) => {
    // Shared memory is for pages that nobody else can look into.
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
    const path = request.url ?? '/'
    const file = files.get(path)
    if (path === '/told') void read(request).then(tell)
    else if (path === '/') response.setHeader('Content-Type', 'text/html').write('<!doctype html><title>Machinist</title><script type="module" src="/program.js"></script>')
    else if (path === '/program.js') response.setHeader('Content-Type', 'text/javascript').write(program)
    else if (file !== undefined) response.write(file)
    else response.statusCode = 404
    response.end()
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const browser = spawn('chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', `--user-data-dir=${folder}`, `http://127.0.0.1:${port}/`], { stdio: ['ignore', 'ignore', 'pipe'] })
  let complaint = ''
  browser.stderr.setEncoding('utf8').on('data', (text: string) => { complaint = (complaint + text).slice(-4000) })
  browser.on('error', fail)
  browser.on('exit', (code) => { fail(new Error(`the browser ended, status ${code}: ${complaint}`)) })
  const gone = new Promise((resolve) => { browser.once('close', resolve) })
  try {
    return JSON.parse(await told) as unknown
  } finally {
    browser.kill()
    server.closeAllConnections()
    server.close()
    await gone
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
