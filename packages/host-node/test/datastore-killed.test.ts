import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Datastore } from '../src/index.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-datastore-killed-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const worker = join(folder, 'worker.mjs')
beforeAll(() => build({
  entryPoints: [join(import.meta.dirname, 'datastore-worker.ts')], outfile: worker, bundle: true, platform: 'node', format: 'esm', target: 'node20',
  conditions: ['@machinist/source'], external: ['koffi'], logLevel: 'error', banner: { js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url)" },
}))

it('a process that is killed while it works on a datastore leaves an index with all disks that it told of, and nothing else stays', async () => {
  const store = await Datastore.create(join(folder, 'store'))
  const there = new Set<string>()
  for (let round = 1; round <= 4; round++) {
    const child = spawn(process.execPath, [worker, store.folder, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    // After so many lines, and then at any moment.
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (bytes: Buffer) => {
        text += bytes.toString()
        if (text.split('\n').length > 3 + 7 * round) child.kill('SIGKILL')
      })
      child.on('close', () => { resolve() })
    })
    const lines = text.split('\n')
    expect(lines[0]).toBe('ready')
    for (const line of lines) {
      const [what, name = ''] = line.split(' ')
      if (what === 'made') there.add(name)
      if (what === 'deleting') there.delete(name)
    }
    const { disks } = Datastore.open(store.folder).list()
    const names = disks.map(({ name }) => name)
    for (const name of there) expect(names).toContain(name)
    // Each disk opens, with all that it stands on.
    for (const { name } of disks) await (await store.openDisk(name, { mode: 'ro' })).close()
    await store.createDisk(`between${String(round)}`, 2 ** 20)
    there.add(`between${String(round)}`)
    expect(readdirSync(store.folder).filter((file) => file.endsWith('.qcow2') || file.endsWith('.part')).length).toBe(disks.length + 1)
  }
})
