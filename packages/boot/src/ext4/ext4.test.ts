/** Against file systems that mke2fs writes; and against damage. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { afterAll, describe, expect, it } from 'vitest'
import { findLinux } from '../linux-disk.ts'
import { type Ext4, openExt4 } from './file-system.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-ext4-'))
afterAll(() => rmSync(folder, { recursive: true }))
const MKE2FS = ['/usr/sbin/mke2fs', '/sbin/mke2fs'].find((path) => spawnSync(path, ['-V']).status === 0)

function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const reader = (image: Uint8Array, count?: () => void) => async (offset: number, length: number): Promise<Uint8Array> => {
  count?.()
  return image.slice(offset, offset + length)
}

/** A tree of files, empty and sparse ones among them, and a directory of many names; what is in it, by path. */
function makeTree(root: string, next: (below: number) => number): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  const put = (path: string, bytes: Buffer): void => {
    writeFileSync(join(root, path), bytes)
    files.set(path, bytes)
  }
  for (const name of ['/boot', '/many', '/a', '/a/b']) mkdirSync(join(root, name), { recursive: true })
  for (let index = 0; index < 700; index++) put(`/many/${'long-'.repeat(next(30))}${index}`, Buffer.from(String(index)))
  for (let index = 0; index < 30; index++) {
    const bytes = Buffer.alloc(next(400_000))
    for (let at = 0; at < bytes.length; at += 1 + next(60_000)) bytes[at] = next(256)
    put(`/a/b/${index}`, bytes)
  }
  for (const [version, text] of [['6.9.12-riscv64', 'old'], ['6.12.3-riscv64', 'new']] as const) {
    put(`/boot/vmlinux-${version}`, Buffer.from(text))
    put(`/boot/initrd.img-${version}`, Buffer.from(`initrd ${text}`))
  }
  symlinkSync('/a', join(root, 'absolute'))
  symlinkSync(`../a/${'./'.repeat(60)}b`, join(root, 'many/relative'))
  symlinkSync('loop', join(root, 'loop'))
  return files
}

function image(options: readonly string[], root: string): Buffer {
  const file = join(folder, 'image')
  rmSync(file, { force: true })
  const made = spawnSync(MKE2FS ?? '', ['-q', '-F', '-t', 'ext4', '-U', '01234567-89ab-cdef-0123-456789abcdef', '-L', 'label', ...options, '-d', root, file, '48M'], { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(made.stderr)
  return readFileSync(file)
}

describe.skipIf(MKE2FS === undefined)('a file system of mke2fs (Debian package e2fsprogs)', () => {
  const root = join(folder, 'tree')
  mkdirSync(root)
  const files = makeTree(root, random(1))

  it.each([[[]], [['-b', '1024']], [['-b', '4096', '-O', '^64bit,^flex_bg', '-I', '128']], [['-b', '2048', '-O', '^metadata_csum,^has_journal']]])('is read as it was written: %j', async (options) => {
    const fs = await openExt4(reader(image(options, root))) as Ext4
    expect([fs.uuid, fs.label]).toEqual(['01234567-89ab-cdef-0123-456789abcdef', 'label'])
    for (const [path, bytes] of files) expect(Buffer.compare(await fs.read(path) ?? Buffer.alloc(0), bytes)).toBe(0)
    expect([...await fs.list('/many') ?? []].sort()).toEqual([...files.keys()].filter((path) => path.startsWith('/many')).map((path) => path.slice(6)).concat('relative').sort())
    expect(await fs.resolve('/absolute/../absolute/b/3')).toBe('/a/b/3')
    expect(await fs.resolve('/many/relative/7')).toBe('/a/b/7')
    expect([await fs.resolve('/loop'), await fs.read('/none'), await fs.read('/a'), await fs.list('/a/b/1')]).toEqual([null, null, null, null])
    await expect(fs.read('/a/b/3', 1)).rejects.toThrow('more than 1 bytes')
  })

  it('gives its newest kernel with the initrd of that version, or the one that a link chooses', async () => {
    const plain = await findLinux(await openExt4(reader(image([], root))) as Ext4, 'disk')
    expect([plain.kernelPath, Buffer.from(plain.kernel).toString(), Buffer.from(plain.initrd ?? []).toString()]).toEqual(['/boot/vmlinux-6.12.3-riscv64', 'new', 'initrd new'])
    symlinkSync('boot/vmlinux-6.9.12-riscv64', join(root, 'vmlinuz'))
    const chosen = await findLinux(await openExt4(reader(image([], root))) as Ext4, 'disk')
    expect([chosen.kernelPath, chosen.initrdPath]).toEqual(['/boot/vmlinux-6.9.12-riscv64', '/boot/initrd.img-6.9.12-riscv64'])
  })

  it('that is damaged ends in a typed error or an answer, after bounded work', async () => {
    const sound = image(['-b', '1024'], root)
    const next = random(7)
    // Where the numbers are: superblock, descriptors and inode tables, and the blocks of directories and trees.
    const busy = Array.from({ length: sound.length / 1024 }, (_, block) => block).filter((block) => sound.subarray(block * 1024, block * 1024 + 1024).some((byte) => byte !== 0))
    const refused = new Set<string>()
    for (let round = 0; round < 40; round++) {
      const bytes = Buffer.from(sound)
      for (let hit = 0; hit < 60; hit++) {
        const block = round % 2 === 0 ? busy[next(Math.min(busy.length, 300))] ?? 0 : busy[next(busy.length)] ?? 0
        bytes[block * 1024 + next(1024)] = next(256)
      }
      let reads = 0
      try {
        const fs = await openExt4(reader(bytes, () => { reads++ }))
        for (const path of [...files.keys()].filter((_, index) => index % 40 === round % 40)) await fs?.read(path, 2 ** 20)
        if (fs !== null) await findLinux(fs, 'disk')
      } catch (error) {
        if (!isMachinistError(error)) throw error
        refused.add(error.message)
      }
      expect(reads).toBeLessThan(60_000)
    }
    expect(refused.size).toBeGreaterThan(1)
  })
})

it('is not seen where there is none', async () => {
  expect(await openExt4(reader(new Uint8Array(4096)))).toBeNull()
  expect(await openExt4(reader(new Uint8Array(10)))).toBeNull()
})
