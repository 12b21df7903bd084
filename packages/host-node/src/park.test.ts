/** What only one can have at a time is given up while a machine moves, and taken back when it stays. */
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, truncateSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend, BlockPort, BlockStatus, Deliver } from '@machinist/api'
import { limited, qcow2 } from '@machinist/storage'
import { nat } from '@machinist/network'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { canLock, Datastore, fileDisk, nodeHost, nodeSockets, openDisk, openFile, unixSockets } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-park-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

/** Milliseconds. */
const PATIENCE = 60_000

const now: Deliver = (callback) => { callback() }
const clock = { now: () => 0, timer: () => ({ arm() {}, cancel() {} }) }

function asked(work: (done: (status: BlockStatus) => void) => void): Promise<BlockStatus> {
  return new Promise((resolve) => { work(resolve) })
}

async function first(port: BlockPort): Promise<number | string> {
  const into = new Uint8Array(512)
  const status = await asked((done) => { port.read(0, [into], done) })
  return status === 'ok' ? into[0] ?? -1 : status
}

const write = (port: BlockPort, value: number): Promise<BlockStatus> => asked((done) => { port.write(0, [new Uint8Array(512).fill(value)], done) })

const codeOf = (error: unknown): unknown => error instanceof Error && 'code' in error ? error.code : String(error)

const kinds: readonly (readonly [name: string, make: (path: string) => Promise<void> | void, open: (path: string) => Backend<BlockPort> | Promise<Backend<BlockPort>>])[] = [
  ['a raw file', (path) => { truncateSync(path, 1 << 20) }, (path) => fileDisk(path)],
  ['a raw file of a definition', (path) => { truncateSync(path, 1 << 20) }, (path) => nodeHost().backend?.({ type: 'disk', path }, 'block', 'disk') as Backend<BlockPort>],
  ['a raw file with limits', (path) => { truncateSync(path, 1 << 20) }, (path) => limited(fileDisk(path), { bytesPerSecond: 1e9 })],
  ['an image', async (path) => {
    const file = openFile(path, true)
    await qcow2.create?.(file, 1 << 20, { name: path })
    await file.close()
  }, (path) => openDisk(path)],
  ['a disk of a datastore', async (path) => {
    rmSync(path)
    await (await Datastore.create(path)).createDisk('disk', 1 << 20)
  }, (path) => Datastore.open(path).openDisk('disk', { whenFull: 'wait' })],
]

describe.skipIf(!canLock()).each(kinds)('%s', (name, make, open) => {
  it('is another machine’s while it is parked, with all that was written, and comes back', async () => {
    const path = join(folder, name)
    closeSync(openSync(path, 'w'))
    await make(path)
    const here = await open(path)
    const port = here.connect(now, clock)
    expect(await write(port, 1)).toBe('ok')
    expect(await Promise.resolve().then(() => open(path)).catch(codeOf)).toBe('file-locked')
    const back = await here.park?.()
    const there = await open(path)
    expect(await first(there.connect(now, clock))).toBe(1)
    await (there.close?.() as unknown)
    await back?.()
    expect(await Promise.resolve().then(() => open(path)).catch(codeOf)).toBe('file-locked')
    expect([await first(port), await write(port, 2), await first(port)]).toEqual([1, 'ok', 2])
    // It moves: what is closed here changes nothing of what the other has written.
    await here.park?.()
    const next = await open(path)
    const nextPort = next.connect(now, clock)
    expect([await first(nextPort), await write(nextPort, 3)]).toEqual([2, 'ok'])
    await (here.close?.() as unknown)
    expect([await write(nextPort, 4), await first(nextPort)]).toEqual(['ok', 4])
    next.close?.()
  })
})

it('a disk stays while copies of it read what it was', async () => {
  const path = join(folder, 'copied')
  closeSync(openSync(path, 'w'))
  truncateSync(path, 1 << 20)
  const disk = fileDisk(path)
  disk.connect(now)
  const copy = disk.fork()
  copy.connect(now)
  expect(() => disk.park?.()).toThrow(/copies read it/)
  await copy.close()
  await disk.park?.()
  await disk.close()
})

it('the socket of a machine is another’s while it is parked, and is left alone then', async () => {
  const path = join(folder, 'sock')
  const port = { accept() {} }
  const here = unixSockets(path)
  here.connect(now).listen(port.accept)
  expect(() => unixSockets(path)).toThrow(/something is there/)
  const back = await here.park?.()
  const there = unixSockets(path)
  there.connect(now).listen(port.accept)
  await vi.waitUntil(() => existsSync(path), PATIENCE)
  there.close?.()
  expect(existsSync(path)).toBe(false)
  await back?.()
  await vi.waitUntil(() => existsSync(path), PATIENCE)
  await here.park?.()
  const next = unixSockets(path)
  next.connect(now).listen(port.accept)
  await vi.waitUntil(() => existsSync(path), PATIENCE)
  here.close?.()
  await new Promise((resolve) => { setTimeout(resolve, 50) })
  expect(existsSync(path)).toBe(true)
  next.close?.()
})

it('ports of the host that are forwarded are another’s while it is parked', async () => {
  const free = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => { free.once('listening', resolve) })
  const address = free.address()
  const number = typeof address === 'object' && address !== null ? address.port : 0
  await new Promise((resolve) => { free.close(resolve) })
  const made = (): ReturnType<typeof nat> => nat(nodeSockets(), { forward: [`tcp:127.0.0.1:${number}-:22`] })
  const answers = (): Promise<string> => new Promise((resolve) => {
    const socket = connect(number, '127.0.0.1', () => {
      socket.destroy()
      resolve('open')
    })
    socket.on('error', (error) => { resolve(String('code' in error ? error.code : error)) })
  })
  const opens = async (): Promise<void> => { await vi.waitUntil(async () => await answers() === 'open', PATIENCE) }
  const here = made()
  here.connect(now, clock)
  await opens()
  const back = await here.park?.()
  expect(await answers()).toBe('ECONNREFUSED')
  const there = made()
  // It would throw in the gate.
  there.connect(now, clock)
  await opens()
  there.close()
  await back?.()
  await opens()
  here.close()
})
