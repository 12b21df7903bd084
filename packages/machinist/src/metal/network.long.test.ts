import { createHash, randomFillSync } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImage } from '@machinist/host-metal/build'
import { afterAll, expect, it } from 'vitest'
import { freePort } from '../../test/free-port.ts'
import { hardware } from '../../test/hardware.ts'
import { fleetOf } from '../fleet/file/fleet.ts'
import { guestCommandLine, prepareGuest } from '../guest/index.ts'
import { prepareEngine } from './engine.ts'
import { imageFiles } from './plan.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'machinist-metal-network-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const PROMPT = 'machinist:~# '

/** What whoever listens there says. */
function said(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    connect(port, '127.0.0.1').on('data', (bytes) => { text += bytes.toString() }).on('error', reject).on('close', () => { resolve(text) })
  })
}

it('two Debian guests of a machine file reach each other, and the world by NAT; the world reaches what is forwarded, and shares of the network are set at the monitor', async () => {
  const { kernel, initrd } = await prepareGuest()
  const guest = { kernel, initrd, append: guestCommandLine({ console: 'ttyS0', quiet: true }), memory: '192M', net: 'nat,switch=lan,forward=tcp::8080-10.0.2.15:80' }
  const files = imageFiles(await fleetOf({ machines: { guest1: guest, guest2: guest } }, join(root, 'machines.json')))
  const image = await buildImage({ engine: await prepareEngine(), program: join(root, 'packages/machinist/src/metal/program.ts'), root, files, output: join(folder, 'image') })
  const blob = randomFillSync(new Uint8Array(300_000))
  const server = createHttpServer((_request, response) => { response.end(blob) })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  const forwarded = await freePort()
  const child = hardware(image.path, '-smp', '2', '-netdev', `user,id=net,net=192.168.76.0/24,hostfwd=tcp:127.0.0.1:${forwarded}-:8080`, '-device', 'virtio-net-device,netdev=net')
  let text = ''
  let seen = 0
  let look = (): void => undefined
  let fail: (error: Error) => void = () => undefined
  child.on('close', () => { fail(new Error(`the end came: ${text}`)) })
  child.stdout.on('data', (chunk: string) => {
    text += chunk.replaceAll('\r', '')
    look()
  })
  const after = (what: string): Promise<string> => new Promise((resolve, reject) => {
    look = () => {
      const at = text.indexOf(what, seen)
      if (at < 0) return
      const piece = text.slice(seen, at)
      seen = at + what.length
      look = () => undefined
      resolve(piece)
    }
    fail = reject
    look()
  })
  const type = async (prompt: string, line: string): Promise<string> => {
    child.stdin.write(`${line}\r`)
    return after(prompt)
  }
  /** What a command says at the shell of the guest whose console is shown. */
  const ask = async (command: string): Promise<string> => {
    child.stdin.write(`echo '[be''gin]'; ${command}; echo '[do''ne]'\r`)
    await after('[begin]')
    return after('[done]')
  }
  try {
    await after(PROMPT)
    const listen = 'ip -4 -o addr show dev eth0 >me; (while true; do nc -l -p 80 <me; done) >/dev/null 2>&1 & true'
    await ask(listen)
    child.stdin.write('\u0001n')
    await after('[guest2.')
    await ask(listen)
    expect(await ask(`wget -qO- http://192.168.76.2:${port}/ | md5sum`)).toContain(createHash('md5').update(blob).digest('hex'))
    const pings = await ask('for host in 10.0.2.15 10.0.2.16 192.168.76.2; do ping -c 2 $host | grep -c ttl=; done')
    expect(pings).toMatch(/2\n2\n2\n$/)
    expect(await said(forwarded)).toContain('inet 10.0.2.15/24')
    child.stdin.write('\u0001x')
    await after('machinist> ')
    await type('machinist> ', 'set guest2 network.limit=100000 network.shares=2000')
    expect(await type('machinist> ', 'table')).toMatch(/\bnetwork\b[^]*guest2[^\n]*2000/i)
  } finally {
    child.kill('SIGKILL')
    server.close()
  }
}, 600_000)
