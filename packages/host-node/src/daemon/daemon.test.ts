import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { machinistError } from '@machinist/api'
import type { HypervisorEvent, MachineSpec } from '@machinist/hypervisor'
import { buildSync } from 'esbuild'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { FakeHypervisor } from '../../test/fake-hypervisor.ts'
import { connectDaemon, type Daemon, type DaemonPaths, daemonPaths, runDaemon, startDaemon } from '../index.ts'
import { privateFolder } from './paths.ts'
import { takeFolder } from './process-lock.ts'
import { serveAtSocket } from './socket-server.ts'
import { StateFolder } from './state-folder.ts'

const root = mkdtempSync(join(tmpdir(), 'machinist-daemon-'))
afterAll(() => { rmSync(root, { recursive: true }) })
let last = 0
const somewhere = (): DaemonPaths => {
  const folder = join(root, String(++last))
  return { socket: join(folder, 'run', 's'), state: join(folder, 'state') }
}
const open: Daemon[] = []
afterEach(async () => { for (const daemon of open.splice(0)) await daemon.shutDown({ machines: 'off' }) })

async function run(paths: DaemonPaths, fake: FakeHypervisor = new FakeHypervisor()): Promise<Daemon> {
  const daemon = await runDaemon({ version: '1.2.3', make: () => fake, paths })
  open.push(daemon)
  return daemon
}

const DEFINITION: Extract<MachineSpec['machine'], { readonly version: 1 }> = {
  version: 1, name: 'm', memory: [{ name: 'ram', base: 0x8000_0000, size: 1 << 20 }], cpu: { kind: 'riscv' }, devices: {}, time: 'real',
  boot: { protocol: 'riscv', kernel: Uint8Array.of(1, 2, 3), initrd: { file: '/initrd' } },
}
const spec = (name: string, more: Partial<MachineSpec> = {}): MachineSpec => ({ name, machine: DEFINITION, ...more })

/** Waits until something is so. */
async function until(is: () => boolean | Promise<boolean>): Promise<void> {
  while (!await is()) await new Promise((resolve) => { setTimeout(resolve, 5) })
}

describe('the hypervisor of a user', () => {
  it('has its files where the environment says', () => {
    expect(daemonPaths({ MACHINIST_SOCKET: '/a', MACHINIST_STATE: '/b', XDG_RUNTIME_DIR: '/c' })).toEqual({ socket: '/a', state: '/b' })
    expect(daemonPaths({ XDG_RUNTIME_DIR: '/c', XDG_STATE_HOME: '/d' })).toEqual({ socket: '/c/machinist/hypervisor.sock', state: '/d/machinist' })
    expect(daemonPaths({})).toEqual({ socket: expect.stringMatching(/\/\.machinist\/run\/hypervisor\.sock$/) as string, state: expect.stringMatching(/\/\.local\/state\/machinist$/) as string })
  })

  it('is reached at a socket that its user alone may use', async () => {
    const paths = somewhere()
    await expect(connectDaemon(paths)).rejects.toMatchObject({ code: 'daemon-off', remedy: 'Start it with: machinist daemon start' })
    await run(paths)
    expect([statSync(paths.socket).mode & 0o777, statSync(join(paths.socket, '..')).mode & 0o777, statSync(paths.state).mode & 0o777]).toEqual([0o600, 0o700, 0o700])
    const client = await connectDaemon(paths)
    expect(await client.status()).toMatchObject({ pid: process.pid, version: '1.2.3', clients: 1, ...paths })
    await client.add(spec('a'))
    await expect(client.add(spec('a'))).rejects.toMatchObject({ code: 'machine-known', part: 'a', remedy: 'Do otherwise.' })
    client.close()
    const other = await connectDaemon(paths)
    expect((await other.machines()).map(({ name }) => name)).toEqual(['a'])
    other.close()
  })

  it('has a socket that is its user\'s from the first moment on', async () => {
    const { socket } = somewhere()
    mkdirSync(join(socket, '..'), { recursive: true })
    const before = process.umask()
    const serving = serveAtSocket(new FakeHypervisor(), socket)
    expect([statSync(socket).mode & 0o777, process.umask()]).toEqual([0o600, before])
    await (await serving).close()
  })

  it('is told of files by where its client is', async () => {
    const paths = somewhere()
    const fake = new FakeHypervisor()
    await run(paths, fake)
    const client = await connectDaemon(paths)
    await client.add({ name: 'a', machine: { file: 'm.json' } })
    await client.add({ name: 'b', machine: { snapshot: 's' } })
    expect(fake.specs().map(({ machine }) => machine)).toEqual([{ file: join(process.cwd(), 'm.json') }, { snapshot: join(process.cwd(), 's') }])
    client.close()
  })

  it('is one: a second is refused; what a dead one left is replaced', async () => {
    const paths = somewhere()
    const first = await run(paths)
    await expect(run(paths)).rejects.toMatchObject({ code: 'daemon-runs', value: process.pid })
    await expect(run({ ...paths, state: somewhere().state })).rejects.toMatchObject({ code: 'daemon-runs' })
    await first.shutDown()
    // A socket that nobody listens at.
    const left = createServer().listen(`${paths.socket}.x`)
    await until(() => left.listening)
    writeFileSync(join(paths.state, 'lock.7'), '{"pid":999999999,"began":""}')
    renameSync(`${paths.socket}.x`, paths.socket)
    left.close()
    await run(paths)
    ;(await connectDaemon(paths)).close()
    expect(readdirSync(paths.state).filter((name) => name.startsWith('lock'))).toEqual(['lock.8'])
  })

  it('refuses a socket at which another program answers, and a path that is too long', async () => {
    const paths = somewhere()
    mkdirSync(join(paths.socket, '..'), { recursive: true, mode: 0o700 })
    const other = createServer((socket) => { socket.end() }).listen(paths.socket)
    await until(() => other.listening)
    await expect(run(paths)).rejects.toMatchObject({ code: 'file-eaddrinuse', part: 'socket' })
    other.close()
    await expect(run({ ...paths, socket: `/tmp/${'x'.repeat(120)}` })).rejects.toMatchObject({ code: 'daemon-path' })
  })

  it('leaves folders that were there as they are, and refuses those that others may write to', () => {
    const folder = join(root, 'there')
    mkdirSync(folder)
    for (const mode of [0o755, 0o700]) {
      chmodSync(folder, mode)
      privateFolder(folder)
      expect(statSync(folder).mode & 0o7777).toBe(mode)
    }
    for (const mode of [0o1777, 0o777, 0o775, 0o757]) {
      chmodSync(folder, mode)
      expect(() => { privateFolder(folder) }).toThrow(expect.objectContaining({ code: 'daemon-folder', value: folder, remedy: expect.stringContaining('MACHINIST_SOCKET') as string }))
      expect(statSync(folder).mode & 0o7777).toBe(mode)
    }
    privateFolder(join(folder, 'new', 'one'))
    expect([join(folder, 'new'), join(folder, 'new', 'one')].map((path) => statSync(path).mode & 0o7777)).toEqual([0o700, 0o700])
  })

  it('sends away whoever speaks another language', async () => {
    const paths = somewhere()
    await run(paths)
    const socket = connect(paths.socket)
    socket.on('error', () => undefined)
    socket.write('GET / HTTP/1.1\r\n\r\n')
    await new Promise((resolve) => { socket.resume().on('close', resolve) })
    ;(await connectDaemon(paths)).close()
  })
})

describe('what it had', () => {
  it('it has again: machines, pools, terms; images are files', async () => {
    const paths = somewhere()
    await run(paths)
    const client = await connectDaemon(paths)
    const resources = { cpu: { shares: 2000, limit: Infinity }, memory: { reservation: 4096 } }
    await client.addPool({ path: 'p', resources })
    await client.addPool({ path: 'p/q' })
    await client.add(spec('b', { pool: 'p/q', restart: 'always', group: 'g' }))
    await client.add(spec('B', { pool: 'p' }))
    await client.add(spec('a'))
    await client.add(spec('gone'))
    await client.set('a', { resources, autostart: false })
    await client.setPool('p/q', { network: { limit: 5 } })
    await client.remove('gone')
    await client.shutDown()
    expect(await client.closed).toMatchObject({ code: 'connection-closed' })
    const fake = new FakeHypervisor()
    await run(paths, fake)
    const again = await connectDaemon(paths)
    expect(await again.pools()).toStrictEqual([{ path: 'p', resources }, { path: 'p/q', resources: { network: { limit: 5 } } }])
    const specs = fake.specs()
    expect(specs.map(({ machine: _, ...more }) => more)).toEqual([{ name: 'b', pool: 'p/q', restart: 'always', group: 'g' }, { name: 'B', pool: 'p' }, { name: 'a', resources, autostart: false }])
    const { kernel, initrd } = (specs[0]?.machine as typeof DEFINITION).boot as { readonly kernel: { readonly file: string }; readonly initrd: unknown }
    expect([...readFileSync(kernel.file)]).toEqual([1, 2, 3])
    expect(initrd).toEqual({ file: '/initrd' })
    expect((await again.machines()).map(({ state }) => state)).toEqual(['created', 'created', 'created'])
    expect((await again.events()).filter(({ kind }) => kind === 'found')).toEqual([])
    again.close()
  })

  it('goes on: what ran is saved and goes on once, what is marked starts, what was off stays off', async () => {
    const paths = somewhere()
    const fake = new FakeHypervisor()
    const daemon = await run(paths, fake)
    const client = await connectDaemon(paths)
    for (const name of ['runs', 'paused', 'off', 'broken']) await client.add(spec(name))
    await client.add(spec('marked', { autostart: true }))
    for (const name of ['runs', 'paused', 'broken']) await client.start(name)
    await client.pause('paused')
    fake.all.get('runs')!.memory = 'precious'
    fake.before = async (call, name) => { if (call === 'save' && name === 'broken') throw new Error('it has a device without a state') }
    const calls: string[] = []
    const { before } = fake
    fake.before = async (call, name) => {
      if (name === 'runs') calls.push(call)
      await before(call, name)
    }
    await client.shutDown({ machines: 'save' })
    expect(calls).toEqual(['pause', 'save', 'stop'])
    await daemon.closed
    const next = new FakeHypervisor()
    await run(paths, next)
    await until(() => next.all.get('paused')?.state === 'paused' && next.all.get('marked')?.state === 'running' && next.all.get('runs')?.state === 'running')
    expect([...next.all.values()].map(({ spec: { name }, state, memory }) => [name, state, memory]))
      .toEqual([['runs', 'running', 'precious'], ['paused', 'paused', 'fresh'], ['off', 'created', ''], ['broken', 'created', ''], ['marked', 'running', 'fresh']])
    await until(() => readdirSync(join(paths.state, 'saved')).length === 0)
    const again = await connectDaemon(paths)
    expect((await again.events('broken')).filter(({ kind }) => kind === 'warning').map(({ text }) => text)).toEqual(['it could not be saved, and is switched off: it has a device without a state'])
    again.close()
  })

  it('a machine that stands still because it waits for room goes on by itself, and one whose processor dies meanwhile is there if it is to be', async () => {
    const paths = somewhere()
    const fake = new FakeHypervisor()
    const daemon = await run(paths, fake)
    const { hypervisor } = daemon
    for (const [name, restart] of [['waits', 'never'], ['lost', 'on-failure'], ['gone', 'never']] as const) {
      await hypervisor.add(spec(name, { restart }))
      await hypervisor.start(name)
    }
    // Its processor paused it, and nobody asked for that.
    fake.all.get('waits')!.state = 'paused'
    fake.all.get('waits')!.memory = 'precious'
    const died = new Set<string>()
    fake.before = async (call, name) => {
      if (call !== 'save' || name === 'waits' || died.has(name)) return
      died.add(name)
      fake.all.get(name)!.state = 'off'
      fake.tell('lost', name)
      throw machinistError({ code: 'processor-lost', part: name, remedy: 'Start it again.' }, 'its processor has gone')
    }
    await daemon.shutDown()
    const next = new FakeHypervisor()
    const again = await run(paths, next)
    await until(() => next.all.get('waits')?.state === 'running' && next.all.get('lost')?.state === 'running')
    expect([...next.all.values()].map(({ spec: { name }, state, memory }) => [name, state, memory])).toEqual([['waits', 'running', 'precious'], ['lost', 'running', 'fresh'], ['gone', 'created', '']])
    expect((await again.hypervisor.events('gone')).filter(({ kind }) => kind === 'warning')).toHaveLength(1)
  })

  it('with the machines off, those marked start alone', async () => {
    const paths = somewhere()
    await run(paths)
    const client = await connectDaemon(paths)
    await client.add(spec('a'))
    await client.add(spec('b', { autostart: true }))
    await client.start('a')
    await expect(client.call('shutDown', { machines: 'burn' })).rejects.toMatchObject({ code: 'parameter' })
    await client.shutDown({ machines: 'off' })
    const next = new FakeHypervisor()
    await run(paths, next)
    await until(() => next.all.get('b')?.state === 'running')
    expect(next.all.get('a')?.state).toBe('created')
  })

  it('a start from what was saved that fails keeps what was saved', async () => {
    const paths = somewhere()
    await run(paths)
    const client = await connectDaemon(paths)
    await client.add(spec('a'))
    await client.start('a')
    await client.shutDown()
    const next = new FakeHypervisor()
    next.before = async (call) => { if (call === 'start') throw new Error('no processor') }
    const daemon = await run(paths, next)
    await until(async () => (await daemon.hypervisor.events('a')).some(({ kind }) => kind === 'warning'))
    await daemon.shutDown()
    const third = new FakeHypervisor()
    await run(paths, third)
    await until(() => third.all.get('a')?.memory === 'fresh')
  })

  /** Machines that ran with something in their memory when their hypervisor ended. */
  async function saved(paths: DaemonPaths, names: readonly string[]): Promise<void> {
    const fake = new FakeHypervisor()
    const daemon = await run(paths, fake)
    for (const name of names) {
      await daemon.hypervisor.add(spec(name))
      await daemon.hypervisor.start(name)
      fake.all.get(name)!.memory = `that of ${name}`
    }
    await daemon.shutDown()
  }
  const keptOf = (paths: DaemonPaths, name: string): unknown => JSON.parse(readFileSync(join(paths.state, 'machines', `${name}.json`), 'utf8'))

  it('one that is started while it waits goes on from what was saved, and so does one that is just going on', async () => {
    const paths = somewhere()
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    await saved(paths, names)
    const next = new FakeHypervisor()
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => { release = resolve })
    const starts: string[] = []
    next.before = async (call, name) => {
      if (call !== 'start') return
      starts.push(name)
      if (name < 'e') await held
    }
    const { hypervisor } = await run(paths, next)
    await until(() => starts.length === 4)
    const first = hypervisor.start('a')
    await hypervisor.start('e')
    expect(next.all.get('e')).toMatchObject({ state: 'running', memory: 'that of e' })
    expect(keptOf(paths, 'e')).toMatchObject({ runs: true, resume: null })
    await hypervisor.stop('f')
    release()
    await first
    await until(() => [...next.all.values()].every(({ state, spec: { name } }) => state === (name === 'f' ? 'off' : 'running')))
    expect([...next.all.values()].map(({ memory }) => memory)).toEqual(['that of a', 'that of b', 'that of c', 'that of d', 'that of e', ''])
    await until(() => readdirSync(join(paths.state, 'saved')).length === 0)
    for (const name of names) expect(keptOf(paths, name)).toMatchObject({ runs: name !== 'f', resume: null })
    expect((await hypervisor.events()).filter(({ kind }) => kind === 'warning')).toEqual([])
  })

  it.each([['before that is noticed', 'start'], ['as that is noticed', 'stop']])('one whose processor dies as it goes on, and that is started anew %s, is no more what was saved', async (_, when) => {
    const paths = somewhere()
    await saved(paths, ['a'])
    const next = new FakeHypervisor()
    const anew = (): void => {
      Object.assign(next.all.get('a')!, { state: 'running', memory: 'fresh' })
      next.tell('restarted', 'a')
    }
    next.before = async (call) => {
      if (call === when) anew()
      if (call === 'start') throw new Error('the processor has gone')
    }
    const { hypervisor } = await run(paths, next)
    await until(async () => (await hypervisor.events('a')).some(({ kind }) => kind === 'warning'))
    await until(() => (keptOf(paths, 'a') as { readonly resume: unknown }).resume === null)
    next.before = async () => undefined
    await hypervisor.stop('a')
    await hypervisor.start('a')
    expect(next.all.get('a')?.memory).toBe('fresh')
  })

  it('one that cannot go on keeps what was saved until it does, or is stopped', async () => {
    const paths = somewhere()
    await saved(paths, ['a', 'b'])
    const next = new FakeHypervisor()
    next.before = async (call) => { if (call === 'start') throw new Error('no processor') }
    const { hypervisor } = await run(paths, next)
    await until(async () => (await hypervisor.events()).filter(({ kind }) => kind === 'warning').length === 2)
    await expect(hypervisor.start('a', '/another')).rejects.toThrow('no processor')
    expect(keptOf(paths, 'a')).toMatchObject({ runs: false, resume: { paused: false } })
    next.before = async () => undefined
    await hypervisor.stop('b')
    for (const name of ['a', 'b']) await hypervisor.start(name)
    expect([...next.all.values()].map(({ memory }) => memory)).toEqual(['that of a', 'fresh'])
    expect(readdirSync(join(paths.state, 'saved'))).toEqual([])
  })

  it('nothing changes a machine between its being saved and switched off', async () => {
    const paths = somewhere()
    const fake = new FakeHypervisor()
    const daemon = await run(paths, fake)
    const { hypervisor } = daemon
    await hypervisor.add(spec('a'))
    await hypervisor.start('a')
    const refused: unknown[] = []
    fake.before = async (call) => {
      if (call !== 'stop') return
      for (const change of [() => hypervisor.resume('a'), () => hypervisor.reset('a'), () => hypervisor.move('a', 0), () => hypervisor.save('a', '/x'), () => hypervisor.start('a')]) {
        await change().then(() => refused.push('done'), (error: unknown) => refused.push((error as { readonly code?: string }).code))
      }
    }
    await daemon.shutDown()
    expect(refused).toEqual(Array.from({ length: 5 }, () => 'daemon-ending'))
  })

  it('a copy is known as one', async () => {
    const paths = somewhere()
    const daemon = await run(paths)
    await daemon.hypervisor.add(spec('a', { autostart: true, restart: 'always' }))
    await daemon.hypervisor.start('a')
    await daemon.hypervisor.fork('a', { name: 'b' })
    await daemon.shutDown()
    const next = new FakeHypervisor()
    await run(paths, next)
    expect(next.specs().map(({ machine: _, ...more }) => more)).toEqual([{ name: 'a', autostart: true, restart: 'always' }, { name: 'b', copyOf: 'a' }])
  })

  it('is in the logs: events and the end of each console outlive a restart', async () => {
    const paths = somewhere()
    const fake = new FakeHypervisor()
    await run(paths, fake)
    const client = await connectDaemon(paths)
    await client.add(spec('a'))
    await client.start('a')
    fake.say('a', `${'x'.repeat(100_000)}the end`)
    await client.shutDown({ machines: 'off' })
    const next = new FakeHypervisor()
    await run(paths, next)
    const again = await connectDaemon(paths)
    expect((await again.events('a')).map(({ kind }) => kind)).toEqual(['added', 'started', 'off', 'added'])
    const heard: Uint8Array[] = []
    const console = await again.console('a', { output: (bytes) => heard.push(bytes), closed() {} })
    await again.start('a')
    await until(() => Buffer.concat(heard).toString().endsWith('fresh\n'))
    expect(Buffer.concat(heard).toString()).toMatch(/^x{65529}the endfresh\n$/)
    console.write(Buffer.from('hi'))
    await until(() => Buffer.concat(heard).toString().endsWith('got hi'))
    expect(statSync(join(paths.state, 'logs', 'a.console')).size).toBeLessThan(140_000)
    again.close()
  })
})

describe('what cannot be written', () => {
  it('is undone, and refused', async () => {
    const paths = somewhere()
    const fake = new FakeHypervisor()
    await run(paths, fake)
    const client = await connectDaemon(paths)
    await client.add(spec('a', { autostart: false }))
    await client.addPool({ path: 'p', resources: { cpu: { shares: 3 } } })
    const before = [structuredClone(fake.specs()), await client.pools()]
    const folder = join(paths.state, 'machines')
    rmSync(folder, { recursive: true })
    writeFileSync(folder, '')
    rmSync(join(paths.state, 'pools.json'))
    mkdirSync(join(paths.state, 'pools.json', 'x'), { recursive: true })
    await expect(client.add(spec('b'))).rejects.toMatchObject({ code: 'file-enotdir' })
    await expect(client.set('a', { autostart: true, restart: 'always', pool: 'p', resources: { network: { limit: 5 } } })).rejects.toMatchObject({ code: 'file-enotdir' })
    await expect(client.setPool('p', { network: { limit: 5 } })).rejects.toMatchObject({ code: expect.stringMatching(/^file-/) as string })
    expect([fake.specs(), await client.pools()]).toEqual(before)
    await expect(client.add(spec('c', { machine: { ...DEFINITION, cpu: { kind: 'riscv', config: { x: new Uint8Array(1) } } } }))).rejects.toMatchObject({ code: 'parameter' })
    expect(fake.specs().map(({ name, autostart }) => [name, autostart])).toEqual([['a', false]])
    rmSync(folder)
    mkdirSync(folder)
    rmSync(join(paths.state, 'pools.json'), { recursive: true })
    client.close()
  })

  it('images stay as long as a damaged file may be that of their machine', async () => {
    const folder = new StateFolder(somewhere().state)
    await folder.keepMachine({ spec: await folder.withImages(spec('a')), order: 1, runs: false, resume: null })
    const file = join(folder.path, 'machines', 'a.json')
    const [image = ''] = readdirSync(join(folder.path, 'images'))
    const whole = readFileSync(file)
    writeFileSync(file, whole.subarray(0, 50))
    expect(folder.read().damaged).toMatchObject([{ file: `${file}.damaged` }])
    expect(folder.read().damaged).toEqual([])
    writeFileSync(file, whole)
    rmSync(`${file}.damaged`)
    expect(folder.read().machines).toHaveLength(1)
    expect([...readFileSync(join(folder.path, 'images', image))]).toEqual([1, 2, 3])
    rmSync(file)
    folder.read()
    expect(existsSync(join(folder.path, 'images', image))).toBe(false)
  })
})

describe('after an end without notice', () => {
  const program = join(root, 'program.mjs')
  buildSync({ entryPoints: [join(import.meta.dirname, '../../test/daemon-program.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
  const command: [string, string] = [process.execPath, program]
  const ended = async (pid: number): Promise<void> => until(() => {
    try {
      process.kill(pid, 0)
      return readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
    } catch {
      return true
    }
  })

  it('it says what it found, has all machines, and what is damaged is put aside', async () => {
    const paths = somewhere()
    const client = await startDaemon({ command, paths })
    const { pid } = await client.status()
    await client.add(spec('a'))
    await client.add(spec('b'))
    await client.add(spec('c', { autostart: true }))
    await client.start('a')
    process.kill(pid, 'SIGKILL')
    await client.closed
    await ended(pid)
    writeFileSync(join(paths.state, 'machines', 'b.json'), '{"format":"machinist hyp')
    writeFileSync(join(paths.state, 'daemon.out'), 'FATAL ERROR: out of memory\n')
    writeFileSync(join(paths.state, 'machines', 'a.json.1.2.part'), '{')
    writeFileSync(join(paths.state, 'saved', 'a.snapshot'), 'old')
    const again = await startDaemon({ command, paths })
    expect((await again.machines()).map(({ name }) => name)).toEqual(['a', 'c'])
    const found = (await again.events()).filter(({ kind }) => kind === 'found')
    const text = (of: HypervisorEvent): string => `${of.name}: ${of.text}`
    expect(found.map(text)).toEqual([
      expect.stringMatching(/^: a damaged file, which was put aside: .*\/b\.json\.damaged \(.*JSON.*\); 2 machines were kept$/),
      expect.stringMatching(/^: a file that was not finished, and was removed: .*\/a\.json\.1\.2\.part$/),
      expect.stringMatching(/^: a saved machine that nobody goes on from, because its machine has run since: .*\/a\.snapshot$/),
      `: the hypervisor before (process ${pid}) ended without notice; 1 of its 2 machines were running; its last words: FATAL ERROR: out of memory`,
      'a: it was running when the hypervisor ended without notice, as if its power had gone; it is off',
    ])
    await until(async () => (await again.machines()).map(({ state }) => state).join() === 'created,running')
    const next = (await again.status()).pid
    process.kill(next, 'SIGTERM')
    await ended(next)
    const third = await startDaemon({ command, paths })
    expect((await third.events()).filter(({ kind }) => kind === 'found').length).toBe(6)
    expect((await third.events()).at(-1)?.text).not.toContain('without notice')
    await third.shutDown({ machines: 'off' })
  })

  it('several that start one at once have the same', async () => {
    const paths = somewhere()
    const clients = await Promise.all(Array.from({ length: 4 }, () => startDaemon({ command, paths })))
    const pids = await Promise.all(clients.map(async (client) => (await client.status()).pid))
    expect(new Set(pids).size).toBe(1)
    for (const client of clients.slice(1)) client.close()
    await clients[0]?.shutDown()
    await ended(pids[0] ?? 0)
  })

  it('one that cannot begin says why', async () => {
    const paths = somewhere()
    const failing: [string, string, string] = [process.execPath, '-e', 'console.error("out of luck"); process.exit(9)']
    await expect(startDaemon({ command: failing, paths })).rejects.toMatchObject({ code: 'daemon-failed', message: expect.stringContaining('status 9: out of luck') as string })
  })

  it('a folder is taken by one of many that find its owner dead', async () => {
    const folder = join(root, 'locks')
    mkdirSync(folder)
    writeFileSync(join(folder, 'lock.3'), '{"pid":999999999,"began":""}')
    const code = `import { takeFolder } from ${JSON.stringify(join(root, 'lock.mjs'))}\nconst taken = takeFolder(process.argv[1])\nconsole.log(typeof taken)\nprocess.stdin.resume()`
    buildSync({ entryPoints: [join(import.meta.dirname, 'process-lock.ts')], outfile: join(root, 'lock.mjs'), bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error' })
    const children = Array.from({ length: 6 }, () => spawn(process.execPath, ['--input-type=module', '-e', code, folder], { stdio: ['pipe', 'pipe', 'inherit'] }))
    const said = await Promise.all(children.map((child) => new Promise<string>((resolve) => { child.stdout.once('data', (text: Buffer) => { resolve(text.toString().trim()) }) })))
    expect(said.sort()).toEqual(['function', 'number', 'number', 'number', 'number', 'number'])
    expect(typeof takeFolder(folder)).toBe('number')
    // They end with their input.
    for (const { stdin } of children) stdin.end()
  })
})
