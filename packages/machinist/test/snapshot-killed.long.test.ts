/** A tree of snapshots whose programs are killed before any operation on files: it can be read, and nothing is lost that was reported. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { listSnapshots, SnapshotTree } from '@machinist/host-node'
import { buildSync } from 'esbuild'
import { afterAll, expect, it } from 'vitest'
import { KeptMachine } from './kept-machine.ts'

const root = mkdtempSync(join(tmpdir(), 'machinist-killed-'))
afterAll(() => { rmSync(root, { recursive: true }) })
const noQemu = spawnSync('qemu-img', ['--version']).status !== 0
/** Operations on files of a program that ends by itself, about. */
const OPERATIONS = 1200
const RUNS = Number(process.env['SNAPSHOT_RUNS'] ?? 30)

function bundled(name: string): string {
  const outfile = join(root, `${name}.mjs`)
  buildSync({ entryPoints: [join(import.meta.dirname, `${name}.ts`)], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error', external: ['koffi'] })
  return outfile
}

/** What is known of a tree from what its programs said. */
class Expected {
  /** By name: the value that is in RAM, and those that may be on the disks. */
  readonly snapshots = new Map<string, { readonly ram: number; readonly disk: readonly number[] }>()
  /** What may be there or not: its program was killed while it took or deleted it. */
  readonly doubtful = new Map<string, { readonly ram: number; readonly disk: readonly number[] }>()
  /** On the disks of the machine; several when it was killed between. */
  values: readonly number[] = [0]

  /** Takes what a program said. */
  hear(lines: readonly string[]): void {
    for (const line of lines) {
      const [word = '', what = '', value = ''] = line.split(' ')
      const about = this.snapshots.get(what) ?? this.doubtful.get(what)
      if (word === 'taking') this.doubtful.set(what, value === 'off' ? { ram: 0, disk: this.values } : { ram: Number(value), disk: [Number(value)] })
      if (word === 'took' && about !== undefined) this.snapshots.set(what, about)
      if (word === 'deleting' && about !== undefined) this.doubtful.set(what, about)
      if (word === 'deleting') this.snapshots.delete(what)
      if (word === 'took' || word === 'deleted') this.doubtful.delete(what)
      if (word === 'reverting') this.values = [...this.values, ...about?.disk ?? []]
      if (word === 'writing') this.values = [...this.values, Number(what)]
      if (word === 'wrote') this.values = [Number(what)]
      if (word === 'reverted') this.values = about?.disk ?? []
    }
  }

  /** Looks whether all is there; then nothing is in doubt any more. */
  async check(folder: string): Promise<void> {
    const names = listSnapshots(folder).snapshots.map(({ name }) => name)
    for (const name of this.snapshots.keys()) expect(names).toContain(name)
    for (const name of names) {
      const about = this.snapshots.get(name) ?? this.doubtful.get(name)
      expect(about, name).toBeDefined()
      if (about !== undefined) this.snapshots.set(name, about)
    }
    this.doubtful.clear()
    const now = await SnapshotTree.open(folder)
    if (!noQemu) for (const file of readdirSync(folder).filter((each) => each.endsWith('.qcow2'))) expect(spawnSync('qemu-img', ['check', '-q', join(folder, file)]).status, file).toBe(0)
    const before = await KeptMachine.of(now, false)
    const [, disk = -1] = await before.read(0)
    await before.end()
    expect(this.values).toContain(disk)
    for (const [name, { ram, disk: values }] of this.snapshots) {
      const tree = await SnapshotTree.open(folder)
      await tree.revert(name)
      const machine = await KeptMachine.of(tree, false)
      const [inRam, value = -1, same] = await machine.read(0)
      await machine.end()
      expect([inRam, same], name).toEqual([ram, value])
      expect(values, name).toContain(value)
      this.values = [value]
      this.snapshots.set(name, { ram, disk: this.values })
    }
  }
}

it('a program that works on snapshots may be killed at any moment', async () => {
  const [program, killer] = [bundled('tree-worker'), bundled('kill-at')]
  const folder = join(root, 'tree')
  const path = join(root, 'base.img')
  writeFileSync(path, '')
  truncateSync(path, 4 << 20)
  await (await SnapshotTree.create(folder, [{ name: 'disk0', path }, { name: 'disk1', path }], null)).close()
  const expected = new Expected()
  let state = Number(process.env['SNAPSHOT_SEED'] ?? 1) >>> 0
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
  const ends = { killed: 0, done: 0 }
  for (let run = 0; run < RUNS; run++) {
    const [seed, at] = [random(2 ** 31), 1 + random(OPERATIONS)]
    const { stdout, stderr, signal, status } = spawnSync(process.execPath, ['--import', pathToFileURL(killer).href, program, folder, String(seed)], { encoding: 'utf8', env: { ...process.env, KILL_AT: String(at) } })
    const lines = stdout.split('\n')
    const told = `run ${run}, seed ${seed}, killed before operation ${at}, after ${lines.at(-2) ?? 'nothing'}`
    expect(signal === 'SIGKILL' || status === 0, `${told}: ${stderr}`).toBe(true)
    ends[signal === 'SIGKILL' ? 'killed' : 'done']++
    expected.hear(lines)
    try {
      // Now and then the next program finds what this one left.
      if (run % 3 !== 1 || run === RUNS - 1) await expected.check(folder)
    } catch (error) {
      throw new Error(`${told}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
    // A few are enough to have children.
    for (const name of [...expected.snapshots.keys()].slice(0, run % 3 !== 1 ? -4 : 0)) {
      const tree = await SnapshotTree.open(folder)
      if (!tree.index.current.resume || tree.find(name).id !== tree.index.current.parent) {
        await tree.delete(name)
        expected.snapshots.delete(name)
      }
      await tree.close()
    }
  }
  process.stderr.write(`${ends.killed} killed, ${ends.done} ended by themselves\n`)
  expect(ends.killed).toBeGreaterThan(RUNS / 4)
})
