import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { diskFormats, imageDisk, openImage, qcow2 } from '../src/index.ts'
import type { RandomAccessFile } from '../src/index.ts'
import { CrashFile } from './crash-file.ts'
import { done } from './qcow2.ts'
import { generator, noQemu, qemuCheck } from './support.ts'

const BASE = 7

/** Random operations on an image until the power goes; then what was flushed is there, and the image is sound but for leaks. */
export async function crash(seed: number): Promise<void> {
  const random = generator(seed)
  const pick = <T>(...of: T[]): T => of[random(of.length)] as T
  const clusterSize = pick(512, 512, 512, 4096, 65536)
  const parameters = { cluster_size: String(clusterSize), refcount_bits: String(pick(1, 8, 16, 64, 64)) }
  const sectors = clusterSize === 65536 ? 2048 : 1024
  const backed = random(2) === 0
  const baseFile = (): RandomAccessFile => new CrashFile(new Uint8Array(sectors * 256).fill(BASE), random)
  const openFile = () => Promise.resolve({ file: baseFile(), name: 'base', openFile: () => Promise.reject(new Error('none')) })
  const options = { name: 'image', formats: diskFormats, openFile }
  const made = new CrashFile(new Uint8Array(0), random)
  await qcow2.create?.(made, sectors * 512, { name: 'image', parameters, ...(backed && { backing: { name: 'base', format: 'raw', size: sectors * 256 } }) })

  const file = new CrashFile(made.bytes, random, 20 + random(1200))
  const opening = openImage(file, options)
  const opened = await Promise.race([opening, file.crashed.then(() => null)])
  /** By sector: what it may hold after a loss of power, the last of it being what it holds now. */
  const may: number[][] = Array.from({ length: sectors }, (_, sector) => [backed && sector < sectors / 2 ? BASE : 0])
  if (opened !== null) {
    const port = imageDisk(opened).connect((callback) => { callback() })
    let alive = true
    void file.crashed.then(() => { alive = false })
    for (let value = 8; alive; value = value === 255 ? 8 : value + 1) {
      const waiting: Promise<unknown>[] = []
      for (let count = random(5); count >= 0; count--) {
        const first = random(sectors)
        const length = Math.min(sectors - first, 1 + random(pick(4, 64, 400)))
        const kind = random(8)
        const byte = kind < 5 ? value : 0
        for (let sector = first; sector < first + length; sector++) may[sector]!.push(byte)
        waiting.push(done((finish) => {
          if (kind < 5) port.write(first * 512, [new Uint8Array(length * 512).fill(byte)], finish)
          else port.writeZeroes?.(first * 512, length * 512, finish)
        }).then((status) => { expect(status).toBe('ok') }))
      }
      await Promise.race([Promise.all(waiting), file.crashed])
      if (!alive || random(3) > 0) continue
      const status = await Promise.race([done((finish) => { port.flush(finish) }), file.crashed.then(() => null)])
      if (status === null) break
      expect(status).toBe('ok')
      for (let sector = 0; sector < sectors; sector++) may[sector] = may[sector]!.slice(-1)
    }
  }

  const found = file.afterCrash()
  const folder = mkdtempSync(join(tmpdir(), 'machinist-crash-'))
  try {
    const path = join(folder, 'image.qcow2')
    writeFileSync(path, found)
    const about = JSON.stringify({ seed, parameters, backed })
    if (noQemu === null) {
      writeFileSync(join(folder, 'base'), new Uint8Array(sectors * 256))
      expect([0, 3], about).toContain(qemuCheck(path))
    }
    const image = await openImage(new CrashFile(found, random), options)
    expect(await image.check?.(), about).toMatchObject({ corruptions: 0 })
    const bytes = new Uint8Array(sectors * 512)
    expect(await image.read(0, [bytes])).toBe('ok')
    for (let sector = 0; sector < sectors; sector++) {
      const held = bytes.subarray(sector * 512, sector * 512 + 512)
      expect(held.every((byte) => byte === held[0]), `${about} sector ${sector} is torn`).toBe(true)
      expect(may[sector], `${about} sector ${sector}`).toContain(held[0])
    }
    expect(await image.check?.({ repair: 'all' }), about).toMatchObject({ corruptions: 0, leaks: 0 })
    await image.close()
  } finally {
    rmSync(folder, { recursive: true })
  }
}
