/** Two booted guests on two threads that share one uplink: what arrives of each is counted where it arrives. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { virt } from '@machinist/boards'
import { nodeLoop, workerProcessor } from '@machinist/host-node'
import { createHypervisor, type OwnHypervisor } from '@machinist/hypervisor'
import { buildSync } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { freePort } from './free-port.ts'
import { guestCommandLine, prepareGuest } from '../src/index.ts'

/** Bytes a second of the uplink: little, so that the guests' own speed is nobody's limit. */
const UPLINK = 600_000
/** Bytes that are counted, of both, before they are compared. */
const COUNTED = 4_000_000

let folder = ''
let program = ''
beforeAll(() => {
  // Where koffi is found.
  folder = mkdtempSync(join(import.meta.dirname, '../node_modules/.uplink-'))
  program = join(folder, 'worker.mjs')
  buildSync({ entryPoints: [join(import.meta.dirname, 'fleet-worker.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
})
const sockets: Socket[] = []
afterAll(() => {
  for (const socket of sockets) socket.destroy()
  rmSync(folder, { recursive: true })
})

const later = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms) })

/** A guest that sends zeros to whoever connects, and what has come of it. */
async function sender(hypervisor: OwnHypervisor, name: string, processor: number, shares: number): Promise<{ readonly bytes: number }> {
  const port = await freePort()
  const { kernel, initrd } = await prepareGuest()
  const machine = virt({
    console: 'console', kernel: readFileSync(kernel), initrd: readFileSync(initrd), memory: 128 * 2 ** 20, append: guestCommandLine({ console: 'ttyS0', quiet: true }),
    nets: [{ type: 'nat', forward: [`tcp:127.0.0.1:${String(port)}-:7000`] }],
  }).definition
  await hypervisor.add({ name, machine, resources: { network: { shares } } })
  await hypervisor.move(name, processor)
  await hypervisor.start(name)
  let text = ''
  const console = await hypervisor.console(name, { output: (bytes) => { text += Buffer.from(bytes).toString('latin1') }, closed() {} })
  while (!/# /.test(text)) await later(10)
  console.write(Buffer.from("nc -l -p 7000 -e cat /dev/zero & echo liste''ning\n"))
  while (!text.includes('listening')) await later(10)
  const got = { bytes: 0 }
  // It may not listen yet: then the connection ends at once.
  for (let tries = 0; got.bytes === 0; tries++) {
    if (tries > 200) throw new Error(`${name} sends nothing: ${text}`)
    const socket = connect({ host: '127.0.0.1', port })
    sockets.push(socket)
    socket.on('error', () => undefined).on('data', (bytes) => { got.bytes += bytes.length })
    await Promise.race([new Promise((resolve) => { socket.once('close', resolve) }), new Promise((resolve) => { socket.once('data', resolve) })])
    await later(100)
  }
  return got
}

it('shares and limits of an uplink hold for what guests on different threads send', async () => {
  const hypervisor = createHypervisor({ loop: nodeLoop, processors: 2, balance: false, capacity: { network: UPLINK }, open: () => workerProcessor(program) })
  try {
    const one = await sender(hypervisor, 'one', 0, 1000)
    const two = await sender(hypervisor, 'two', 1, 2000)
    /** What arrives of each, until enough has arrived, once what was sent before the terms has. */
    const counted = async (): Promise<readonly [number, number]> => {
      await later(5000)
      const [before, other] = [one.bytes, two.bytes]
      while (one.bytes + two.bytes - before - other < COUNTED) await later(50)
      return [one.bytes - before, two.bytes - other]
    }
    const [first, second] = await counted()
    expect(second / first).toBeGreaterThan(2 * 0.75)
    expect(second / first).toBeLessThan(2 * 1.25)
    // A limit leaves the rest to the other, whatever its shares are.
    await hypervisor.set('two', { resources: { network: { limit: UPLINK / 6 } } })
    const [more, less] = await counted()
    expect(more / less).toBeGreaterThan(5 * 0.7)
    expect(more / less).toBeLessThan(5 * 1.3)
    // A reservation comes before shares.
    await hypervisor.set('two', { resources: { network: { limit: Infinity, shares: 10, reservation: UPLINK / 2 } } })
    const [rest, reserved] = await counted()
    expect(reserved / rest).toBeGreaterThan(0.75)
    expect(reserved / rest).toBeLessThan(1.25)
  } finally {
    hypervisor.close()
  }
}, 900_000)
