import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateRawSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BlockStatus } from '@machinist/api'
import { qcow2 } from '@machinist/storage'
import { codec, httpFile, openDisk, openDiskImage, openFile } from '../index.ts'
import { codeOfAsync } from '../../../api/test/code-of.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-disk-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

const done = (submit: (done: (status: BlockStatus) => void) => void): Promise<BlockStatus> => new Promise((resolve) => { submit(resolve) })

async function make(path: string, backing?: { name: string, format: string }): Promise<string> {
  closeSync(openSync(path, 'w'))
  const file = openFile(path, true)
  // Whatever the name is, the image has it so.
  const place = '?'.repeat(backing?.name.length ?? 0)
  await qcow2.create?.(file, 1 << 20, { name: path, ...(backing !== undefined && { backing: { ...backing, name: place, size: 4096 } }) })
  await file.close()
  if (backing !== undefined) writeFileSync(path, readFileSync(path, 'latin1').replace(place, backing.name), 'latin1')
  return path
}

describe('files that an image names', () => {
  it('are those in its folder and below, whatever links say, unless more is allowed', async () => {
    const inner = join(folder, 'images')
    mkdirSync(join(inner, 'deep'), { recursive: true })
    for (const at of [folder, inner, join(inner, 'deep')]) writeFileSync(join(at, 'base'), Buffer.alloc(4096, at.length))
    writeFileSync(join(inner, 'x:y'), Buffer.alloc(4096))
    symlinkSync(folder, join(inner, 'up'))
    symlinkSync(join(inner, 'deep', 'base'), join(inner, 'link'))
    const names: [string, string, string][] = [
      ['base', 'none', 'none'], ['deep/base', 'none', 'none'], ['link', 'none', 'none'], ['file:base', 'none', 'none'], [join(inner, 'base'), 'none', 'none'],
      ['./x:y', 'none', 'none'], ['file:x:y', 'none', 'none'], ['x:y', 'image-file-refused', 'image-file-refused'], ['1:y', 'image-file-refused', 'image-file-refused'],
      ['../base', 'image-file-refused', 'none'], [join(folder, 'base'), 'image-file-refused', 'none'], ['up/base', 'image-file-refused', 'none'],
      ['/etc/shadow', 'image-file-refused', 'none'], ['/no/such/file', 'image-file-refused', 'file-enoent'], ['missing', 'file-enoent', 'file-enoent'],
      ['json:{"driver":"file","filename":"/etc/passwd"}', 'image-file-refused', 'image-file-refused'], ['nbd://host/disk', 'image-file-refused', 'image-file-refused'],
    ]
    for (const [name, inside, any] of names) {
      const path = await make(join(inner, 'image.qcow2'), { name, format: 'raw' })
      expect(await codeOfAsync(openDiskImage(path).then((image) => image.close())), name).toBe(inside)
      if (name !== '/etc/shadow') expect(await codeOfAsync(openDiskImage(path, { files: 'any' }).then((image) => image.close())), name).toBe(any)
      expect(await codeOfAsync(openDiskImage(path, { files: 'none' })), name).toBe('image-file-refused')
    }
    // The next in a chain looks from its own place, and is held to the first one's folder.
    await make(join(inner, 'deep', 'middle.qcow2'), { name: '../base', format: 'raw' })
    const top = await openDiskImage(await make(join(inner, 'top.qcow2'), { name: 'deep/middle.qcow2', format: 'qcow2' }))
    const bytes = new Uint8Array(8192)
    expect(await top.read(0, [bytes])).toBe('ok')
    expect([bytes[0], bytes[4096]]).toEqual([inner.length & 255, 0])
    await top.close()
    await make(join(inner, 'deep', 'middle.qcow2'), { name: '../../base', format: 'raw' })
    expect(await codeOfAsync(openDiskImage(join(inner, 'top.qcow2')))).toBe('image-file-refused')
  })
})

it('opens a disk by its signature or its format, and writes as the mode says', async () => {
  const path = await make(join(folder, 'plain.qcow2'))
  for (const [mode, status, kept] of [['overlay', 'ok', 0], ['ro', 'read-only', 0], ['rw', 'ok', 5]] as const) {
    const disk = await openDisk(path, { mode })
    const port = disk.connect((callback) => { callback() })
    expect(port.size).toBe(1 << 20)
    expect(await done((finish) => { port.write(0, [new Uint8Array(512).fill(5)], finish) })).toBe(status)
    await disk.close()
    const image = await openDiskImage(path)
    const bytes = new Uint8Array(512)
    expect(await image.read(0, [bytes])).toBe('ok')
    expect(bytes[0]).toBe(kept)
    await image.close()
  }
  const raw = await openDiskImage(path, { format: 'raw' })
  expect([raw.format, raw.size]).toEqual(['raw', readFileSync(path).length])
  await raw.close()
  expect(await codeOfAsync(openDisk(path, { format: 'qed' }))).toBe('image-format')
  expect(await codeOfAsync(openDisk(path, { snapshot: 'nobody', mode: 'ro' }))).toBe('image-snapshot')
  truncateSync(path, 100)
  expect(await codeOfAsync(openDisk(path))).toBe('image-damaged')
})

it('inflates no more than it is asked for', async () => {
  const packed = deflateRawSync(Buffer.alloc(1 << 20))
  expect((await codec.inflate('deflate', packed, 1 << 20)).length).toBe(1 << 20)
  await expect(codec.inflate('deflate', packed, 65536)).rejects.toThrow()
})

describe('a disk on a web server', () => {
  const content = Buffer.alloc(3 * 2 ** 20 + 512)
  for (let at = 0; at < content.length; at += 4) content.writeUInt32LE(at, at)
  let server: Server
  let url = ''
  let requests: string[] = []
  /** What the next requests meet. */
  let mood: ('ok' | 'fail' | 'cut' | 'whole' | 'changed' | 'elsewhere')[] = []

  beforeAll(async () => {
    server = createServer((request, response) => {
      const [, first, last] = /^bytes=([0-9]+)-([0-9]+)$/.exec(request.headers.range ?? '') ?? []
      requests.push(`${first}-${last}`)
      const now = mood.shift() ?? 'ok'
      const start = Number(first)
      const bytes = content.subarray(start, Number(last) + 1)
      if (now === 'fail') response.writeHead(503).end()
      else if (now === 'whole') response.writeHead(200).end(content)
      else if (now === 'changed') response.writeHead(206, { 'content-range': `bytes ${start}-${start + bytes.length - 1}/99` }).end(bytes)
      else if (now === 'elsewhere') response.writeHead(206, { 'content-range': `bytes 0-${bytes.length}/${content.length}` }).end(bytes)
      else {
        response.writeHead(206, { 'content-range': `bytes ${start}-${start + bytes.length - 1}/${content.length}`, etag: '"one"', 'content-length': bytes.length })
        if (now === 'cut') response.write(bytes.subarray(0, 100), () => { response.destroy() })
        else response.end(bytes)
      }
    })
    await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.img`
  })
  afterAll(() => { server.close() })

  it('is read as needed, once, also through failures, and never written', async () => {
    requests = []
    const disk = await openDisk(url, { mode: 'overlay' })
    const port = disk.connect((callback) => { callback() })
    expect(port.size).toBe(content.length)
    const read = async (offset: number, length: number): Promise<Buffer> => {
      const bytes = Buffer.alloc(length)
      expect(await done((finish) => { port.read(offset, [bytes], finish) })).toBe('ok')
      return bytes
    }
    for (const [offset, length] of [[0, 512], [65536 - 512, 1024], [2 ** 20, 2 ** 20], [content.length - 512, 512]] as const) {
      mood = ['fail', 'cut']
      expect((await read(offset, length)).equals(content.subarray(offset, offset + length))).toBe(true)
    }
    mood = []
    const before = requests.length
    await Promise.all([read(2 ** 20, 2 ** 20), read(0, 70000 - 70000 % 512)])
    expect(requests.length).toBe(before)
    await Promise.all(Array.from({ length: 8 }, () => read(2.5 * 2 ** 20, 4096)))
    expect(requests.length).toBe(before + 1)
    expect(await done((finish) => { port.write(0, [new Uint8Array(512).fill(1)], finish) })).toBe('ok')
    expect((await read(0, 512))[0]).toBe(1)
    await disk.close()
    expect(await codeOfAsync(openDisk(url, { mode: 'rw' }))).toBe('file-read-only')
  })

  it('keeps no more than it may', async () => {
    const file = await httpFile(url, { cacheSize: 1 })
    requests = []
    const all = Buffer.alloc(content.length)
    for (let round = 0; round < 2; round++) {
      await file.read(0, all)
      expect(all.equals(content)).toBe(true)
    }
    // 2 MiB are kept of 3: the second round has to fetch again.
    expect(requests.length).toBeGreaterThan(3)
    await file.close()
  })

  it('fails with typed errors, and in a bounded number of attempts', async () => {
    for (const [moods, code] of [
      [['whole'], 'http-range'], [['elsewhere'], 'http-failed'], [['fail', 'fail', 'fail'], 'http-failed'],
    ] as const) {
      requests = []
      mood = [...moods]
      expect(await codeOfAsync(httpFile(url, { retries: 2 })), moods.join()).toBe(code)
      expect(requests.length).toBe(moods.length)
    }
    expect(await codeOfAsync(httpFile('http://127.0.0.1:1/x', { retries: 1 }))).toBe('http-failed')
    const image = await openDiskImage(url)
    for (const now of ['changed', 'whole'] as const) {
      mood = [now]
      expect(await image.read(2 ** 20, [new Uint8Array(512)])).toBe('io-error')
    }
    await image.close()
  })
})
