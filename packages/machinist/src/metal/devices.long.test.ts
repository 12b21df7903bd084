import { spawn, spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImage } from '@machinist/host-metal/build'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { prepareEngine } from './engine.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'machinist-metal-devices-'))
const path = (name: string): string => join(folder, name)
afterAll(() => { rmSync(folder, { recursive: true }) })

let image = ''
beforeAll(async () => {
  image = (await buildImage({ engine: await prepareEngine(), root, program: join(root, 'packages/host-metal/test/programs/devices.ts'), output: path('image') })).path
})

/** Types each answer when the text before it has come. @returns all that was said, and the exit status */
function talk(machine: string, args: readonly string[], answers: readonly (readonly [after: string, keys: string])[]): Promise<{ readonly text: string; readonly status: number | null }> {
  const child = spawn('qemu-system-riscv64', ['-machine', machine, '-cpu', 'rv64,h=true', '-m', '512M', '-nographic', '-bios', 'default', '-kernel', image, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const left = [...answers]
  let text = ''
  let seen = 0
  return new Promise((resolve, reject) => {
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (chunk: string) => {
      text += chunk
      for (let next = left[0]; next !== undefined; next = left[0]) {
        const at = text.indexOf(next[0], seen)
        if (at < 0) break
        seen = at + next[0].length
        child.stdin.write(next[1])
        left.shift()
      }
    })
    child.on('error', reject)
    child.on('close', (status) => { resolve({ text: text.replaceAll('\r', ''), status }) })
  })
}

it.each(['virt', 'virt,aia=aplic', 'virt,aia=aplic-imsic'])('drives the devices of QEMU\'s %s from TypeScript on the metal: a datastore of Debian\'s making, the network, the line with the monitor, the clock and the switch', async (machine) => {
  const web = randomFillSync(new Uint8Array(2_000_000))
  writeFileSync(path('web.img'), web)
  rmSync(path('store'), { force: true })
  const made = spawnSync('sh', [join(root, 'packages/host-metal/tools/metal-disk'), path('store'), `web=${path('web.img')}`, 'data:4M', `tools=${path('web.img')},ro`], { encoding: 'utf8' })
  expect(made.stderr).toBe('')
  const before = readFileSync(path('store'))
  const { text, status } = await talk(machine, [
    '-global', 'virtio-mmio.force-legacy=false', '-drive', `file=${path('store')},if=none,id=store,format=raw`, '-device', 'virtio-blk-device,drive=store',
    '-netdev', 'user,id=net', '-device', 'virtio-net-device,netdev=net,mac=52:54:00:00:00:01',
  ], [['machinist> ', 'help\r'], ['this list', 'ps\r'], ['no machines', 'table\r'], ['thrown on purpose', 'off\r']])
  const said = text.slice(text.indexOf('board: ')).split('\n')
  expect(said[0]).toBe('board: 1 lines, 1 disks, 1 networks, 0 problems')
  const clock = Number(/^clock ([0-9]+)$/.exec(said[1] ?? '')?.[1])
  expect(Math.abs(clock / 1e6 - Date.now())).toBeLessThan(600_000)
  expect(said.slice(2, 9)).toEqual([
    'image web 2097152 writable', 'image data 4194304 writable', 'image tools 2097152 read-only', 'copied ok ok ok', 'gateway 52:55:a:0:2:2', 'the line says grüß Gott', 'This is the monitor; help lists its commands.',
  ])
  expect(text).toMatch(/console NAME +the console of a machine[^]*There are no machines\.[^]*RangeError: thrown on purpose\n +at table \(packages\/host-metal\/test\/programs\/devices\.ts:[0-9]+/)
  expect(status).toBe(3)
  // What it wrote is where Debian's tools look for it, and nothing else has changed.
  before.set(web.subarray(1000, 301_000), 3 * 2 ** 20 + 5000)
  expect(readFileSync(path('store')).equals(before)).toBe(true)
})
