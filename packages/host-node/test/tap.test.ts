import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { promisify } from 'node:util'
import type { NetPort } from '@machinist/api'
import { nat } from '@machinist/network'
import { afterAll, expect, test } from 'vitest'
import { nodeSockets, tap } from '../src/index.ts'

const run = promisify(execFile)
const NAMESPACE = `machinist${process.pid}`
const DEVICE = `mt${process.pid}`.slice(0, 15)

/** Why the test cannot run here; null when it can. It needs a TAP device and a network namespace, and so the rights of root. */
function obstacle(): string | null {
  if (process.getuid?.() !== 0) return 'it needs root, to make a network namespace'
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
    execFileSync('ip', ['netns', 'add', NAMESPACE], { stdio: 'pipe' })
    return null
  } catch (error) {
    return `it needs /dev/net/tun and the command ip: ${error instanceof Error ? error.message.split('\n')[0] ?? '' : ''}`
  }
}

const why = obstacle()
const closing: (() => void)[] = []
afterAll(() => {
  for (const close of closing.splice(0)) close()
  if (why === null) execFileSync('ip', ['netns', 'del', NAMESPACE])
})

/** Carries frames between two ports, as the cable between them. */
function connect(one: NetPort, other: NetPort): void {
  for (const [from, to] of [[one, other], [other, one]] as const) {
    from.accept(to.offloads)
    const carry = (): void => { for (let frame = from.receive(); frame !== null; frame = from.receive()) to.send(frame) }
    from.listen({ readable: carry, writable() {}, linkChanged() {} })
    carry()
  }
}

// In the namespace: sends 24 MiB, reads to the end, and prints the digest of what came.
const CLIENT = `
const socket = require('net').connect({ port: 80, host: '10.0.2.100', allowHalfOpen: true })
const hash = require('crypto').createHash('sha256')
let count = 0
socket.on('data', (bytes) => { count += bytes.length; hash.update(bytes) }).on('end', () => console.log(count + ' ' + hash.digest('hex')))
let left = 24
const write = () => { while (left-- > 0) if (!socket.write(Buffer.alloc(1 << 20, left))) return socket.once('drain', write); socket.end() }
write()
`

test.skipIf(why !== null)(`Linux in a network namespace, behind a TAP device, talks with a NAT${why === null ? '' : `: skipped, ${why}`}`, async () => {
  const sent = createHash('sha256')
  const got = createHash('sha256')
  for (let left = 23; left >= 0; left--) got.update(Buffer.alloc(1 << 20, left))
  const came = createHash('sha256')
  let ended = (): void => {}
  const end = new Promise<void>((done) => { ended = done })
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('end', ended)
    socket.on('data', (bytes) => { came.update(bytes) })
    for (let count = 0; count < 24; count++) {
      const block = Buffer.alloc(1 << 20, 100 + count)
      sent.update(block)
      socket.write(block)
    }
    socket.end()
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  const network = nat(nodeSockets(), { service: [`tcp:10.0.2.100:80-127.0.0.1:${(server.address() as AddressInfo).port}`] })
  const device = tap(DEVICE)
  closing.push(() => {
    server.close()
    network.close()
    device.close?.()
  })
  const soon = (callback: () => void): void => { setImmediate(callback) }
  connect(device.connect(soon), network.connect(soon))
  const ip = (...args: string[]): Promise<unknown> => run('ip', args)
  await ip('link', 'set', DEVICE, 'netns', NAMESPACE)
  await ip('-n', NAMESPACE, 'addr', 'add', '10.0.2.15/24', 'dev', DEVICE)
  await ip('-n', NAMESPACE, 'link', 'set', DEVICE, 'up')
  const { stdout } = await run('ip', ['netns', 'exec', NAMESPACE, process.execPath, '-e', CLIENT], { timeout: 240_000 })
  expect(stdout.trim()).toBe(`${24 << 20} ${sent.digest('hex')}`)
  await end
  expect(came.digest('hex')).toBe(got.digest('hex'))
})
