/** A kernel is found in images of all formats. Needs Debian's package e2fsprogs. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDiskImage } from '@machinist/host-node'
import { diskFormats, formatForNew } from '@machinist/storage'
import { Random } from '@machinist/testkit'
import { afterAll, describe, expect, it } from 'vitest'
import { parseCommand } from '../arguments.ts'
import { convertDisk } from '../disk/create.ts'
import { runDisk } from '../disk/disk.ts'
import { bootDisk, isDiskImage } from './boot-disk.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-boot-disk-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const MKE2FS = ['/usr/sbin/mke2fs', '/sbin/mke2fs'].find((path) => spawnSync(path, ['-V']).status === 0)
const EXTENSIONS = diskFormats.flatMap(({ extensions }) => extensions)

describe('the image of a disk', () => {
  it.each([...EXTENSIONS, 'ext4', 'QCOW2'])('is known by its name: .%s', (extension) => {
    expect(isDiskImage(`a.b/c.${extension}`)).toBe(true)
    const path = `https://example.org/c.${extension}`
    expect(parseCommand([`${path},overlay,files=none`])).toMatchObject({ options: { bootDisk: { path, mode: 'overlay', files: 'none' }, disks: [{ path, mode: 'overlay', files: 'none' }] } })
  })

  it.each(['m.json', 'm.mjs', './qcow2', 'a.img/m.ts', 'm.json,overlay'])('is not %s', (path) => {
    expect(parseCommand([path])).toMatchObject({ options: { machineFile: path, disks: [] } })
  })

  it.skipIf(MKE2FS === undefined)('has its kernel read, whatever its format', async () => {
    const random = new Random(1)
    const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, () => random.below(256)))
    const [kernel, initrd] = [bytes(300_001), bytes(50_003)]
    mkdirSync(join(folder, 'tree/boot'), { recursive: true })
    writeFileSync(join(folder, 'tree/boot/vmlinux-1'), kernel)
    writeFileSync(join(folder, 'tree/boot/initrd.img-1'), initrd)
    const raw = join(folder, 'disk.ext4')
    const made = spawnSync(MKE2FS ?? '', ['-q', '-F', '-t', 'ext4', '-d', join(folder, 'tree'), raw, '16M'], { encoding: 'utf8' })
    expect(made).toMatchObject({ status: 0 })
    const found = async (path: string): Promise<unknown> => {
      const boot = await bootDisk(path)
      return [boot.kernelPath, kernel.equals(boot.kernel), boot.initrd !== null && initrd.equals(boot.initrd)]
    }
    const expected = ['/boot/vmlinux-1', true, true]
    expect(await found(raw)).toEqual(expected)
    const source = await openDiskImage(raw)
    // Those that can be made.
    for (const extension of EXTENSIONS.filter((each) => diskFormats.every(({ extensions, create }) => create !== undefined || !extensions.includes(each)))) {
      const path = join(folder, `other.${extension}`)
      await convertDisk(source, raw, path, formatForNew(path), { force: false })
      expect(await found(path), extension).toEqual(expected)
    }
    await source.close()
    // In the second partition of a disk.
    const [parts, whole] = [join(folder, 'parts.img'), readFileSync(raw)]
    const divided = Buffer.alloc(whole.length + (2 << 20))
    whole.copy(divided, 1 << 20)
    ;[[0x0c, 64, 128], [0x83, 2048, whole.length / 512]].forEach(([type = 0, first = 0, count = 0], index) => {
      divided[446 + 16 * index + 4] = type
      divided.writeUInt32LE(first, 446 + 16 * index + 8)
      divided.writeUInt32LE(count, 446 + 16 * index + 12)
    })
    divided.writeUInt16LE(0xaa55, 510)
    writeFileSync(parts, divided)
    expect(await found(parts)).toEqual(expected)
    const base = join(folder, 'other.qcow2')
    await runDisk({ action: 'create', file: join(folder, 'top.qcow2'), backing: base, parameters: {}, force: false })
    expect(await found(join(folder, 'top.qcow2'))).toEqual(expected)
    await expect(bootDisk(join(folder, 'top.qcow2'), { files: 'none' })).rejects.toMatchObject({ code: expect.stringMatching(/^image-/) as string })
    writeFileSync(join(folder, 'no.img'), Buffer.alloc(1 << 20))
    await expect(bootDisk(join(folder, 'no.img'), { name: 'the disk' })).rejects.toMatchObject({ code: 'linux-disk', part: 'the disk' })
  })
})
