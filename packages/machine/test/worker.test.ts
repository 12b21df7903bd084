import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { defineMachine, part } from '../src/index.ts'
import { assemble, constant, fakeCpu, op } from './fake-cpu.ts'
import { gadget, hub } from './fake-devices.ts'

test('a definition crosses to a worker, and the machine is made and runs there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-worker-'))
  try {
    const file = join(folder, 'worker.mjs')
    const root = join(import.meta.dirname, '../../..')
    const built = spawnSync(join(root, 'node_modules/.bin/esbuild'), [
      join(import.meta.dirname, 'worker.ts'), '--bundle', '--platform=node', '--format=esm', '--conditions=@machinist/source', `--outfile=${file}`,
    ], { encoding: 'utf8' })
    expect(built.status, built.stderr).toBe(0)
    const write = (offset: number, value: number): number[] => [...constant(7, 0x1000_0000 + offset), op.li(6, value), op.store(6, 7)]
    const { definition } = defineMachine({
      name: 'remote',
      memory: { base: 0x8000_0000, size: 1 << 20 },
      cpu: part(fakeCpu),
      devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: 0x1000_0000, backends: { console: 'output' } }) },
      boot: { protocol: 'raw', entry: 0x8000_0000, images: [{ name: 'code', at: 0x8000_0000, bytes: assemble([...write(0, 111), ...write(0, 107), ...write(4, 5), op.stop()]) }] },
    })
    const worker = new Worker(file)
    const answer = new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    worker.postMessage(definition)
    expect(await answer).toEqual({ text: 'ok', status: 5, state: 'off' })
    await worker.terminate()
  } finally {
    rmSync(folder, { recursive: true })
  }
})
