/**
 * The host's end of the rows of the network, in a process of its own: what it costs is nobody's. It speaks as `main.c` does; its parent is told the
 * ports of the one that takes and the one that gives.
 */
import { createServer } from 'node:net'

const BLOCK = 65536
const blocks = Number(process.argv[2])

const takes = createServer({ allowHalfOpen: true }, (socket) => {
  let at = 0, right = 0
  const stamp = Buffer.alloc(8)
  socket.on('data', (/** @type {Buffer} */ bytes) => {
    for (let from = 0; from < bytes.length;) {
      const inside = at % BLOCK
      // The number of a block may come in pieces.
      const count = Math.min(bytes.length - from, (inside < 8 ? 8 : BLOCK) - inside)
      if (inside < 8) bytes.copy(stamp, inside, from, from + count)
      if (inside < 8 && inside + count === 8 && Number(stamp.readBigUInt64LE()) === (at - inside) / BLOCK) right++
      at += count
      from += count
    }
  })
  socket.on('end', () => {
    const answer = Buffer.alloc(8)
    answer.writeBigUInt64LE(BigInt(at % BLOCK === 0 ? right : 0))
    socket.end(answer)
  })
  socket.on('error', () => {})
})
const gives = createServer((socket) => {
  let index = 0
  const write = () => {
    while (index < blocks) {
      const block = Buffer.alloc(BLOCK)
      block.writeBigUInt64LE(BigInt(index++))
      if (!socket.write(block)) return void socket.once('drain', write)
    }
    socket.end()
  }
  socket.on('error', () => {})
  write()
})
const ports = []
for (const server of [takes, gives]) {
  await new Promise((done) => { server.listen(0, '127.0.0.1', () => { done(undefined) }) })
  ports.push(/** @type {import('node:net').AddressInfo} */ (server.address()).port)
}
process.send?.(ports)
process.on('disconnect', () => process.exit())
