import { spawn, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { qcow2 } from '@machinist/storage'
import { canLock, fileDisk, type FileLock, openDisk, openDiskImage, openFile } from '../index.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-lock-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

async function image(name: string): Promise<string> {
  const path = join(folder, name)
  closeSync(openSync(path, 'w'))
  const file = openFile(path, true)
  await qcow2.create?.(file, 1 << 20, { name })
  await file.close()
  return path
}

const noQemu = spawnSync('qemu-io', ['--version']).status !== 0

/** Whether a program of QEMU opens an image. */
function qemuIo(path: string, ...options: string[]): string {
  const { status, stdout, stderr } = spawnSync('qemu-io', [...options, '-c', 'read 0 512', path], { encoding: 'utf8' })
  return status === 0 ? 'opens' : /Failed to get (shared )?"[a-z ]+" lock/.test(stderr) ? 'file-locked' : `${stdout}${stderr}`
}

const opens = async (path: string, writable: boolean, lock: FileLock = 'auto'): Promise<string> => {
  try {
    await openFile(path, writable, { lock }).close()
    return 'opens'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}

describe.skipIf(!canLock())('an image that is open', () => {
  it('has one who writes it, or any number who read it, until it is closed', async () => {
    const path = await image('ours')
    const all = async (): Promise<string[]> => [await opens(path, true), await opens(path, false), await opens(path, true, 'off'), await opens(path, false, 'off')]
    const writer = openFile(path, true)
    expect(await all()).toEqual(['file-locked', 'file-locked', 'opens', 'opens'])
    // Who does without a lock has taken none from who has one.
    expect(await opens(path, true)).toBe('file-locked')
    await writer.close()
    const readers = [openFile(path, false), openFile(path, false, { lock: 'on' })]
    expect(await all()).toEqual(['file-locked', 'opens', 'opens', 'opens'])
    for (const reader of readers) await reader.close()
    expect(await opens(path, true, 'on')).toBe('opens')
  })

  it('can be opened anew when its disk was closed, at once when nothing is in flight, and soon otherwise', async () => {
    const path = await image('again')
    for (let round = 0; round < 3; round++) {
      const disk = fileDisk(path)
      disk.connect((callback) => { callback() })
      void disk.close()
      const next = fileDisk(path)
      void next.close()
      // What is in flight, and what closing writes, comes first.
      const busy = await openDisk(path)
      const port = busy.connect((callback) => { callback() })
      const written = new Promise((resolve) => { port.write(0, [new Uint8Array(1 << 20).fill(round + 1)], resolve) })
      void busy.close()
      const after = await openDiskImage(path)
      const bytes = new Uint8Array(512)
      expect([await written, await after.read(4096, [bytes]), bytes[0]]).toEqual(['ok', 'ok', round + 1])
      await after.close()
    }
  })

  it.skipIf(noQemu)('is refused to QEMU as among its own programs', async () => {
    const path = await image('to-qemu')
    const all = (): string[] => [qemuIo(path), qemuIo(path, '-r'), qemuIo(path, '-r', '-U'), qemuIo(path, '-f', 'raw')]
    const writer = await openDiskImage(path, { writable: true })
    expect(all()).toEqual(['file-locked', 'file-locked', 'opens', 'file-locked'])
    expect(spawnSync('qemu-img', ['info', path], { encoding: 'utf8' }).stderr).toContain('lock')
    await writer.close()
    const reader = await openDiskImage(path)
    expect(all()).toEqual(['file-locked', 'opens', 'opens', 'file-locked'])
    await reader.close()
    expect(qemuIo(path)).toBe('opens')
    const free = await openDiskImage(path, { writable: true, lock: 'off' })
    expect(qemuIo(path)).toBe('opens')
    await free.close()
  })

  it.skipIf(noQemu)('by QEMU is refused to us', async () => {
    const path = await image('by-qemu')
    for (const [options, expected] of [[[], ['file-locked', 'file-locked']], [['-r'], ['file-locked', 'opens']], [['-r', '-U'], ['opens', 'opens']]] as const) {
      const other = spawn('qemu-io', [...options, path], { stdio: 'pipe' })
      const ended = new Promise((resolve) => { other.on('close', resolve) })
      const answered = new Promise<void>((resolve) => { other.stdout.on('data', (text) => { if (String(text).includes('read 512')) resolve() }) })
      other.stdin.write('read 0 512\n')
      await answered
      expect([await opens(path, true), await opens(path, false)], options.join()).toEqual(expected)
      expect(await opens(path, true, 'off')).toBe('opens')
      other.stdin.end('quit\n')
      await ended
      expect(await opens(path, true)).toBe('opens')
    }
  })
})
