import { describe, expect, it } from 'vitest'
import type { BlockPort, BlockStatus } from '@machinist/api'
import { memoryDisk, memoryStore, openOverlayFile, overlay, raw, readOnly, statusOfError } from './index.ts'
import type { RandomAccessFile } from './index.ts'
import { Sequencer } from './sequencer.ts'
import { codeOfAsync } from '../../api/test/code-of.ts'

const direct = (callback: () => void): void => { callback() }

const ask = (submit: (done: (status: BlockStatus) => void) => void): Promise<BlockStatus> => new Promise((resolve) => { submit(resolve) })

const write = (port: BlockPort, offset: number, length: number): Promise<BlockStatus> =>
  ask((done) => { port.write(offset, [new Uint8Array(length).fill(0xaa)], done) })

async function read(port: BlockPort, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  expect(await ask((done) => { port.read(offset, [bytes], done) })).toBe('ok')
  return bytes
}

function file(size: number, extra: Partial<RandomAccessFile> = {}): RandomAccessFile {
  return {
    size, writable: true,
    read: (_offset, into) => Promise.resolve(into.length),
    write: () => Promise.resolve(),
    flush: () => Promise.resolve(),
    close: () => Promise.resolve(),
    ...extra,
  }
}

describe('bounds', () => {
  it('refuses what lies outside, without overflow', async () => {
    const port = memoryDisk(1 << 20).connect(direct)
    for (const [offset, length] of [[1 << 20, 1], [(1 << 20) - 1, 2], [-1, 1], [2 ** 53 - 1, 512], [2 ** 63, 512], [NaN, 1], [Infinity, 1], [0.5, 1]] as const) {
      expect(await write(port, offset, length)).toBe('out-of-range')
      expect(await ask((done) => { port.discard?.(offset, length, done) })).toBe('out-of-range')
    }
    expect(await ask((done) => { port.writeZeroes?.(0, 2 ** 53, done) })).toBe('out-of-range')
    expect(await write(port, 1 << 20, 0)).toBe('ok')
  })

  it('refuses sizes that no disk can have', async () => {
    for (const size of [0, -512, 100, NaN, 2 ** 60]) expect(await codeOfAsync(() => memoryDisk(size))).toBe('disk-size')
    expect(await codeOfAsync(() => memoryDisk(new Uint8Array(0)))).toBe('disk-size')
    expect(await codeOfAsync(() => raw(file(0)))).toBe('disk-empty')
    expect(await codeOfAsync(() => memoryStore({ clusterSize: 5000 }))).toBe('cluster-size')
  })

  it('holds no more host memory than its limit', async () => {
    const port = memoryDisk(2 ** 40, { limit: 1 << 20 }).connect(direct)
    let accepted = 0
    for (let index = 0; index < 100; index++) if (await write(port, index * 2 ** 30, 512) === 'ok') accepted += 1
    expect(accepted).toBe(16)
    expect(await ask((done) => { port.discard?.(0, 2 ** 40, done) })).toBe('ok')
    expect(await write(port, 99 * 2 ** 30, 512)).toBe('ok')

    const over = overlay(memoryDisk(2 ** 40), memoryStore({ limit: 65536 })).connect(direct)
    expect(await write(over, 0, 512)).toBe('ok')
    expect(await write(over, 2 ** 39, 512)).toBe('no-space')
    expect((await read(over, 2 ** 39, 512)).every((byte) => byte === 0)).toBe(true)
  })

  it('a disk belongs to one device', async () => {
    const disk = memoryDisk(512)
    disk.connect(direct)
    expect(await codeOfAsync(() => disk.connect(direct))).toBe('disk-in-use')
  })
})

describe('read-only disks', () => {
  it('refuse writes and still flush', async () => {
    for (const disk of [memoryDisk(4096, { readOnly: true }), readOnly(memoryDisk(4096)), raw(file(4096, { writable: false })), raw(file(4096), { readOnly: true })]) {
      const port = disk.connect(direct)
      expect(port.readOnly).toBe(true)
      expect(await write(port, 0, 512)).toBe('read-only')
      expect(await ask((done) => { port.flush(done) })).toBe('ok')
      await read(port, 0, 512)
    }
  })

  it('an overlay over one takes writes', async () => {
    const port = overlay(memoryDisk(new Uint8Array(8192).fill(1), { readOnly: true })).connect(direct)
    expect(port.readOnly).toBe(false)
    expect(await write(port, 512, 512)).toBe('ok')
    const bytes = await read(port, 0, 2048)
    expect([bytes[0], bytes[512], bytes[1023], bytes[1024]]).toEqual([1, 0xaa, 0xaa, 1])
  })
})

describe('host errors', () => {
  it('have the status that the guest should see', () => {
    for (const [code, status] of [['ENOSPC', 'no-space'], ['EDQUOT', 'no-space'], ['EROFS', 'read-only'], ['EIO', 'io-error']] as const) {
      expect(statusOfError(Object.assign(new Error('x'), { code }))).toBe(status)
    }
    expect(statusOfError(undefined)).toBe('io-error')
  })

  it('reach the guest, also when thrown at once', async () => {
    const full = Object.assign(new Error('full'), { code: 'ENOSPC' })
    const port = raw(file(4096, {
      write: () => { throw full },
      flush: () => Promise.reject(new Error('gone')),
      read: () => Promise.resolve(100),
    })).connect(direct)
    expect(await write(port, 0, 512)).toBe('no-space')
    expect(await ask((done) => { port.flush(done) })).toBe('io-error')
    // A file that somebody cut short.
    expect(await ask((done) => { port.read(0, [new Uint8Array(512)], done) })).toBe('io-error')
  })
})

describe('flush', () => {
  it('completes only when the file says so', async () => {
    let sync: () => void = () => undefined
    const port = raw(file(4096, { flush: () => new Promise((resolve) => { sync = resolve }) })).connect(direct)
    let status: BlockStatus | null = null
    port.flush((result) => { status = result })
    await Promise.resolve()
    expect(status).toBe(null)
    sync()
    await new Promise((resolve) => { setImmediate(resolve) })
    expect(status).toBe('ok')
  })
})

describe('closing', () => {
  it('waits for what is in flight and refuses the rest', async () => {
    let finish: () => void = () => undefined
    let closed = false
    const disk = raw(file(4096, {
      write: () => new Promise((resolve) => { finish = resolve }),
      close: () => { closed = true; return Promise.resolve() },
    }))
    const port = disk.connect(direct)
    const writing = write(port, 0, 512)
    const closing = disk.close()
    expect(await write(port, 512, 512)).toBe('io-error')
    expect(closed).toBe(false)
    finish()
    expect(await writing).toBe('ok')
    await closing
    expect(closed).toBe(true)
  })

  it('closes a file that no machine used', async () => {
    let closed = 0
    const store = await openOverlayFile(file(0, { close: () => { closed += 1; return Promise.resolve() } }))
    await overlay(raw(file(512, { close: () => { closed += 1; return Promise.resolve() } })), store).close()
    expect(closed).toBe(2)
  })
})

describe('overlay files', () => {
  const held = (bytes: Uint8Array): RandomAccessFile => file(bytes.length, {
    read: (offset, into) => {
      const from = bytes.subarray(offset, offset + into.length)
      into.set(from)
      return Promise.resolve(from.length)
    },
  })
  const header = (patch: (view: DataView) => void = () => undefined): Uint8Array => {
    const bytes = new Uint8Array(8192)
    const view = new DataView(bytes.buffer)
    bytes.set([...'MCHNOVL1'].map((letter) => letter.charCodeAt(0)))
    view.setUint32(8, 1, true)
    view.setUint32(12, 4096, true)
    view.setUint32(16, 8 * 4096, true)
    patch(view)
    return bytes
  }

  it('that are something else are refused', async () => {
    const open = (bytes: Uint8Array): Promise<string> => codeOfAsync(() => openOverlayFile(held(bytes)))
    expect(await open(header())).toBe('none')
    expect(await open(new Uint8Array(8192))).toBe('overlay-format')
    expect(await open(new Uint8Array(3))).toBe('overlay-format')
    // Lost power before its header arrived.
    expect(await open(new Uint8Array(24))).toBe('none')
    expect(await open(header((view) => { view.setUint32(8, 2, true) }))).toBe('overlay-format')
    expect(await open(header((view) => { view.setUint32(12, 12345, true) }))).toBe('cluster-size')
    expect(await open(header((view) => { view.setUint32(20, 0xffffffff, true) }))).toBe('overlay-format')
    expect(await open(header((view) => { view.setUint32(20, 0x100000, true) }))).toBe('cluster-size')
    expect(await open(header((view) => { view.setUint8(4096, 3) }))).toBe('overlay-format')
    expect(await codeOfAsync(() => openOverlayFile(file(0, { writable: false })))).toBe('file-read-only')
  })

  it('can be opened again, with everything, when the guest never flushed', async () => {
    let bytes = new Uint8Array(0)
    const kept = (): RandomAccessFile => ({
      ...held(bytes),
      write: (offset, from) => {
        const longer = new Uint8Array(Math.max(bytes.length, offset + from.length))
        longer.set(bytes)
        longer.set(from, offset)
        bytes = longer
        return Promise.resolve()
      },
    })
    const disk = overlay(memoryDisk(1 << 20), await openOverlayFile(kept()))
    const port = disk.connect(direct)
    expect(await write(port, 70000, 512)).toBe('ok')
    // As a process that is killed would leave it: empty, and not refused.
    overlay(memoryDisk(1 << 20), await openOverlayFile(kept())).connect(direct)
    await disk.close()
    const again = overlay(memoryDisk(1 << 20), await openOverlayFile(kept())).connect(direct)
    expect((await read(again, 70000, 513)).filter((byte) => byte === 0xaa).length).toBe(512)
  })

  it.each(['at once', 'later'])('keep what was there when a write of new clusters fails half-way: %s', async (when) => {
    for (let failing = 1; failing < 6; failing++) {
      const bytes = new Uint8Array(65536)
      let writes = 0
      const fails = (): boolean => ++writes === failing
      const put = (offset: number, from: Uint8Array): void => {
        if (fails()) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        bytes.set(from, offset)
      }
      const store = await openOverlayFile({ ...file(0), read: (offset, into) => { into.set(bytes.subarray(offset, offset + into.length)); return into.length },
        write: (offset, from) => when === 'later' ? Promise.resolve().then(() => { put(offset, from) }) : put(offset, from) }, { clusterSize: 4096 })
      const port = overlay(memoryDisk(new Uint8Array(32768).fill(1)), store).connect(direct)
      // The header, what is before and after in its first and last clusters, and the two buffers.
      const buffers = [new Uint8Array(1536).fill(2), new Uint8Array(9216).fill(2)]
      expect(await ask((done) => { port.write(1024, buffers, done) })).toBe('no-space')
      expect((await read(port, 0, 32768)).every((byte) => byte === 1)).toBe(true)
      expect(await ask((done) => { port.write(1024, buffers, done) })).toBe('ok')
      expect((await read(port, 0, 32768)).filter((byte) => byte === 2).length).toBe(10752)
    }
  })

  it('do not go over a base of another size', async () => {
    const store = await openOverlayFile(held(header()))
    expect(await codeOfAsync(() => overlay(memoryDisk(4096), store).connect(direct))).toBe('overlay-base')
  })
})

describe('the sequencer', () => {
  it('does not nest as deep as its queue is long', () => {
    const sequencer = new Sequencer()
    let first: () => void = () => undefined
    sequencer.run(0, 1, true, (release) => { first = release })
    let ran = 0
    for (let index = 0; index < 3000; index++) {
      sequencer.run(0, 1, true, (release) => {
        ran += 1
        release()
      })
    }
    first()
    expect(ran).toBe(3000)
    expect(sequencer.pending).toBe(0)
  })

  it('goes on after an operation has thrown, with those that were ready and those that come later', () => {
    const sequencer = new Sequencer()
    const done: string[] = []
    const atOnce = (name: string) => (release: () => void): void => {
      done.push(name)
      release()
    }
    const throws = (release: () => void): void => {
      release()
      throw new Error('not like this')
    }
    expect(() => { sequencer.run(0, 1, true, throws) }).toThrow('not like this')
    let first: () => void = () => undefined
    sequencer.run(0, 4, true, (release) => { first = release })
    sequencer.run(0, 1, true, throws)
    sequencer.run(1, 2, true, atOnce('beside'))
    sequencer.run(0, 1, true, atOnce('after'))
    sequencer.run(3, 4, true, throws)
    sequencer.run(2, 4, true, atOnce('last'))
    expect(first).toThrow('not like this')
    sequencer.run(0, 4, true, atOnce('later'))
    let idle = false
    sequencer.whenIdle(() => { idle = true })
    expect([done, sequencer.pending, idle]).toEqual([['beside', 'after', 'last', 'later'], 0, true])
  })
})
