/** Machines in Debian's Chromium: Debian boots on both CPUs, with shared memory and without; disks outlive the page; machines of two tabs reach each other. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { microvmCatalogue, virtCatalogue } from '@machinist/boards'
import { collector, nodeHost, openSnapshotFile, saveSnapshotFile } from '@machinist/host-node'
import { instantiateStored } from '@machinist/machine'
import { guestCommandLine, prepareGuest, serveRelay } from '@machinist/machinist'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { MachineDescription, PageMachine } from '../src/index.ts'
import { bundle, openBrowser, serve, type Site, type SiteFile } from './site.ts'

const at = (path: string): string => join(import.meta.dirname, path)
const files = new Map<string, SiteFile>()
let browser: Browser
const sites: Site[] = []

beforeAll(async () => {
  const [riscv, x86, programs] = await Promise.all([
    prepareGuest(), prepareGuest({ architecture: 'amd64' }),
    bundle({ 'page': at('page.ts'), 'riscv.worker': at('../src/riscv.worker.ts'), 'x86.worker': at('../src/x86.worker.ts') }),
  ])
  for (const [path, bytes] of programs) files.set(path, bytes)
  files.set('/', '<!doctype html><title>Machinist</title><script type="module" src="/page.js"></script>')
  files.set('/riscv/kernel', { path: riscv.kernel }).set('/riscv/initrd', { path: riscv.initrd })
  files.set('/x86/kernel', { path: x86.kernel }).set('/x86/initrd', { path: x86.initrd })
  browser = await openBrowser()
})

afterAll(async () => {
  await browser.close()
  for (const site of sites) site.close()
})

const boards = {
  virt: { board: 'virt', kernel: '/riscv/kernel', initrd: '/riscv/initrd', append: guestCommandLine({ console: 'ttyS0', quiet: true }) },
  microvm: { board: 'microvm', kernel: '/x86/kernel', initrd: '/x86/initrd', append: guestCommandLine({ console: 'ttyS0', quiet: true, architecture: 'amd64' }) },
} as const satisfies Record<string, MachineDescription>

/** What the page's program keeps for tests. */
interface OnPage {
  readonly browser: typeof import('../src/index.ts')
  machine: PageMachine
  said: string
}

/** @param relay - where its pages may connect to besides */
async function site(isolated: boolean, relay: string = ''): Promise<Site> {
  const made = await serve(files, { isolated, policy: `default-src 'self'; connect-src 'self' ${relay}; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'`, put: (path, bytes) => { files.set(path, bytes) } })
  sites.push(made)
  return made
}

/** Boots a machine in a page, to its shell. */
async function boot(page: Page, description: MachineDescription, relay?: string): Promise<void> {
  await page.evaluate(async ([given, url]) => {
    const here = globalThis as unknown as OnPage
    here.said = ''
    here.machine = await here.browser.openMachine(given, url === undefined ? {} : { relay: url })
    const decoder = new TextDecoder()
    here.machine.on('output', ({ bytes }) => { here.said += decoder.decode(bytes, { stream: true }) })
    await here.machine.start()
  }, [description, relay] as const)
  await shows(page, '# ')
}

/** Has a machine go on from a snapshot, until it answers. @returns milliseconds */
async function goOn(page: Page, description: MachineDescription): Promise<number> {
  return page.evaluate(async (given) => {
    const here = globalThis as unknown as OnPage
    const began = performance.now()
    here.said = ''
    here.machine = await here.browser.openMachine(given)
    const decoder = new TextDecoder()
    const answered = new Promise<void>((resolve) => {
      here.machine.on('output', ({ bytes }) => {
        here.said += decoder.decode(bytes, { stream: true })
        if (here.said.includes('it answers')) resolve()
      })
    })
    await here.machine.start()
    here.machine.type('echo it "answers"\n')
    await answered
    here.said = ''
    return performance.now() - began
  }, description)
}

/** Waits until the guest has said something, of what it said since it was asked last. */
async function shows(page: Page, text: string): Promise<string> {
  await page.waitForFunction((wanted) => (globalThis as unknown as OnPage).said.includes(wanted), text, { timeout: 240_000, polling: 50 })
  return page.evaluate(() => {
    const here = globalThis as unknown as OnPage
    const { said } = here
    here.said = ''
    return said
  })
}

/** What a command says, without its echo and the next prompt. */
async function ask(page: Page, command: string): Promise<string> {
  await page.evaluate((line) => { (globalThis as unknown as OnPage).machine.type(`echo "b"egin; ${line}; echo "e"nd\n`) }, command)
  const said = await shows(page, 'end\r\n')
  return said.slice(said.indexOf('begin\r\n') + 7, said.lastIndexOf('end\r\n')).replaceAll('\r', '').trimEnd()
}

async function fresh(of: Site, context?: BrowserContext): Promise<Page> {
  const page = await (context ?? await browser.newContext()).newPage()
  page.on('pageerror', (error) => { process.stderr.write(`page: ${error.message}\n`) })
  await page.goto(of.url)
  return page
}

/** Saves the page's machine, has Node.js go on from that and save it in turn, and the page from what Node.js wrote, at a URL. */
async function comesAgain(page: Page, board: 'virt' | 'microvm', isolated: boolean): Promise<void> {
  await ask(page, 'mark=here; echo of the page > /tmp/mark')
  const took = await page.evaluate(async () => {
    const { machine } = globalThis as unknown as OnPage
    const began = performance.now()
    const blob = await machine.snapshot()
    const saved = performance.now() - began
    await fetch('/saved', { method: 'PUT', body: blob })
    await machine.dispose()
    return { saved, size: blob.size }
  })
  const folder = mkdtempSync(join(tmpdir(), 'machinist-snapshot-'))
  const path = join(folder, 'page.snapshot')
  writeFileSync(path, files.get('/saved') as Uint8Array)
  const stored = openSnapshotFile(path)
  const console = collector()
  const machine = instantiateStored(stored, board === 'virt' ? virtCatalogue : microvmCatalogue, nodeHost(), { backends: { 'uart0.console': console } })
  machine.start()
  console.type('cat /tmp/mark; echo $mark "again"; echo of Node > /tmp/mark\n')
  await expect.poll(() => console.text(), { timeout: 60_000 }).toMatch(/of the page\r\nhere again\r\n[^\n]*# /)
  machine.pause()
  const again = join(folder, 'node.snapshot')
  await saveSnapshotFile(machine, again)
  machine.dispose()
  stored.close()
  const bytes = readFileSync(again)
  files.set('/node.snapshot', bytes)
  // Each in a browser's context of its own, which has nothing of the others in its caches.
  const others: number[] = []
  for (let round = 0; round < 4; round++) {
    const other = await fresh(await site(isolated))
    others.push(await goOn(other, { snapshot: '/node.snapshot', ...(board === 'microvm' && { cpu: 'x86' }) }))
    await other.context().close()
  }
  const waited = await goOn(page, { snapshot: '/node.snapshot', ...(board === 'microvm' && { cpu: 'x86' }) })
  process.stderr.write(`${board}, ${isolated ? 'shared' : 'plain'} memory: saved in ${took.saved.toFixed(0)} ms (${(took.size / 1e6).toFixed(1)} MB); a prompt answers ${[...others, waited].map((each) => each.toFixed(0)).join(', ')} ms after a snapshot is opened at a URL (${(bytes.length / 1e6).toFixed(1)} MB)\n`)
  expect(await ask(page, 'cat /tmp/mark; echo $mark')).toBe('of Node\nhere')
  // What is damaged ends nothing but itself.
  files.set('/damaged.snapshot', bytes.map((byte, at) => at === 20 || at === 70_000 ? byte ^ 1 : byte)).set('/short.snapshot', bytes.subarray(0, bytes.length - 1))
  const refused = await page.evaluate(async (names) => Promise.all(names.map((name) => (globalThis as unknown as OnPage).browser.openMachine({ snapshot: name }).then(() => 'opened', (error: unknown) => (error as { code: string }).code))), ['/damaged.snapshot', '/short.snapshot', '/riscv/kernel', '/none'])
  expect(refused).toEqual(['snapshot-damaged', 'snapshot-damaged', 'snapshot-format', 'snapshot-load'])
  rmSync(folder, { recursive: true })
}

describe.each([['isolated', true], ['not isolated', false]] as const)('a page that is %s', (_, isolated) => {
  // The other CPU is the same to either, and slower.
  it.each(isolated ? ['virt', 'microvm'] as const : ['virt'] as const)('boots Debian on %s, which does what is typed, and ends', async (board) => {
    const page = await fresh(await site(isolated))
    expect(await page.evaluate(() => (globalThis as unknown as OnPage).browser.isIsolated())).toBe(isolated)
    const began = performance.now()
    await boot(page, boards[board])
    process.stderr.write(`${board}, ${isolated ? 'shared' : 'plain'} memory: a prompt after ${((performance.now() - began) / 1000).toFixed(1)} s\n`)
    expect(await ask(page, 'uname -m; seq 100 | sha256sum')).toBe(`${board === 'virt' ? 'riscv64' : 'x86_64'}\n93d4e5c77838e0aa5cb6647c385c810a7c2782bf769029e6c420052048ab22bb  -`)
    await comesAgain(page, board, isolated)
    await page.evaluate(() => { (globalThis as unknown as OnPage).machine.type('poweroff\n') })
    expect(await page.evaluate(() => (globalThis as unknown as OnPage).machine.finished())).toEqual({ status: 0, error: null })
    await page.context().close()
  })
})

describe('disks', () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-browser-'))
  afterAll(() => { rmSync(folder, { recursive: true }) })

  it('are kept over reloads, over an image that is read by ranges, and are images that other programs read', async () => {
    const base = join(folder, 'base.qcow2')
    const raw = join(folder, 'base.raw')
    writeFileSync(raw, Buffer.alloc(8 << 20, 'base content. '))
    execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', raw, base])
    files.set('/disks/base.qcow2', { path: base })
    const here = await site(true)
    const context = await browser.newContext()
    const page = await fresh(here, context)
    const machine: MachineDescription = {
      ...boards.virt,
      disks: [{ type: 'disk', path: '/disks/base.qcow2', keep: 'system' }, { type: 'disk', keep: 'data', size: '64M' }, { type: 'disk', path: '/disks/base.qcow2', mode: 'overlay' }],
    }
    await boot(page, machine)
    const read = (disk: string, block: number): string => `dd if=/dev/${disk} bs=4096 skip=${block} count=1 iflag=direct 2>/dev/null | head -c 12`
    const write = (disk: string, block: number): string => `echo 'written here' | dd of=/dev/${disk} bs=4096 seek=${block} conv=sync,fsync 2>/dev/null`
    expect(await ask(page, `${read('vda', 7)}; echo; cat /sys/block/vd[ab]/size`)).toBe('base content\n16384\n131072')
    await ask(page, ['vda', 'vdb', 'vdc'].map((disk) => write(disk, 7)).join('; '))
    // As when the tab is closed: nothing is closed in good order.
    await page.reload()
    await boot(page, machine)
    const all = ['vda', 'vdb', 'vdc'].map((disk) => read(disk, 7)).join('; echo; ')
    expect(await ask(page, `${all}; echo; ${read('vda', 8)}`)).toBe('written here\nwritten here\nbase content\ntent. base c')
    // Another tab cannot have the same disk at the same time.
    const other = await fresh(here, context)
    const refused = await other.evaluate(async (given) => (globalThis as unknown as OnPage).browser.openMachine(given).catch((error: unknown) => (error as { code: string }).code), machine)
    expect(refused).toBe('file-locked')
    const exported = async (name: string): Promise<unknown> => other.evaluate(async (disk) => {
      try {
        const blob = await (globalThis as unknown as OnPage).browser.exportDisk(disk)
        return btoa(Array.from(new Uint8Array(await blob.arrayBuffer()), (byte) => String.fromCharCode(byte)).join(''))
      } catch (error) {
        return { code: (error as { code: string }).code }
      }
    }, name)
    expect(await exported('system')).toEqual({ code: 'file-locked' })
    await page.evaluate(() => (globalThis as unknown as OnPage).machine.dispose())
    for (const name of ['system', 'data']) {
      const image = join(folder, `${name}.qcow2`)
      writeFileSync(image, Buffer.from(await exported(name) as string, 'base64'))
      const plain = join(folder, `${name}.raw`)
      // The image names what it stands on by its path on the server.
      const rebase = name === 'system' ? ['rebase', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', base, image] : ['check', '-q', image]
      execFileSync('qemu-img', rebase)
      execFileSync('qemu-img', ['check', '-q', image])
      execFileSync('qemu-img', ['convert', '-O', 'raw', image, plain])
      expect(execFileSync('dd', [`if=${plain}`, 'bs=4096', 'skip=7', 'count=1'], { stdio: ['ignore', 'pipe', 'ignore'] }).toString('latin1', 0, 12)).toBe('written here')
    }
    expect((await other.evaluate(() => (globalThis as unknown as OnPage).browser.keptDisks())).map(({ name }) => name)).toEqual(['data', 'system'])
    await context.close()
  })
})

it('machines of two tabs are on one network, and one of them reaches by a relay what that was told, and nothing else', async () => {
  const services = await Promise.all(['what it may', 'what it may not'].map(async (says) => {
    const server = createServer((_, response) => { response.end(`${says}\n`) })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    return { server, port: (server.address() as AddressInfo).port }
  }))
  const [told, other] = services.map(({ port }) => port)
  const relay = await serveRelay({ port: 0, network: { service: [`tcp:10.0.2.100:80-127.0.0.1:${told}`] } })
  const url = `ws://127.0.0.1:${relay.port}/`
  const here = await site(true, url)
  const context = await browser.newContext()
  const tabs = await Promise.all([fresh(here, context), fresh(here, context)])
  const lan = { type: 'switch', name: 'lan' }
  await Promise.all(tabs.map((page, at) => boot(page, { ...boards.virt, append: `${boards.virt.append} ip=off`, nets: at === 0 ? [lan, 'relay'] : [lan] }, at === 0 ? url : undefined)))
  const [one, two] = tabs as [Page, Page]
  await ask(one, 'ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up')
  await ask(two, 'ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up')
  expect(await ask(one, 'ping -c 3 -W 5 10.0.0.2 >/dev/null && echo reached')).toBe('reached')

  await ask(one, 'ip link set eth1 up; udhcpc -i eth1 -s /etc/machinist/lease -n -q -t 10 -T 1 >/dev/null 2>&1')
  expect(await ask(one, "ip -4 addr show eth1 | sed -n 's/.*inet \\([0-9./]*\\).*/\\1/p'")).toBe('10.0.2.15/24')
  expect(await ask(one, 'wget -q -O - http://10.0.2.100/')).toBe('what it may')
  for (const place of [`10.0.2.100:${other}`, `10.0.2.2:${other}`, `10.0.2.2:${told}`, '192.0.2.1']) expect(await ask(one, `wget -q -T 5 -O - http://${place}/ || echo refused`), place).toMatch(/refused$/)
  expect(relay.clients).toBe(1)
  await one.evaluate(() => (globalThis as unknown as OnPage).machine.dispose())
  await expect.poll(() => relay.clients).toBe(0)
  // Nobody else's pages may use it.
  const elsewhere = await serveRelay({ port: 0, origins: ['https://example.org'] })
  const warned = await (await fresh(await site(true, `ws://127.0.0.1:${elsewhere.port}/`), context)).evaluate(async ([given, at]) => {
    const machine = await (globalThis as unknown as OnPage).browser.openMachine(given, { relay: at })
    return new Promise<string>((resolve) => { machine.on('warn', ({ message }) => { resolve(message) }) })
  }, [boards.virt, `ws://127.0.0.1:${elsewhere.port}/`] as const)
  expect(warned).toContain('refuses this page')
  expect(elsewhere.clients).toBe(0)
  await context.close()
  await Promise.all([relay.close(), elsewhere.close(), ...services.map(({ server }) => new Promise((resolve) => { server.close(resolve) }))])
})

it.each([['riscv', 281], ['x86', 404]] as const)('the program of the worker for %s has the size that the design note tells, %i KB', (cpu, size) => {
  const program = files.get(`/${cpu}.worker.js`)
  const now = program instanceof Uint8Array ? gzipSync(program, { level: 9 }).length / 1000 : Infinity
  expect(now).toBeLessThan(1.1 * size)
  expect(now).toBeGreaterThan(0.8 * size)
})

it('timers of a worker are not held back to four milliseconds', async () => {
  const page = await fresh(await site(false))
  const waits = await page.evaluate(async () => {
    const loop = (globalThis as unknown as OnPage).browser.browserLoop()
    const all: number[] = []
    for (let turn = 0; turn < 50; turn++) {
      const began = loop.now()
      await new Promise<void>((resolve) => { loop.after(1e6, resolve) })
      all.push((loop.now() - began) / 1e6)
    }
    return all.sort((a, b) => a - b)
  })
  process.stderr.write(`a timer of 1 ms: median ${waits[25]?.toFixed(2)} ms\n`)
  expect(waits[0]).toBeGreaterThanOrEqual(0.9)
  // Where they are held back, each takes four at least.
  expect(waits[10]).toBeLessThan(3.5)
})
