/** `--net` of the command, with a guest that uses it. */
import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { nodeSockets } from '@machinist/host-node'
import { afterAll, expect, test } from 'vitest'
import { CLI, freePort, inGuest, machinist, start } from './support.ts'

const closing: (() => void)[] = []
afterAll(() => { for (const close of closing.splice(0)) close() })

/** A server of the host that greets. */
async function greeter(host = '127.0.0.1'): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.end('welcome\n')
  })
  await new Promise<void>((done) => { server.listen(0, host, done) })
  closing.push(() => { server.close() })
  return (server.address() as AddressInfo).port
}

/** Everything that somebody says who is called, and what calls in. */
async function call(host: string, port: number, words: string): Promise<string> {
  return new Promise((done, failed) => {
    let text = ''
    const socket = connect({ host, port, allowHalfOpen: true }, () => { socket.end(words) })
    socket.on('data', (bytes) => { text += bytes.toString() }).on('end', () => { done(text) }).on('error', failed)
  })
}

/** Waits in the guest until somebody listens at a port of TCP there, as /proc/net/tcp tells it. */
const listens = (port: number): string => `until grep -qi ':${port.toString(16)} [0:]* 0A ' /proc/net/tcp /proc/net/tcp6; do usleep 50000; done`

test('a port of the host leads to the guest, by IPv4 and by IPv6', async () => {
  const [four, six] = [await freePort('127.0.0.1'), await freePort('::1')]
  const guest = start(process.execPath, [CLI, 'run', '--net', `nat,forward=tcp:127.0.0.1:${four}-:7000,forward=tcp:[::1]:${six}-[fd00:6d61:6368:696e::15]:7001`, '--exec', [
    // A new address is not used before it is known that nobody else has it.
    'ip -6 addr add fd00:6d61:6368:696e::15/64 dev eth0; while ip -6 addr show dev eth0 | grep -q tentative; do usleep 100000; done',
    'for port in 7000 7001; do nc -l -p $port -e /bin/sh -c "read word; echo guest heard \\$word" & done',
    `${listens(7000)}; ${listens(7001)}; echo ready; wait`,
  ].join('\n')], { input: '' })
  await guest.wait('ready')
  expect(await call('127.0.0.1', four, 'four\n')).toBe('guest heard four\n')
  expect(await call('::1', six, 'six\n')).toBe('guest heard six\n')
  expect(await guest.ended).toMatchObject({ status: 0, stderr: '' })
})

// What answers, what is refused at once, and what is silent, as words.
const PROBE = [
  'ask() { (nc -w 20 $1 $2 </dev/null || echo nothing) 2>/dev/null | head -n 1; }',
  'echo gateway $(ping -c 1 -W 60 10.0.2.2 >/dev/null && echo answers)',
  'echo service $(ask 10.0.2.100 80)',
  'echo world $(ask 192.0.2.1 80)',
  'echo loopback $(ask 10.0.2.2 $PORT)',
  'echo route $(ip route | grep -c default)',
].join('\n')

test('a host-only guest reaches services alone, and an isolated one nothing but the gateway', async () => {
  const port = await greeter()
  const probe = PROBE.replace('$PORT', String(port))
  const only = inGuest(probe, ['--net', `nat,mode=host-only,service=tcp:10.0.2.100:80-127.0.0.1:${port}`])
  const none = inGuest(probe, ['--net', 'nat,mode=isolated'])
  const text = (ended: { readonly stdout: Buffer }): string[] => ended.stdout.toString().trim().split('\n')
  expect(text(await only)).toEqual(['gateway answers', 'service welcome', 'world nothing', 'loopback nothing', expect.stringMatching(/^route /)])
  expect(text(await none)).toEqual(['gateway answers', 'service nothing', 'world nothing', 'loopback nothing', 'route 0'])
  const wrong = await machinist(['--net', `nat,mode=isolated,service=tcp:10.0.2.100:80-127.0.0.1:${port}`, '--exec', 'true'])
  expect(wrong.status).not.toBe(0)
  expect(wrong.stderr).toContain('host-only')
})

/** An address of this host that is not its loopback. */
const own = Object.values(networkInterfaces()).flat().find((each) => each?.family === 'IPv4' && !each.internal)?.address

test.skipIf(own === undefined)(`a guest reaches this host, and pings it, only when that is allowed${own === undefined ? ': skipped, this host has no address but its loopback' : ''}`, async () => {
  const [port, other] = [await greeter('0.0.0.0'), await greeter('0.0.0.0')]
  const sockets = nodeSockets()
  closing.push(() => { sockets.close() })
  // As root, or where net.ipv4.ping_group_range lets this user.
  const pings = sockets.ping?.(Uint8Array.of(127, 0, 0, 1), new Uint8Array(8), () => {}) === true
  const probe = [
    ...PROBE.split('\n').slice(0, 1), `echo own $(ask ${own} ${port})`, `echo other $(ask ${own} ${other})`,
    `echo pings $(ping -c 2 -W 2 ${own} | grep -o "[0-9]* packets received")`,
  ].join('\n')
  const text = async (net: string): Promise<string[]> => (await inGuest(probe, ['--net', net])).stdout.toString().trim().split('\n')
  const [shut, open] = await Promise.all([text('nat'), text(`nat,allow=tcp:${own}:${port},allow=icmp:${own}`)])
  expect(shut).toEqual(['own nothing', 'other nothing', 'pings 0 packets received'])
  expect(open).toEqual(['own welcome', 'other nothing', `pings ${pings ? 2 : 0} packets received`])
})

const DEVICE = `mnet${process.pid}`.slice(0, 15)

/** Why there can be no TAP device here; null when there is one now, with an address. */
function obstacle(): string | null {
  if (process.getuid?.() !== 0) return 'it needs root, to make a TAP device'
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
    execFileSync('ip', ['tuntap', 'add', 'dev', DEVICE, 'mode', 'tap', 'vnet_hdr'], { stdio: 'pipe' })
    closing.push(() => { execFileSync('ip', ['link', 'del', DEVICE]) })
    execFileSync('ip', ['addr', 'add', '198.18.77.1/24', 'dev', DEVICE], { stdio: 'pipe' })
    execFileSync('ip', ['link', 'set', DEVICE, 'up'], { stdio: 'pipe' })
    return null
  } catch (error) {
    return `it needs /dev/net/tun and the command ip: ${error instanceof Error ? error.message.split('\n')[0] ?? '' : ''}`
  }
}

const why = obstacle()

test.skipIf(why !== null)(`a guest is a station at a TAP device of the host${why === null ? '' : `: skipped, ${why}`}`, async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.end('welcome\n')
  })
  await new Promise<void>((done) => { server.listen(0, '198.18.77.1', done) })
  closing.push(() => { server.close() })
  const guest = start(process.execPath, [CLI, 'run', '--net', `tap=${DEVICE}`, '--exec', [
    'ifconfig eth0 198.18.77.2 netmask 255.255.255.0',
    `nc -w 60 198.18.77.1 ${(server.address() as AddressInfo).port}`,
    `nc -l -p 7000 -e /bin/sh -c "read word; echo guest heard \\$word" & ${listens(7000)}; echo ready; wait`,
  ].join('\n')], { input: '' })
  await guest.wait('welcome')
  await guest.wait('ready')
  expect(await call('198.18.77.2', 7000, 'tap\n')).toBe('guest heard tap\n')
  expect(await guest.ended).toMatchObject({ status: 0, stderr: '' })
})

test('a TAP device that cannot be is one line that says what to do', async () => {
  const { status, stderr } = await machinist(['--net', 'tap=no/such', '--exec', 'true'])
  expect(status).not.toBe(0)
  expect(stderr).toContain('no name of an interface')
})
