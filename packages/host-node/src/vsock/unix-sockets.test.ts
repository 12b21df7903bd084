import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { VsockPort, VsockStream } from '@machinist/api'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { unixSockets } from './unix-sockets.ts'

let folder = ''
let server: Server | null = null
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'machinist-vsock-')) })
afterEach(() => {
  server?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Sends back what comes, as a device with a slow guest would. */
function echo(stream: VsockStream): void {
  let waiting: Uint8Array = new Uint8Array(0)
  const pump = (): void => {
    for (;;) {
      if (waiting.length === 0) {
        const into = new Uint8Array(3000)
        waiting = into.subarray(0, stream.read(into))
        if (waiting.length === 0) break
      }
      const taken = stream.write(waiting)
      waiting = waiting.subarray(taken)
      if (waiting.length > 0) return
    }
    if (stream.ended) stream.close()
  }
  stream.listen({ readable: pump, writable: pump, failed() {} })
}

/** Connects, says `line`, then sends `bytes`; all that comes back. */
function call(path: string, line: string, bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = createConnection({ path, allowHalfOpen: true })
    const got: Buffer[] = []
    socket.write(line)
    socket.end(bytes)
    socket.on('data', (chunk) => got.push(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => { resolve(Buffer.concat(got)) })
  })
}

it('carries bytes both ways between ports and Unix sockets', async () => {
  const path = join(folder, 'sock')
  const backend = unixSockets(path)
  const port: VsockPort = backend.connect((callback) => { callback() })
  port.listen((guestPort, stream, answered) => {
    if (guestPort !== 7) return answered(null)
    answered(1000)
    echo(stream)
  })
  const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, index) => (index * index) >>> 5))
  const answer = await call(path, 'CONNECT 7\n', bytes)
  expect(answer.subarray(0, 8).toString()).toBe('OK 1000\n')
  expect(answer.subarray(8).equals(bytes)).toBe(true)
  for (const line of ['CONNECT 8\n', 'CONNECT 4294967296\n', 'HELLO\n', `CONNECT ${'0'.repeat(100)}`, '']) expect(await call(path, line, new Uint8Array(0))).toHaveLength(0)

  server = createServer({ allowHalfOpen: true }, (socket) => { socket.pipe(socket) })
  await new Promise<void>((resolve) => { server?.listen(`${path}_80`, resolve) })
  expect(await new Promise((resolve) => { port.connect(81, resolve) })).toBe(null)
  const stream = await new Promise<VsockStream | null>((resolve) => { port.connect(80, resolve) })
  const got: number[] = []
  await new Promise<void>((resolve) => {
    let sent = 0
    const send = (): void => {
      while (sent < bytes.length) {
        const taken = stream?.write(bytes.subarray(sent, sent + 50_000)) ?? 0
        sent += taken
        if (taken < 50_000 && sent < bytes.length) return
      }
      stream?.end()
    }
    const receive = (): void => {
      const into = new Uint8Array(10_000)
      for (let count = stream?.read(into) ?? 0; count > 0; count = stream?.read(into) ?? 0) got.push(...into.subarray(0, count))
      if (stream?.ended === true) resolve()
    }
    stream?.listen({ readable: receive, writable: send, failed: resolve })
    send()
  })
  expect(Buffer.from(got).equals(bytes)).toBe(true)
  backend.close?.()
  expect(existsSync(path)).toBe(false)
})

it('refuses a path that is in use, or no path for a socket', () => {
  writeFileSync(join(folder, 'there'), '')
  for (const path of [join(folder, 'there'), '', 'x'.repeat(97)]) expect(() => unixSockets(path)).toThrow(expect.objectContaining({ code: 'vsock-path' }))
})

it('a copy reaches the host by the same path, and leaves it to the first one', async () => {
  const path = join(folder, 'sock')
  const first = unixSockets(path)
  first.connect((callback) => { callback() }).listen((_port, stream, answered) => {
    answered(1)
    echo(stream)
  })
  const copy = first.fork?.()
  if (copy === undefined) throw new Error('no copy')
  const port = copy.connect((callback) => { callback() })
  port.listen(() => { throw new Error('it listens') })
  server = createServer((socket) => { socket.on('error', () => undefined).end('host') }).listen(`${path}_5`)
  const stream = await new Promise<VsockStream | null>((resolve) => { port.connect(5, resolve) })
  expect(stream).not.toBe(null)
  copy.close?.()
  expect(existsSync(path)).toBe(true)
  expect((await call(path, 'CONNECT 7\n', Buffer.from('x'))).toString()).toBe('OK 1\nx')
  first.close?.()
  expect(existsSync(path)).toBe(false)
})
