/**
 * `node bench/nat.mjs [--bytes N] [--profile FILE]`: what the NAT and the sockets of the host cost by themselves, without a guest's code. A guest
 * that is a few lines of TCP stands at the cable and sends or takes segments of 64 KiB, as Linux does with a device that cuts for it; each is copied
 * once, as the device copies it. The other end is a socket in a process of its own. What is printed is the CPU time of this process, all threads,
 * system calls included, and what it comes to in Gbit for each second of it.
 */
import { fork } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { createServer } from 'node:net'
import { parseArgs } from 'node:util'
import { product } from './product.mjs'

const { allOffloads } = await product('api')
const { nodeSockets } = await product('host-node')
const { nat } = await product('network')

const GUEST = [10, 0, 2, 15], SERVICE = [10, 0, 2, 100]
const GATEWAY_MAC = [0x52, 0x55, 0x0a, 0, 2, 2], GUEST_MAC = [0x52, 0x54, 0, 0x12, 0x34, 0x56]
const HEADERS = 54, MSS = 1460, SCALE = 7, MOST = 65_535 - 40
/** What Linux comes to with tcp_rmem as it is. */
const WINDOW = 3 << 20
const FIN = 1, SYN = 2, ACK = 16

/** @typedef {'up' | 'down'} Way */

/** The other end: sends so many bytes to whoever connects, or tells how many came. @param {Way} way @param {number} bytes */
function peer(way, bytes) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let left = way === 'down' ? bytes : 0, got = 0
    const block = Buffer.alloc(1 << 18)
    const write = () => {
      while (left > 0) {
        const piece = block.subarray(0, left)
        left -= piece.length
        if (!socket.write(piece)) return void socket.once('drain', write)
      }
      socket.end()
    }
    socket.on('data', (piece) => { got += piece.length })
    socket.on('end', () => {
      process.send?.({ got })
      server.close()
    })
    write()
  })
  server.listen(0, '127.0.0.1', () => { process.send?.({ port: /** @type {import('node:net').AddressInfo} */ (server.address()).port }) })
}

/** A frame of the guest, its checksum open. @param {{ port: number, seq: number, ack: number, flags: number, window: number, options?: number[] }} segment @param {Uint8Array} payload */
function frame({ port, seq, ack, flags, window, options = [] }, payload) {
  const headers = HEADERS + options.length
  const bytes = new Uint8Array(headers + payload.length), view = new DataView(bytes.buffer)
  bytes.set([...GATEWAY_MAC, ...GUEST_MAC, 8, 0, 0x45])
  view.setUint16(16, bytes.length - 14)
  bytes.set([64, 6], 22)
  bytes.set([...GUEST, ...SERVICE], 26)
  view.setUint16(34, 5000)
  view.setUint16(36, port)
  view.setUint32(38, seq >>> 0)
  view.setUint32(42, ack >>> 0)
  view.setUint16(46, (headers - 34) << 10 | flags)
  view.setUint16(48, window)
  bytes.set(options, HEADERS)
  bytes.set(payload, headers)
  const segmentation = { kind: /** @type {const} */ ('tcp4'), size: MSS, headerLength: headers, ecn: false }
  return { bytes, trusted: true, checksum: { start: 34, offset: 16 }, ...(payload.length > MSS && { segmentation }) }
}

/**
 * Moves so many bytes, and resolves with the bytes that arrived and the CPU seconds of this process.
 * @param {Way} way @param {number} bytes @returns {Promise<{ moved: number, cpu: number, wall: number, frames: number }>}
 */
async function move(way, bytes) {
  const child = fork(new URL(import.meta.url), ['--peer', way, '--bytes', String(bytes)])
  const { port } = /** @type {{ port: number }} */ (await new Promise((done) => { child.once('message', done) }))
  const told = new Promise((done) => { child.once('message', done) })
  const network = nat(nodeSockets(), { service: [`tcp:10.0.2.100:${port}-127.0.0.1:${port}`] })
  /** @type {(() => void)[]} */
  const queue = []
  // As a machine does between two slices.
  const link = network.connect((work) => { if (queue.push(work) === 1) setImmediate(() => { for (const each of queue.splice(0)) each() }) })
  link.accept(allOffloads)
  const memory = new Uint8Array(4 << 20)
  let next = 1, una = 1, ack = 0, edge = 0, scale = 0, acknowledged = 0, moved = 0, frames = 0
  let opened = false, ended = false, finished = () => {}
  const over = new Promise((done) => { finished = () => { done(undefined) } })
  const say = (/** @type {number} */ flags, payload = memory.subarray(0, 0)) => {
    link.send(frame({ port, seq: next, ack, flags: flags | ACK, window: WINDOW >> SCALE }, payload))
    acknowledged = ack
  }
  const talk = () => {
    if (!opened) return
    if (way === 'down') {
      if (ack !== acknowledged) say(ACK)
      return
    }
    for (;;) {
      // The SYN was number 1.
      const left = 2 + bytes - next, room = Math.min(MOST, edge - next, left)
      if (room <= 0 || (room < MOST && room < left && next > una)) break
      const at = next % (memory.length - MOST)
      say(ACK, memory.subarray(at, at + room))
      next += room
      frames++
    }
    if (next === 2 + bytes && !ended) {
      say(FIN)
      next++
      ended = true
    }
  }
  const readable = () => {
    for (let each = link.receive(); each !== null; each = link.receive()) {
      const { bytes: got } = each
      if (got[12] !== 8 || got[23] !== 6) continue
      const view = new DataView(got.buffer, got.byteOffset), flags = got[47] ?? 0
      const payload = 34 + ((got[46] ?? 0) >> 4) * 4
      if ((flags & 4) !== 0) throw new Error('the NAT ended the connection')
      if ((flags & SYN) !== 0) {
        ack = view.getUint32(38) + 1
        scale = got[61] ?? 0
        opened = true
        next = una = 2
        edge = 2 + view.getUint16(48)
        acknowledged = -1
        continue
      }
      const length = got.length - payload
      una = Math.max(una, view.getUint32(42))
      edge = Math.max(edge, view.getUint32(42) + (view.getUint16(48) << scale))
      if (length > 0) {
        memory.set(got.subarray(payload), moved % (memory.length - MOST))
        frames++
      }
      moved += length
      ack = (ack + length + (flags & FIN)) >>> 0
      if ((flags & FIN) !== 0 && way === 'down') {
        say(FIN)
        finished()
      }
    }
    talk()
  }
  link.listen({ readable, writable() {}, linkChanged() {} })
  const before = process.cpuUsage(), began = performance.now()
  link.send(frame({ port, seq: 1, ack: 0, flags: SYN, window: 65_535, options: [2, 4, MSS >> 8, MSS & 255, 1, 3, 3, SCALE] }, memory.subarray(0, 0)))
  if (way === 'up') moved = /** @type {{ got: number }} */ (await told).got
  else await over
  const { user, system } = process.cpuUsage(before), wall = (performance.now() - began) / 1000
  network.close()
  child.kill()
  return { moved, cpu: (user + system) / 1e6, wall, frames }
}

const { values } = parseArgs({ options: { bytes: { type: 'string', default: String(2 ** 30) }, profile: { type: 'string' }, peer: { type: 'string' } } })
const bytes = Number(values.bytes)
if (values.peer !== undefined) {
  peer(/** @type {Way} */ (values.peer), bytes)
} else {
  const session = new Session()
  session.connect()
  if (values.profile !== undefined) {
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
  }
  for (const way of /** @type {const} */ (['up', 'down'])) {
    await move(way, 64 << 20)
    const { moved, cpu, wall, frames } = await move(way, bytes)
    if (moved !== bytes) throw new Error(`${way}: ${moved} of ${bytes} bytes arrived`)
    console.log(`${way === 'up' ? 'guest to host' : 'host to guest'}: ${bytes} bytes, ${cpu.toFixed(2)} CPU s, ${wall.toFixed(2)} s, ${(bytes * 8 / cpu / 1e9).toFixed(2)} Gbit for each CPU second, ${(bytes / frames / 1024).toFixed(0)} KiB a frame`)
  }
  if (values.profile !== undefined) writeFileSync(values.profile, JSON.stringify((await session.post('Profiler.stop')).profile))
  session.disconnect()
}
