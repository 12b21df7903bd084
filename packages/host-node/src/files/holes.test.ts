import { closeSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlockPort, BlockStatus } from '@machinist/api'
import { diskFormats, formatNamed, memoryDisk, openOverlayFile, overlay } from '@machinist/storage'
import { afterAll, describe, expect, it } from 'vitest'
import { openDisk, openDiskImage, openFile } from '../index.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-holes-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const MIB = 2 ** 20
const size = 16 * MIB
/** Of a file, what it takes of the host's disk. */
const taken = (path: string): number => statSync(path).blocks * 512
const ask = (submit: (done: (status: BlockStatus) => void) => void): Promise<BlockStatus> => new Promise((resolve) => { submit(resolve) })
const write = (port: BlockPort, offset: number, length: number, value: number): Promise<BlockStatus> => ask((done) => { port.write(offset, [new Uint8Array(length).fill(value)], done) })
const discard = (port: BlockPort, offset: number, length: number): Promise<BlockStatus> => ask((done) => { port.discard?.(offset, length, done) })
const flush = (port: BlockPort): Promise<BlockStatus> => ask((done) => { port.flush(done) })
async function read(port: BlockPort, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  expect(await ask((done) => { port.read(offset, [bytes], done) })).toBe('ok')
  return bytes
}

/** Why holes cannot be made here, or null. */
const without = ((): string | null => {
  const path = join(folder, 'try')
  closeSync(openSync(path, 'w'))
  const file = openFile(path, true)
  void file.close()
  return file.discard === undefined ? 'needs Linux, koffi and a file system with holes' : null
})()

async function make(format: string, parameters: Record<string, string> = {}): Promise<string> {
  const path = join(folder, `${format}${Object.values(parameters).join()}`)
  closeSync(openSync(path, 'w'))
  const file = openFile(path, true)
  await formatNamed(format, diskFormats, path).create?.(file, size, { name: path, parameters })
  await file.close()
  return path
}

describe.skipIf(without !== null)(`what is discarded takes no room on the host${without === null ? '' : `: ${without}`}`, () => {
  it.each([
    ['raw', {}], ['qcow2', {}], ['qcow2', { compat: '0.10' }], ['vmdk', {}], ['vdi', {}], ['vdi', { subformat: 'fixed' }], ['vhd', {}], ['vhd', { subformat: 'fixed' }], ['vhdx', {}],
  ])('%s %o', async (format, parameters) => {
    const path = await make(format, parameters)
    const disk = await openDisk(path, { format })
    const port = disk.connect((callback) => { callback() })
    for (let at = 0; at < 8; at++) expect(await write(port, at * MIB, MIB, at + 1)).toBe('ok')
    expect(await flush(port)).toBe('ok')
    const full = taken(path)
    expect(full).toBeGreaterThanOrEqual(8 * MIB)
    const length = statSync(path).size
    // Not along the blocks of anything.
    expect(await discard(port, MIB + 512, 5 * MIB)).toBe('ok')
    expect(await flush(port)).toBe('ok')
    expect(taken(path)).toBeLessThanOrEqual(full - 5 * MIB + 256 * 1024)
    expect([...new Set(await read(port, MIB + 65536, 4 * MIB))]).toEqual([0])
    expect([(await read(port, MIB, 512))[511], (await read(port, 6 * MIB + 512, 512))[0]]).toEqual([2, 7])
    // Room that is free is used again.
    for (let at = 1; at < 6; at++) expect(await write(port, at * MIB, MIB, at + 11)).toBe('ok')
    expect(await flush(port)).toBe('ok')
    expect(statSync(path).size).toBeLessThanOrEqual(length + 512 * 1024)
    expect(taken(path)).toBeLessThanOrEqual(full + 512 * 1024)
    expect([...new Set(await read(port, 3 * MIB, MIB))]).toEqual([14])
    await disk.close()
    const image = await openDiskImage(path, { format })
    if (image.check !== undefined) expect(await image.check()).toMatchObject({ corruptions: 0, leaks: 0 })
    await image.close()
  })

  it('zeroes are written as holes', async () => {
    const path = await make('raw', {})
    const disk = await openDisk(path, { format: 'raw' })
    const port = disk.connect((callback) => { callback() })
    expect(await write(port, 0, 4 * MIB, 9)).toBe('ok')
    expect(await ask((done) => { port.writeZeroes?.(1000 * 512, 3 * MIB, done) })).toBe('ok')
    expect(taken(path)).toBeLessThanOrEqual(MIB + 65536)
    const bytes = await read(port, 0, 4 * MIB)
    expect([bytes.indexOf(0), bytes.lastIndexOf(0)]).toEqual([1000 * 512, 1000 * 512 + 3 * MIB - 1])
    expect(statSync(path).size).toBe(size)
    await disk.close()
  })

  it('an overlay in a file gives back its clusters', async () => {
    const path = join(folder, 'overlay')
    closeSync(openSync(path, 'w'))
    const disk = overlay(memoryDisk(size), await openOverlayFile(openFile(path, true)))
    const port = disk.connect((callback) => { callback() })
    expect(await write(port, 0, 8 * MIB, 9)).toBe('ok')
    expect(await flush(port)).toBe('ok')
    expect(taken(path)).toBeGreaterThan(8 * MIB)
    expect(await discard(port, MIB, 6 * MIB)).toBe('ok')
    expect(taken(path)).toBeLessThan(2 * MIB + 128 * 1024)
    await disk.close()
  })
})
