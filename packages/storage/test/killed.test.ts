import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildSync } from 'esbuild'
import { expect, it } from 'vitest'
import { qcow2 } from '../src/index.ts'
import { sectors, steps } from './killed.ts'
import { check, open, readAll } from './qcow2.ts'
import { nodeFile, noQemu, qemuCheck } from './support.ts'

it('a qcow2 image survives its process being killed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-killed-'))
  try {
    const program = join(folder, 'work.mjs')
    buildSync({ entryPoints: [join(import.meta.dirname, 'killed.ts')], outfile: program, bundle: true, platform: 'node', format: 'esm', target: 'node20', conditions: ['@machinist/source'], logLevel: 'error' })
    for (let seed = 1; seed <= 3; seed++) {
      const path = join(folder, `${seed}.qcow2`)
      const file = nodeFile(path)
      await qcow2.create?.(file, sectors * 512, { name: path, parameters: { cluster_size: seed % 2 === 0 ? '512' : '65536', refcount_bits: seed % 3 === 0 ? '64' : '16' } })
      await file.close()
      const child = spawn(process.execPath, [program, path, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] })
      let said = ''
      const killed = new Promise((resolve) => { child.on('exit', resolve) })
      child.stdout.on('data', (text) => {
        said += String(text)
        if (said.split('\n').length > 4 * seed) setTimeout(() => child.kill('SIGKILL'), seed * 7)
      })
      await killed
      const flushed = Number(said.split('\n').slice(0, -1).pop())
      expect(flushed).toBeGreaterThan(0)
      if (noQemu === null) expect([0, 3]).toContain(qemuCheck(path))
      expect(await check(path)).toMatchObject({ corruptions: 0 })
      /** By sector: the last step that was flushed, and those after it that may have been. */
      const may: number[][] = Array.from({ length: sectors }, () => [0])
      for (const { first, count, value } of steps(seed)) {
        for (let sector = first; sector < first + count; sector++) {
          if (value <= flushed) may[sector] = [value]
          else may[sector]!.push(value)
        }
        if (value > flushed + 2000) break
      }
      const image = await open(path)
      const bytes = await readAll(image)
      await image.close()
      for (let sector = 0; sector < sectors; sector++) expect(may[sector], `seed ${seed}, sector ${sector}`).toContain(bytes.readUInt32LE(sector * 512))
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
