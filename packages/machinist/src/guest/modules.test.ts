import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { decompressXz } from './apt.ts'
import { buildInitramfs, initramfsRecipe } from './initramfs.ts'
import { checkModules, modulesAlias, modulesDep } from './modules.ts'
import { readCpio } from '@machinist/boot'

function has(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const module = (name: string, ...depends: string[]) => ({ name, path: `kernel/${name}.ko`, depends, aliases: [`fs-${name}`] })

it('names what a module needs in the order that modprobe expects', () => {
  const modules = [module('crc16'), module('jbd2', 'crc16'), module('mbcache'), module('ext4', 'jbd2', 'mbcache', 'crc16')]
  const lines = modulesDep(modules).split('\n')
  expect(lines[0]).toBe('kernel/crc16.ko:')
  expect(lines[1]).toBe('kernel/jbd2.ko: kernel/crc16.ko')
  const ext4 = lines[3]?.split(' ') ?? []
  expect(ext4[0]).toBe('kernel/ext4.ko:')
  expect([...ext4].sort()).toEqual(['kernel/crc16.ko', 'kernel/ext4.ko:', 'kernel/jbd2.ko', 'kernel/mbcache.ko'])
  // modprobe loads from the end: crc16 must come after the one that needs it.
  expect(ext4.indexOf('kernel/crc16.ko')).toBeGreaterThan(ext4.indexOf('kernel/jbd2.ko'))
  expect(modulesAlias(modules)).toContain('alias fs-ext4 ext4\n')
})

it('refuses names that are not of modules, with those that were meant', async () => {
  const tree = mkdtempSync(join(tmpdir(), 'machinist-modules-'))
  try {
    mkdirSync(join(tree, 'kernel/drivers'), { recursive: true })
    for (const name of ['virtio_blk', 'virtio-gpu', 'nd_pmem']) writeFileSync(join(tree, 'kernel/drivers', `${name}.ko.xz`), '')
    writeFileSync(join(tree, 'modules.builtin'), 'kernel/drivers/virtio/virtio_ring.ko\n')
    await checkModules(tree, ['virtio_blk', 'virtio_gpu', 'virtio_ring'])
    await expect(checkModules(tree, ['virtio_blk', 'nosuch'])).rejects.toMatchObject({ code: 'guest-module', value: 'nosuch', message: expect.stringContaining('All modules are in') as string })
    await expect(checkModules(tree, ['virtio_bkl'])).rejects.toThrow('Did you mean virtio_blk')
    await expect(checkModules(tree, ['pmem'])).rejects.toThrow('Did you mean nd_pmem?')
    await expect(checkModules(tree, [''])).rejects.toMatchObject({ code: 'guest-module' })
  } finally {
    rmSync(tree, { recursive: true })
  }
})

// Without xz to compress, or dpkg to decompress, there is nothing to compare.
it.skipIf(!has('xz') || !has('dpkg-deb'))('decompresses with dpkg what xz compressed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-xz-'))
  try {
    for (const length of [0, 1, 99_999]) {
      const plain = Buffer.from(Array.from({ length }, (_, index) => (index * index) & 255))
      const packed = execFileSync('xz', ['-c', '--check=crc32'], { input: plain })
      expect(plain.equals(await decompressXz(packed, folder))).toBe(true)
    }
    await expect(decompressXz(new Uint8Array(100), folder)).rejects.toMatchObject({ code: 'guest-extract' })
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it('builds a root file system that is the same each time', async () => {
  const small = { kernelRelease: '6.0', busybox: import.meta.filename, moduleFolder: '/', modules: [] }
  const one = await buildInitramfs(small)
  expect(await buildInitramfs(small)).toEqual(one)
  const entries = new Map(readCpio(one).map((entry) => [entry.path, entry]))
  expect(entries.get('init')).toMatchObject({ kind: 'symlink' })
  expect(entries.get('dev/console')).toMatchObject({ kind: 'character', major: 5, minor: 1 })
  expect(entries.get('etc/machinist/start')?.mode).toBe(0o755)
  expect(initramfsRecipe()).toContain('machinist.exec')
})
