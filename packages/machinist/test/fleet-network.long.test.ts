/** Booted guests on two threads that are in one network behind one NAT. */
import { createHash, randomFillSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { virt } from '@machinist/boards'
import { nodeLoop, workerProcessor } from '@machinist/host-node'
import { createHypervisor, type OwnHypervisor } from '@machinist/hypervisor'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from './free-port.ts'
import { guestCommandLine, prepareGuest } from '../src/index.ts'

let folder = ''
let program = ''
beforeAll(() => {
  // Where koffi is found.
  folder = mkdtempSync(join(import.meta.dirname, '../node_modules/.fleet-network-'))
  program = join(folder, 'worker.mjs')
  buildSync({ entryPoints: [join(import.meta.dirname, 'fleet-worker.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
})
afterAll(() => { rmSync(folder, { recursive: true }) })

const later = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

/** What whoever listens there says. */
function said(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    connect(port, '127.0.0.1').on('data', (bytes) => { text += bytes.toString() }).on('error', reject).on('close', () => { resolve(text) })
  })
}

/** A guest that runs, and has commands run. */
async function boot(hypervisor: OwnHypervisor, name: string, processor: number, net: { readonly type: string }): Promise<(command: string) => Promise<string>> {
  const { kernel, initrd } = await prepareGuest()
  const machine = virt({ console: 'console', kernel: readFileSync(kernel), initrd: readFileSync(initrd), memory: 128 * 2 ** 20, append: guestCommandLine({ console: 'ttyS0', quiet: true }), nets: [net] }).definition
  await hypervisor.add({ name, machine })
  await hypervisor.move(name, processor)
  await hypervisor.start(name)
  let text = ''
  const console = await hypervisor.console(name, { output: (bytes) => { text += Buffer.from(bytes).toString('latin1').replaceAll('\r', '') }, closed() {} })
  while (!text.includes('root@machinist:~# ')) await later(10)
  let count = 0
  return async (command) => {
    const end = `done-${String(++count)}-`
    text = ''
    console.write(Buffer.from(`${command}; echo do''ne-${String(count)}-\n`))
    while (!text.includes(end)) await later(10)
    return text.slice(text.indexOf('\n') + 1, text.indexOf(end))
  }
}

it('guests on two threads have one DHCP server, reach each other and the world, are reached by a forward, and keep a connection when they move', async () => {
  const blob = randomFillSync(new Uint8Array(400_000))
  /** The second half waits until somebody says so. */
  const halves: ServerResponse[] = []
  const server = createHttpServer((_request, response) => {
    response.setHeader('content-length', blob.length)
    response.write(blob.subarray(0, 200_000))
    halves.push(response)
  })
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  const forwarded = await freePort()
  const net = { type: 'nat', switch: 'lan', service: [`tcp:10.0.2.100:80-127.0.0.1:${String((server.address() as AddressInfo).port)}`], forward: [`tcp:127.0.0.1:${String(forwarded)}-10.0.2.16:7000`] }
  const hypervisor = createHypervisor({ loop: nodeLoop, processors: 2, balance: false, open: () => workerProcessor(program) })
  try {
    const one = await boot(hypervisor, 'one', 0, net)
    const address = 'for i in $(seq 100); do ip -4 -o addr show dev eth0 | grep -q inet && break; sleep 0.1; done; ip -4 -o addr show dev eth0'
    expect(await one(address)).toContain('inet 10.0.2.15/24')
    const two = await boot(hypervisor, 'two', 1, net)
    expect(await two(address)).toContain('inet 10.0.2.16/24')
    expect(await one('ping -c 2 10.0.2.16 | grep -c ttl=')).toMatch(/^2$/m)
    expect(await two('for host in 10.0.2.15 10.0.2.2; do ping -c 2 $host | grep -c ttl=; done')).toMatch(/^2\n2$/m)
    await two('{ echo here | nc -l -p 7000 >/dev/null 2>&1; } & true')
    // It may not listen yet: then the connection ends at once.
    let heard = ''
    for (let tries = 0; heard === '' && tries < 200; tries++) {
      heard = await said(forwarded).catch(() => '')
      if (heard === '') await later(50)
    }
    expect(heard).toBe('here\n')
    const fetched = one('wget -qO- http://10.0.2.100/ | md5sum')
    while (halves.length === 0) await later(10)
    await hypervisor.move('one', 1)
    await hypervisor.move('one', 0)
    halves[0]?.end(blob.subarray(200_000))
    expect(await fetched).toContain(createHash('md5').update(blob).digest('hex'))
    expect(await one('ping -c 2 10.0.2.16 | grep -c ttl=')).toMatch(/^2$/m)
    // What passes is counted for each machine.
    for (const { network } of await hypervisor.machines()) expect(network?.sentBytes).toBeGreaterThan(0)
  } finally {
    hypervisor.close()
    server.closeAllConnections()
    server.close()
  }
}, 600_000)
