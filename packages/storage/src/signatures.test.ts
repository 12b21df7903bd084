import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { afterAll, describe, expect, it } from 'vitest'
import { beside, codec, create, nodeFile, noQemu, qemu } from '../test/images.ts'
import { diskFormats, type DiskImage, openImage, vhd, vmdk } from './index.ts'
import { encodeDescriptor, parseDescriptor } from './vmdk/descriptor.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-signatures-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const at = (name: string): string => join(folder, name)

const opened = async (name: string, format?: string, formats = diskFormats): Promise<DiskImage> => {
  const file = nodeFile(at(name), 'r+')
  try {
    return await openImage(file, { name, formats, openFile: beside(folder), codec }, format)
  } catch (error) {
    await file.close()
    throw error
  }
}

/** What becomes of an image whose format is not named: its format, or the code of the error. */
async function outcome(name: string, formats = diskFormats): Promise<string> {
  try {
    const image = await opened(name, undefined, formats)
    await image.close()
    return image.format
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
}

const foreign: Readonly<Record<string, readonly [at: number, bytes: string]>> = {
  qcow: [0, 'QFI\xfb'], qed: [0, 'QED\0'], luks: [0, 'LUKS\xba\xbe\0\x01'], bochs: [0, 'Bochs Virtual HD Image\0'], parallels: [0, 'WithouFreSpacExt'], cloop: [0, '#!/bin/sh\n#V2.0 Format\nmodprobe'],
  dmg: [-512, 'koly\0\0\0\x04\0\0\x02\0'], COWD: [0, 'COWD\x01\0\0\0'], SESparse: [0, '\xbe\xba\xfe\xca\0\0\0\0'], ewf: [0, 'EVF\t\r\n\xff\0\x01'], 'Android sparse image': [0, '\x3a\xff\x26\xed\x01\0'],
  vhdx: [0, 'vhdxfile'], 'fixed vhd': [-512, 'conectix'], vhd: [0, 'conectix'], vdi: [64, '\x7f\x10\xda\xbe'], vmdk: [0, 'KDMV'],
}

describe('a signature decides', () => {
  it.each(Object.entries(foreign))('%s is no raw image, unless that is said', async (name, [place, text]) => {
    const bytes = Buffer.alloc(1 << 20)
    bytes.write(text, place < 0 ? bytes.length + place : place, 'latin1')
    writeFileSync(at('foreign'), bytes)
    expect(await outcome('foreign')).toMatch(/^image-(format|damaged|unsupported)$/)
    // Not to who knows no formats, either.
    await expect(opened('foreign', undefined, [])).rejects.toMatchObject({ code: 'image-format', message: expect.stringContaining(name) })
    const raw = await opened('foreign', 'raw')
    expect(raw.size).toBe(bytes.length)
    await raw.close()
    // And a guest cannot make one of a raw image, nor of a fixed VHD.
    writeFileSync(at('plain'), Buffer.alloc(1 << 20))
    const plain = await opened('plain')
    expect(plain.format).toBe('raw')
    const head = Buffer.alloc(512)
    head.write(text, Math.max(0, place), 'latin1')
    expect(await plain.write(place < 0 ? (1 << 20) - 512 : 0, [head])).toBe('io-error')
    expect(await plain.write(4096, [head])).toBe('ok')
    await plain.close()
    if (place < 0) return
    await create(vhd, folder, 'fixed.vhd', 1 << 20, { subformat: 'fixed' })
    const fixed = await opened('fixed.vhd')
    expect(fixed.format).toBe('vhd')
    expect(await fixed.write(0, [head])).toBe('io-error')
    expect(await fixed.write(4096, [head])).toBe('ok')
    await fixed.close()
    const named = await opened('fixed.vhd', 'vhd')
    expect(await named.write(0, [head])).toBe('ok')
    await named.close()
  })

  it('and a wrong checksum, or an end that is missing, keeps it from being opened', async () => {
    for (const format of diskFormats) {
      if (format.name === 'raw' || format.create === undefined) continue
      await create(format, folder, 'image', 8 << 20, {})
      const bytes = readFileSync(at('image'))
      expect(await outcome('image')).toBe(format.name)
      for (const length of [80, 300, 511]) {
        writeFileSync(at('short'), bytes.subarray(0, length))
        expect(await outcome('short'), `${format.name}, ${length}`).toMatch(/^image-/)
      }
    }
    await create(vhd, folder, 'fixed.vhd', 1 << 20, { subformat: 'fixed' })
    const fixed = readFileSync(at('fixed.vhd'))
    fixed.writeUInt8(fixed.readUInt8((1 << 20) + 70) ^ 1, (1 << 20) + 70)
    writeFileSync(at('fixed.vhd'), fixed)
    expect(await outcome('fixed.vhd')).toBe('image-damaged')
    writeFileSync(at('old.vhd'), fixed.subarray(0, fixed.length - 1))
    expect(await outcome('old.vhd')).toMatch(/^image-/)
  })
})

const heads: readonly string[] = [
  '# Disk DescriptorFile\nversion=1', '# Disk DescriptorFile\r\nversion=1', '#Disk DescriptorFile\nversion=1', '# Disk Descriptor File\nversion=2', '# disk descriptorfile\n\nversion=1', 'version=1', '# made by a tool\nversion=1',
  '# made\n# in two lines\n# Disk DescriptorFile\nversion=3', '\n# Disk DescriptorFile\nversion=1', '   \n# Disk DescriptorFile\nversion=1', '# Disk DescriptorFile\nencoding="UTF-8"\nversion=1',
  '\xef\xbb\xbf# Disk DescriptorFile\nversion=1', 'Version = 1', 'version="1"',
]

describe('descriptors of VMDK', () => {
  it.each(heads)('that begin with %j are known', async (head) => {
    writeFileSync(at('part.bin'), Buffer.alloc(1 << 20, 7))
    const text = `${head}\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 2048 FLAT "part.bin" 0\n`.replaceAll(/(?<!\r)\n/g, head.includes('\r') ? '\r\n' : '\n')
    writeFileSync(at('head.vmdk'), text, 'latin1')
    const image = await opened('head.vmdk')
    expect([image.format, image.size]).toEqual(['vmdk', 1 << 20])
    await image.close()
  })

  it('may be long, and have thousands of extents', () => {
    const extents = Array.from({ length: 8192 }, (_, index) => ({ access: 'RW', sectors: 4192256, type: 'SPARSE', file: `a disk with a rather long name-s${index}.vmdk`, offset: 0 }) as const)
    const text = encodeDescriptor('twoGbMaxExtentSparse', extents, '12345678')
    expect(parseDescriptor(text, 'long').extents.length).toBe(8192)
    expect(text.length).toBeLessThan(1 << 20)
    return expect(vmdk.create?.(nodeFile(at('vast.vmdk'), 'w+'), 20 * 2 ** 40, { name: 'vast.vmdk', parameters: { subformat: 'twoGbMaxExtentSparse' } })).rejects.toMatchObject({ code: 'disk-size' })
  })
})

describe('VHD of up to 2040 GiB', () => {
  const GiB = 2 ** 30
  it.each([127 * GiB, 127.5 * GiB, 128 * GiB, 2040 * GiB])('%d bytes', async (size) => {
    for (const subformat of ['dynamic', 'fixed']) {
      await create(vhd, folder, 'large.vhd', size, { subformat })
      const image = await opened('large.vhd')
      expect(image.size).toBe(size)
      expect(await image.write(size - 512, [new Uint8Array(512).fill(0x5a)])).toBe('ok')
      expect(await image.flush()).toBe('ok')
      await image.close()
      if (noQemu === null) {
        expect(JSON.parse(qemu('qemu-img', 'info', '--output=json', '-f', 'vpc', at('large.vhd')))).toMatchObject({ 'virtual-size': size })
        expect(qemu('qemu-io', '-r', '-f', 'vpc', '-c', `read -P 0x5a ${size - 512} 512`, at('large.vhd'))).not.toContain('failed')
        expect(qemu('qemu-io', '-f', 'vpc', '-c', `write -P 0x21 ${size - (1 << 20)} 4096`, at('large.vhd'))).not.toContain('failed')
        const again = await opened('large.vhd')
        const bytes = new Uint8Array(512)
        expect(await again.read(size - (1 << 20), [bytes])).toBe('ok')
        expect([...new Set(bytes)]).toEqual([0x21])
        await again.close()
      }
      truncateSync(at('large.vhd'), 0)
    }
  })

  it('and no further, nor with blocks so small that the sectors of the file have no numbers', async () => {
    for (const [size, parameters] of [[2041 * GiB, {}], [2040 * GiB, { block_size: '64K' }]] as const) {
      await expect(vhd.create?.(nodeFile(at('large.vhd'), 'w+'), size, { name: 'large.vhd', parameters })).rejects.toSatisfy(isMachinistError)
    }
  })
})
