/** IPv6 from end to end: Debian's guest, as it comes, behind the NAT. Needs riscv64-linux-gnu-gcc (Debian's gcc-riscv64-linux-gnu). */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { CLI, inGuest, scratch, start } from './support.ts'

const closing: (() => void)[] = []
afterAll(() => { for (const close of closing.splice(0)) close() })

const PREFIX = 'fd00:6d61:6368:696e:'
/** An address that this host gets for a while, so that it has one that is not its loopback. */
const OWN = 'fd77:6d61:6368:1::77'

async function serve(host: string, talk: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    talk(socket)
  })
  await new Promise<void>((done, failed) => { server.on('error', failed).listen(0, host, done) })
  closing.push(() => { server.close() })
  return (server.address() as AddressInfo).port
}

/** Why this host has no IPv6 that a guest could reach; null when it has. */
function obstacle(): string | null {
  if (process.getuid?.() !== 0) return 'it needs root, to give this host an address'
  try {
    execFileSync('ip', ['-6', 'addr', 'add', `${OWN}/128`, 'dev', 'lo'], { stdio: 'pipe' })
    closing.push(() => { execFileSync('ip', ['-6', 'addr', 'del', `${OWN}/128`, 'dev', 'lo']) })
    return null
  } catch (error) {
    return `it needs IPv6 and the command ip: ${error instanceof Error ? error.message.split('\n')[0] ?? '' : ''}`
  }
}

/** Answers any question with `count` addresses of IPv6. */
async function resolver(count: number): Promise<string> {
  const answer = (query: Buffer): Buffer => {
    let end = 12
    while ((query[end] ?? 0) !== 0) end += 1 + (query[end] ?? 0)
    const question = query.subarray(0, end + 5)
    const header = Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, 0x80, 0, 1, 0, count, 0, 0, 0, 0]), question.subarray(12)])
    const record = (index: number): Buffer => Buffer.from([0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0x20, 1, 0x0d, 0xb8, ...Array<number>(11).fill(0), index + 1])
    return Buffer.concat([header, ...Array.from({ length: question.readUInt16BE(end + 1) === 28 ? count : 0 }, (_, index) => record(index))])
  }
  const udp = createSocket('udp6')
  udp.on('message', (query, from) => { udp.send(answer(query), from.port, from.address) })
  await new Promise<void>((done) => { udp.bind(0, '::1', done) })
  closing.push(() => { udp.close() })
  return `[::1]:${udp.address().port}`
}

/** Linux looks at a link that came up once in a second: then come its addresses of IPv6. */
const AWAIT = 'i=0; while [ $i -lt 3000 ] && ! ip -6 addr show dev eth0 | grep -q "scope global"; do sleep 0.1; i=$((i + 1)); done'

test('a guest has an address and a router by itself, reaches services, and asks for names', async () => {
  const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * index) >>> 9))
  const sum = createHash('md5').update(bytes).digest('hex')
  const down = await serve('::1', (socket) => { socket.end(bytes) })
  let heard = ''
  const up = await serve('::1', (socket) => {
    const md5 = createHash('md5')
    socket.on('data', (chunk) => md5.update(chunk)).on('end', () => {
      heard = md5.digest('hex')
      socket.end('thanks\n')
    })
  })
  const net = ['nat', ...[[80, down], [81, up]].map(([port, to]) => `service=tcp:[${PREFIX}:100]:${port}-[::1]:${to}`),
    `resolver=${await resolver(3)}`].join()
  const { status, stdout } = await inGuest([
    AWAIT,
    'ip -6 addr show dev eth0 scope global | grep -o "fd00:6d61:6368:696e:[0-9a-f:]*/64"',
    'ip -6 route | grep -c "default via fe80::"',
    `ping -6 -c 2 -W 60 ${PREFIX}:2 | grep -o "[0-9]* packets received"`,
    `nc -w 60 ${PREFIX}:100 80 </dev/null >/tmp/down; md5sum </tmp/down`,
    `nc -w 60 ${PREFIX}:100 81 </tmp/down`,
    `for at in 10.0.2.3 ${PREFIX}:3; do nslookup -type=AAAA example.test $at | grep -c 2001:db8::; done`,
    'ip addr show dev eth0 | grep -c "inet 10.0.2.15/24"',
  ].join('\n'), ['--net', net])
  expect(stdout.toString().split('\n')).toEqual([
    expect.stringMatching(/^fd00:6d61:6368:696e:[0-9a-f:]+\/64$/), '1', '2 packets received', `${sum}  -`, 'thanks', '3', '3', '1', '',
  ])
  expect([status, heard]).toEqual([0, sum])
})

/** A socket that sends back what it gets, and one's port that is closed. */
async function echoAt(host: string): Promise<{ readonly port: number, readonly shut: number }> {
  const [echo, shut] = await Promise.all([0, 1].map(async () => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    await new Promise<void>((done) => { socket.bind(0, host, done) })
    return socket
  })) as [ReturnType<typeof createSocket>, ReturnType<typeof createSocket>]
  echo.on('message', (message, from) => { echo.send(message, from.port, from.address) })
  closing.push(() => { echo.close() })
  const ports = { port: echo.address().port, shut: shut.address().port }
  shut.close()
  return ports
}

test('datagrams of every size go to the host and back, and a closed port is refused, by IPv4 and IPv6', async () => {
  const folder = scratch()
  const source = fileURLToPath(new URL('guest-programs/datagrams.c', import.meta.url))
  execFileSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-o', join(folder, 'datagrams'), source])
  const [four, six] = [await echoAt('127.0.0.1'), await echoAt('::1')]
  const net = [
    'nat', `service=udp:10.0.2.100:9-127.0.0.1:${four.port}`, `service=udp:10.0.2.100:10-127.0.0.1:${four.shut}`,
    `service=udp:[${PREFIX}:100]:9-[::1]:${six.port}`, `service=udp:[${PREFIX}:100]:10-[::1]:${six.shut}`,
  ].join()
  const sizes = [1, 1232, 1452, 1473, 9000, 65_467, 65_468, 65_500, 65_507]
  const { status, stdout } = await inGuest([
    AWAIT, 'mount -t 9p share /mnt', `/mnt/datagrams 10.0.2.100 9 ${sizes.join(' ')} 65508`, `/mnt/datagrams ${PREFIX}:100 9 ${sizes.join(' ')} 65527`,
    `/mnt/datagrams 10.0.2.100 10 5`, `/mnt/datagrams ${PREFIX}:100 10 5`,
  ].join('\n'), ['--net', net, '--share', folder])
  const same = sizes.map((size) => `${size} same`)
  expect(stdout.toString().trim().split('\n')).toEqual([...same, '65508 Message too long', ...same, '65527 same', '5 Connection refused', '5 Connection refused'])
  expect(status).toBe(0)
})

const why = obstacle()

test.skipIf(why !== null)(`a guest reaches an address of this host by IPv6 only when that is allowed${why === null ? '' : `: skipped, ${why}`}`, async () => {
  const port = await serve(OWN, (socket) => { socket.end('welcome\n') })
  const probe = `${AWAIT}\n(nc -w 30 ${OWN} ${port} </dev/null || echo nothing) 2>/dev/null`
  const text = async (net: string): Promise<string> => (await inGuest(probe, ['--net', net])).stdout.toString()
  expect(await Promise.all([text('nat'), text(`nat,allow=tcp:[${OWN}]:${port}`)])).toEqual(['nothing\n', 'welcome\n'])
})

test('a guest that stays does so with IPv6 when its lease of IPv4 is renewed', async () => {
  const guest = start(process.execPath, [CLI, 'run', '--exec', [
    AWAIT, 'interface=eth0 /etc/machinist/lease deconfig',
    'ip addr show dev eth0 | grep -c "inet "; ip addr show dev eth0 | grep -c "inet6 "',
  ].join('\n')], { input: '' })
  expect((await guest.ended).stdout.toString()).toBe('0\n2\n')
})
