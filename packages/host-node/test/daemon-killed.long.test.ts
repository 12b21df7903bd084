/** A hypervisor in the background that is killed before any operation on files: what it answered to is there again, and the list can be read. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { MachineSpec } from '@machinist/hypervisor'
import { buildSync } from 'esbuild'
import { afterAll, expect, it } from 'vitest'
import { type DaemonClient, type DaemonPaths, startDaemon } from '../src/index.ts'

const RUNS = Number(process.env['DAEMON_RUNS'] ?? 60)
/** Operations on files of a run that ends by itself, about. */
const OPERATIONS = 700
const CALLS = 60

const root = mkdtempSync(join(tmpdir(), 'machinist-killed-'))
afterAll(() => { rmSync(root, { recursive: true }) })

function bundled(name: string): string {
  const outfile = join(root, `${name}.mjs`)
  buildSync({ entryPoints: [join(import.meta.dirname, `${name}.ts`)], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
  return outfile
}

let state = Number(process.env['DAEMON_SEED'] ?? 1) >>> 0
function random(below: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor(state / 2 ** 32 * below)
}

/** What is kept of a machine: its shares, or null when there is none. */
type Value = number | null

/** What a hypervisor has answered to, and what it may have done without an answer. */
class Expected {
  readonly machines = new Map<string, Set<Value>>()
  readonly pools = new Map<string, Set<Value>>()
  readonly running = new Set<string>()
  readonly #places: DaemonPaths

  constructor(paths: DaemonPaths) {
    this.#places = paths
  }

  /** Makes a change: until it is answered, what was and what will be are both right. */
  async change(of: Map<string, Set<Value>>, name: string, value: Value, call: () => Promise<void>): Promise<boolean> {
    const before = of.get(name) ?? new Set<Value>([null])
    of.set(name, new Set([...before, value]))
    try {
      await call()
    } catch (error) {
      if ((error as { readonly code?: string }).code !== 'connection-closed') throw error
      return false
    }
    of.set(name, new Set([value]))
    return true
  }

  /** One thing after the other, until the hypervisor is killed or all is done. */
  async work(client: DaemonClient): Promise<void> {
    for (let call = 0; call < CALLS; call++) {
      const name = `m${random(6)}`
      const known = this.machines.get(name)?.has(null) === false
      const shares = 1 + random(5000)
      const pool = `p${random(3)}`
      const there = this.pools.get(pool)?.has(null) === false
      const act = random(6)
      let goesOn = true
      if (act === 0) goesOn = await this.change(this.pools, pool, shares, () => (there ? client.setPool(pool, { cpu: { shares } }) : client.addPool({ path: pool, resources: { cpu: { shares } } })))
      else if (act === 1 && there) goesOn = await this.change(this.pools, pool, null, () => client.removePool(pool))
      else if (!known) goesOn = await this.change(this.machines, name, shares, () => client.add(this.#spec(name, shares)))
      else if (act === 2) {
        goesOn = await this.change(this.machines, name, null, () => client.remove(name))
        this.running.delete(name)
      } else if (act === 3) {
        goesOn = await client.start(name).then(() => true, () => false)
        if (goesOn) this.running.add(name)
      } else goesOn = await this.change(this.machines, name, shares, () => client.set(name, { resources: { cpu: { shares } } }))
      if (!goesOn) return
    }
  }

  #spec(name: string, shares: number): MachineSpec {
    return {
      name, resources: { cpu: { shares } },
      machine: { version: 1, name, memory: [], cpu: { kind: 'riscv' }, devices: {}, time: 'real', boot: { protocol: 'riscv', kernel: new Uint8Array(1000).fill(shares) } },
    }
  }

  /** Looks whether all of it is there; then nothing is in doubt any more. */
  async check(client: DaemonClient): Promise<void> {
    const found = new Map((await client.table()).rows.map(({ name, resources }) => [name, resources.cpu?.shares ?? null]))
    const pools = new Map((await client.pools()).map(({ path, resources }) => [path, resources?.cpu?.shares ?? null]))
    for (const [expected, there] of [[this.machines, found], [this.pools, pools]] as const) {
      for (const [name, values] of expected) {
        const value = there.get(name) ?? null
        expect([...values], `${name} in ${this.#places.state}`).toContain(value)
        expected.set(name, new Set([value]))
      }
      for (const name of there.keys()) expect([...expected.keys()]).toContain(name)
    }
    const events = await client.events()
    const { since } = await client.status()
    const told = events.filter(({ at, kind }) => kind === 'found' && at >= since - 10_000_000_000n)
    expect(told.filter(({ text }) => text.includes('damaged')).map(({ text }) => text)).toEqual([])
    // Those that it answered to have started.
    for (const name of this.running) if (found.has(name)) expect(told.map((event) => event.name), `${name} ran`).toContain(name)
    this.running.clear()
  }
}

it('what it answered to is there after it was killed', async () => {
  const [program, killer] = [bundled('daemon-program'), bundled('kill-at')]
  const paths = { socket: join(root, 's'), state: join(root, 'state') }
  const expected = new Expected(paths)
  const ends = { killed: 0, done: 0 }
  const start = async (at: number | null): Promise<DaemonClient | null> => {
    if (at !== null) process.env['KILL_AT'] = String(at)
    try {
      return await startDaemon({ command: [process.execPath, ...(at === null ? [] : ['--import', pathToFileURL(killer).href]), program], paths })
    } catch (error) {
      if (at === null || (error as { readonly code?: string }).code !== 'daemon-failed') throw error
      return null
    } finally {
      delete process.env['KILL_AT']
    }
  }
  for (let run = 0; run < RUNS; run++) {
    const at = 1 + random(OPERATIONS)
    const first = await start(at)
    if (first !== null) {
      const { pid } = await first.status().catch(() => ({ pid: null }))
      await expected.work(first)
      const killed = await Promise.race([first.closed.then(() => true), first.host().then(() => false, () => true)])
      ends[killed ? 'killed' : 'done']++
      if (!killed && pid !== null) process.kill(pid, 'SIGKILL')
      await first.closed
    } else ends.killed++
    const next = await start(null)
    if (next === null) throw new Error('it did not begin')
    try {
      await expected.check(next)
    } catch (error) {
      throw new Error(`run ${run}, killed before operation ${at}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    await next.shutDown({ machines: 'off' })
    await next.closed
  }
  process.stderr.write(`${ends.killed} killed, ${ends.done} ended by us\n`)
  expect(ends.killed).toBeGreaterThan(RUNS / 4)
})
