import { spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canLock, openDisk, openDiskImage } from '@machinist/host-node'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { parseShare } from '../arguments.ts'
import { parseDisk } from '../disk-option.ts'
import { main } from '../main.ts'
import { parseDiskCommand } from './arguments.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-disk-command-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
afterEach(() => { vi.restoreAllMocks() })
const at = (name: string): string => join(folder, name)

/** Runs a command: its status, and what it writes. */
async function disk(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const written = { out: '', err: '' }
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => { written.out += String(text); return true })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => { written.err += String(text); return true })
  const status = await main(['disk', ...args])
  vi.restoreAllMocks()
  return { status, ...written }
}

const noQemu = spawnSync('qemu-img', ['--version']).status !== 0
function qemuImg(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync('qemu-img', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`qemu-img ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

describe('the command line', () => {
  it('has sizes, signs and parameters', () => {
    expect(parseDiskCommand(['resize', 'a', '-1G', '--shrink'])).toEqual({ action: 'resize', file: 'a', shrink: true, size: { bytes: -(2 ** 30), relative: true } })
    expect(parseDiskCommand(['create', 'a', '20GiB', '--set', 'cluster_size=2M,compat=0.10'])).toMatchObject({ size: 20 * 2 ** 30, parameters: { cluster_size: '2M', compat: '0.10' } })
    expect(parseDiskCommand(['convert', 'a', 'b', '--from', 'raw', '--format', 'qcow2'])).toMatchObject({ file: 'a', to: 'b', format: 'raw', toFormat: 'qcow2' })
    expect(parseDiskCommand(['info', '--help'])).toBeNull()
  })

  it('is refused with status 2 when it makes no sense', async () => {
    const wrong = [[], ['eat', 'x'], ['info'], ['info', 'a', 'b'], ['create', 'a'], ['create', 'a', '100'], ['create', 'a', '-5'], ['create', 'a', '1G', '--json'], ['convert', 'a'],
      ['resize', 'a', '0'], ['check', 'a', '--repair', 'some'], ['info', 'a', '--files', 'every'], ['info', 'a', '--lock', 'maybe'], ['create', 'a', '1G', '--set', 'x'], ['info', ''], ['create', 'a', '1G', '--backing-format', 'raw']]
    for (const args of wrong) expect((await disk(...args)).status, args.join(' ')).toBe(2)
  })

  it('names a disk to run with', () => {
    expect(parseDisk('a,b.img')).toEqual({ path: 'a,b.img', mode: 'rw' })
    expect(parseDisk('a.img,overlay,format=raw')).toEqual({ path: 'a.img', mode: 'overlay', format: 'raw' })
    expect(parseDisk('a,format=qcow2,ro,files=any')).toEqual({ path: 'a', mode: 'ro', format: 'qcow2', files: 'any' })
    expect(parseDisk('a,snapshot=one')).toEqual({ path: 'a', mode: 'ro', snapshot: 'one' })
    expect(parseDisk('a,lock=off')).toEqual({ path: 'a', mode: 'rw', lock: 'off' })
    // Commas of the path, doubled.
    expect(parseDisk('a,,ro')).toEqual({ path: 'a,ro', mode: 'rw' })
    expect(parseDisk('a,,,,b,,,ro')).toEqual({ path: 'a,,b,', mode: 'ro' })
    expect(parseDisk('a,snapshot=x,,y,format=qcow2')).toEqual({ path: 'a', mode: 'ro', snapshot: 'x,y', format: 'qcow2' })
    expect([parseShare('a,,ro:t', 0), parseShare('a,,b,ro', 0)]).toEqual([{ path: 'a,ro', tag: 't', readOnly: false }, { path: 'a,b', tag: 'share', readOnly: true }])
  })
})

describe('images', () => {
  it('go from raw through qcow2 and an overlay back to raw, sparse', async () => {
    const content = Buffer.alloc(5 << 20)
    for (let start = 0; start < content.length; start += 900_000) content.fill(start / 900_000 + 1, start, start + 100_000)
    writeFileSync(at('a.img'), content)
    expect(await disk('convert', at('a.img'), at('a.qcow2'), '--set', 'cluster_size=4K')).toMatchObject({ status: 0 })
    expect(statSync(at('a.qcow2')).size).toBeLessThan(1 << 20)
    expect(await disk('create', at('top.qcow2'), '--backing', at('a.qcow2'))).toMatchObject({ status: 0 })
    expect(await disk('resize', at('top.qcow2'), '+1M')).toMatchObject({ status: 0 })
    expect(await disk('convert', at('top.qcow2'), at('b.img'))).toMatchObject({ status: 0 })
    const back = readFileSync(at('b.img'))
    expect(back.equals(Buffer.concat([content, Buffer.alloc(1 << 20)]))).toBe(true)
    expect(statSync(at('b.img')).blocks * 512).toBeLessThan(2 << 20)
    const info: unknown = JSON.parse((await disk('info', '--json', at('top.qcow2'))).out)
    expect(info).toMatchObject({ format: 'qcow2', size: 6 << 20, backing: { name: 'a.qcow2', format: 'qcow2' } })
    expect(await disk('check', at('top.qcow2'))).toMatchObject({ status: 0, out: 'No errors.\n' })
  })

  const kinds: readonly (readonly [string, string, ...string[]])[] = [
    ['vmdk', 'vmdk'], ['vdi', 'vdi'], ['vhdx', 'vhdx'], ['vmdk', 'vmdk', '--set', 'subformat=streamOptimized'], ['vhd', 'vpc'], ['vmdk', 'vmdk', '--set', 'subformat=twoGbMaxExtentSparse'],
    ['qcow2', 'qcow2', '--set', 'compat=0.10'], ['img', 'raw'],
  ]
  it(`go through every format, as QEMU finds${noQemu ? ' (not asked: qemu-img is missing)' : ''}, grow, and stay sound`, async () => {
    // A size that a VHD can say; pieces of noise, with nothing between them.
    const unit = 17 * 4 * 512
    const content = Buffer.alloc(120 * unit)
    for (let start = 5000; start + 70_000 < content.length; start += 500_000) randomFillSync(content, start, 60_000)
    const plain = at('plain.img')
    writeFileSync(plain, content)
    let last = plain
    for (const [index, [extension, driver, ...set]] of kinds.entries()) {
      const path = at(`chain${index}.${extension}`)
      const about = `${extension} ${set.join(' ')}`
      expect(await disk('convert', last, path, ...set), about).toMatchObject({ status: 0 })
      expect(JSON.parse((await disk('info', '--json', path)).out), about).toMatchObject({ size: content.length })
      // Of a raw image there is nothing to check, and it says so.
      expect(await disk('check', path), about).toMatchObject({ status: driver === 'raw' ? 1 : 0 })
      if (!noQemu) expect(qemuImg('compare', '-f', driver, '-F', 'raw', path, plain), about).toContain('identical')
      last = path
      // Longer, it reads as zeroes there, and is another image to QEMU too.
      const grows = driver !== 'raw' && !set.some((word) => word.startsWith('subformat'))
      if (!grows) continue
      const grown = at(`grown${index}.${extension}`)
      cpSync(path, grown)
      expect(await disk('resize', grown, `+${10 * unit}`), about).toMatchObject({ status: 0 })
      expect(await disk('check', grown), about).toMatchObject({ status: 0 })
      expect(await disk('convert', '--force', grown, at('grown.img')), about).toMatchObject({ status: 0 })
      expect(readFileSync(at('grown.img')).equals(Buffer.concat([content, Buffer.alloc(10 * unit)])), about).toBe(true)
      if (!noQemu) expect(qemuImg('compare', '-f', driver, '-F', 'raw', grown, at('grown.img')), about).toContain('identical')
    }
    expect(readFileSync(last).equals(content)).toBe(true)
    for (const [index, [extension, driver, ...set]] of (noQemu ? [] : kinds).entries()) {
      const [theirs, back] = [at(`theirs${index}.${extension}`), at(`back${index}.img`)]
      qemuImg('convert', '-f', 'raw', '-O', driver, ...set.flatMap((word) => word === '--set' ? '-o' : word), ...driver === 'vpc' ? ['-o', 'force_size=on'] : [], plain, theirs)
      expect(await disk('convert', theirs, back), extension).toMatchObject({ status: 0 })
      expect(readFileSync(back).equals(content), extension).toBe(true)
    }
  })

  it('have names with colons and commas, those that they stand on and consist of too', async () => {
    const content = Buffer.alloc(1 << 20)
    randomFillSync(content)
    writeFileSync(at('plain'), content)
    expect(await disk('convert', at('plain'), at('x:y.qcow2'))).toMatchObject({ status: 0 })
    expect(await disk('create', at('a,ro'), '--format', 'qcow2', '--backing', at('x:y.qcow2'))).toMatchObject({ status: 0 })
    expect(await disk('convert', at('a,ro'), at('colons.img'))).toMatchObject({ status: 0 })
    expect(readFileSync(at('colons.img')).equals(content)).toBe(true)
    expect(await disk('convert', at('a,ro'), at('p:q.vmdk'), '--set', 'subformat=twoGbMaxExtentFlat')).toMatchObject({ status: 0 })
    expect(await disk('convert', '--force', at('p:q.vmdk'), at('colons.img'))).toMatchObject({ status: 0 })
    expect(readFileSync(at('colons.img')).equals(content)).toBe(true)
    const opened = await openDisk(parseDisk(`${at('a,,ro')},overlay`).path)
    await opened.close()
    if (noQemu) return
    expect(qemuImg('compare', '-F', 'raw', at('a,ro'), at('plain'))).toContain('identical')
    // And one that QEMU made.
    qemuImg('create', '-f', 'qcow2', '-b', './x:y.qcow2', '-F', 'qcow2', at('theirs.qcow2'))
    expect(await disk('convert', '--force', at('theirs.qcow2'), at('colons.img'))).toMatchObject({ status: 0 })
    expect(readFileSync(at('colons.img')).equals(content)).toBe(true)
  })

  it('are not written over, and nothing is left of what failed', async () => {
    writeFileSync(at('mine'), 'mine')
    expect(await disk('create', at('mine'), '1M')).toMatchObject({ status: 1, err: expect.stringContaining('the file exists') })
    expect(readFileSync(at('mine'), 'utf8')).toBe('mine')
    expect(await disk('create', at('mine'), '1M', '--force')).toMatchObject({ status: 0 })
    symlinkSync(at('mine'), at('same'))
    expect(await disk('convert', at('mine'), at('same'), '--force')).toMatchObject({ status: 1 })
    expect(statSync(at('mine')).size).toBe(1 << 20)
    expect(await disk('create', at('none.qcow2'), '1M', '--set', 'cluster_size=3')).toMatchObject({ status: 1 })
    expect(() => statSync(at('none.qcow2'))).toThrow()
    expect(await disk('resize', at('mine'), '512K')).toMatchObject({ status: 1, err: expect.stringMatching(/^[^\n]*\n$/) })
    expect(await disk('create', at('out.qcow2'), '--backing', '/etc/hostname')).toMatchObject({ status: 1, err: expect.stringContaining('may not reach') })
  })

  it.skipIf(!canLock())('are not touched while somebody has them open', async () => {
    await disk('create', at('open.qcow2'), '1M')
    const image = await openDiskImage(at('open.qcow2'), { writable: true })
    for (const args of [['info', at('open.qcow2')], ['resize', at('open.qcow2'), '2M'], ['create', at('open.qcow2'), '1M', '--force'], ['convert', at('open.qcow2'), at('other.img')]]) {
      expect(await disk(...args), args.join(' ')).toMatchObject({ status: 1, err: expect.stringContaining('another program') })
    }
    expect(await disk('info', at('open.qcow2'), '--lock', 'off')).toMatchObject({ status: 0 })
    await image.close()
    expect(await disk('create', at('open.qcow2'), '2M', '--force')).toMatchObject({ status: 0 })
  })

  it('that are too large for the file system are refused with a remedy', async () => {
    // That of ext4 has files of 16 TiB, those of XFS and btrfs of 8 EiB.
    const { status, err } = await disk('create', at('vast.img'), '4000T')
    if (status === 0) return
    expect({ status, err }).toMatchObject({ status: 1, err: expect.stringMatching(/^machinist: [^\n]*longer than its file system[^\n]*\n$/) })
    expect(() => statSync(at('vast.img'))).toThrow()
  })

  it('of VHDX have leaks repaired', async () => {
    await disk('create', at('leak.vhdx'), '8M')
    // A block behind the last that no table names, as a crash leaves it.
    truncateSync(at('leak.vhdx'), statSync(at('leak.vhdx')).size + (3 << 20))
    expect((await disk('check', at('leak.vhdx'))).status).toBe(3)
    expect(await disk('check', at('leak.vhdx'), '--repair', 'all')).toMatchObject({ status: 0, out: expect.stringContaining('Repaired: 0 damages, 3 leaks.') })
    expect((await disk('check', at('leak.vhdx'))).status).toBe(0)
  })

  it('have leaks and damage found, told by the status, and repaired', async () => {
    await disk('create', at('c.qcow2'), '1M')
    const bytes = readFileSync(at('c.qcow2'))
    const block = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(48))))
    bytes.writeUInt16BE(1, block + 20) // counts a cluster that nobody uses
    writeFileSync(at('c.qcow2'), bytes)
    expect((await disk('check', at('c.qcow2'))).status).toBe(3)
    bytes.writeUInt16BE(0, block + 2) // and not one that is used
    writeFileSync(at('c.qcow2'), bytes)
    const found = await disk('check', at('c.qcow2'), '--json')
    expect(found.status).toBe(4)
    expect(JSON.parse(found.out)).toMatchObject({ leaks: 1, corruptions: 1 })
    expect((await disk('check', at('c.qcow2'), '--repair', 'all')).status).toBe(0)
    expect((await disk('check', at('c.qcow2'))).status).toBe(0)
    if (!noQemu) qemuImg('check', at('c.qcow2'))
  })
})
