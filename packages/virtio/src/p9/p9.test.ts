import { describe, expect, it } from 'vitest'
import { posixError } from '@machinist/api'
import type { FileNode, FilesPort, FoundNode } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import { files, memoryTree } from '@machinist/storage'
import { VirtioDriver } from '../testing.ts'
import { MessageReader, MessageWriter } from './codec.ts'
import { virtio9p } from './p9.ts'
import { errorNumber, headerSize, messageType as t, noFid } from './protocol.ts'

const text = (value: string): Uint8Array => Uint8Array.from(value, (character) => character.charCodeAt(0))
const latin = (bytes: Uint8Array): string => String.fromCharCode(...bytes)
const errno = (code: string): number => errorNumber({ code })
type Fields = (out: MessageWriter) => unknown

/** A client on its own machine; what the tree has to say waits until `settle`. */
function client(options: { readOnly?: boolean, tree?: ReturnType<typeof memoryTree> } = {}) {
  const tree = options.tree ?? memoryTree({ readOnly: options.readOnly ?? false, limit: 1 << 20 })
  const deliveries: (() => void)[] = []
  const port: FilesPort = files(tree).connect((callback) => { deliveries.push(callback) })
  const dut = testDevice(virtio9p, { tag: 'tag' }, { backends: { files: port }, memorySize: 1 << 20 })
  const driver = new VirtioDriver(dut)
  expect(driver.start()).toBe(15)
  const send = (type: number, tag: number, fields: Fields = () => undefined, room = 8192) => {
    const bytes = new Uint8Array(16384)
    const out = new MessageWriter(bytes, headerSize)
    fields(out)
    new MessageWriter(bytes, 0).u32(out.length).u8(type).u16(tag)
    const request = driver.submit(0, [bytes.slice(0, out.length)], [room])
    driver.notify(0)
    return request
  }
  /** Lets the tree finish what it is at, until nothing more comes. */
  const settle = async (): Promise<void> => {
    for (let idle = 0; idle < 3;) {
      await new Promise((resolve) => { setImmediate(resolve) })
      const due = deliveries.splice(0)
      for (const callback of due) callback()
      dut.advance(1)
      idle = due.length > 0 ? 0 : idle + 1
    }
    driver.collect(0)
  }
  const answerOf = (request: { readonly answers: Uint8Array[], readonly written: number | null }) => {
    const bytes = request.answers[0]!.subarray(0, request.written ?? 0)
    const reader = new MessageReader(bytes, 4)
    const type = reader.u8()
    const tag = reader.u16()
    return { type, tag, reader, error: type === t.lerror + 1 ? reader.u32() : 0 }
  }
  /** Sends a request and reads its answer; an error is thrown as a number. */
  const call = async (type: number, fields: Fields = () => undefined) => {
    const request = send(type, 7, fields)
    await settle()
    const { type: got, reader, error } = answerOf(request)
    if (error !== 0) throw new Error(`errno ${error}`)
    expect(got).toBe(type + 1)
    return reader
  }
  const start = async (size = 8192): Promise<void> => {
    await call(t.version, (out) => out.u32(size).string(text('9P2000.L')))
    await call(t.attach, (out) => out.u32(0).u32(noFid).string(text('root')).string(text('/')).u32(0))
  }
  const walk = (from: number, to: number, ...names: string[]) => call(t.walk, (out) => {
    out.u32(from).u32(to).u16(names.length)
    for (const name of names) out.string(text(name))
  })
  const list = async (fid: number, count = 300): Promise<string[]> => {
    const names: string[] = []
    for (let offset = 0n; ;) {
      const reader = await call(t.readdir, (out) => out.u32(fid).u64(offset).u32(count))
      let left = reader.u32()
      if (left === 0) return names
      while (left > 0) {
        reader.data(13)
        offset = reader.u64()
        reader.u8()
        const name = reader.string()
        left -= 24 + name.length
        names.push(latin(name))
      }
    }
  }
  return { tree, port, dut, driver, deliveries, send, settle, answerOf, call, start, walk, list }
}

const gives = (work: Promise<unknown>, code: string): Promise<void> => expect(work).rejects.toThrow(`errno ${errno(code)}`)

describe('9P', () => {
  it('says its tag, agrees on a size and refuses other dialects', async () => {
    const { driver, call, start } = client()
    expect([driver.readConfig(0, 1), driver.readConfig(1, 1), ...[2, 3, 4].map((at) => String.fromCharCode(driver.readConfig(at, 1)))]).toEqual([3, 0, 't', 'a', 'g'])
    await gives(call(t.attach, (out) => out.u32(0).u32(noFid).string(text('')).string(text('')).u32(0)), 'EPROTO')
    const other = await call(t.version, (out) => out.u32(1 << 30).string(text('9P2000.u')))
    expect([other.u32(), latin(other.string())]).toEqual([(512 << 10) + 4096, 'unknown'])
    await gives(call(t.version, (out) => out.u32(100).string(text('9P2000.L'))), 'EMSGSIZE')
    await start()
    await gives(call(t.attach, (out) => out.u32(1).u32(noFid).string(text('')).string(text('/etc')).u32(0)), 'ENOENT')
    await gives(call(t.auth), 'EOPNOTSUPP')
    await gives(call(t.xattrwalk), 'EOPNOTSUPP')
    await gives(call(200), 'EOPNOTSUPP')
  })

  it('makes, reads, lists, renames and removes; `..` ends at the root', async () => {
    const { start, call, walk, list } = client()
    await start()
    await call(t.mkdir, (out) => out.u32(0).string(text('d')).u32(0o755).u32(0))
    await walk(0, 1, 'd')
    for (let index = 0; index < 40; index++) {
      await walk(1, 2)
      await call(t.lcreate, (out) => out.u32(2).string(text(`file${index}`)).u32(2).u32(0o644).u32(0))
      expect((await call(t.write, (out) => { out.u32(2).u64(3).u32(2).u8(index).u8(1) })).u32()).toBe(2)
      const reader = await call(t.read, (out) => out.u32(2).u64(1).u32(100))
      expect([...reader.data(reader.u32())]).toEqual([0, 0, index, 1])
      await call(t.clunk, (out) => out.u32(2))
    }
    await walk(1, 2)
    await call(t.lopen, (out) => out.u32(2).u32(0o200000))
    const names = ['.', '..', ...Array.from({ length: 40 }, (_, index) => `file${index}`)]
    expect(await list(2)).toEqual(names)
    expect(await list(2, 40)).toEqual(names) // from the start again, an entry at a time
    await gives(list(2, 20), 'EINVAL')
    const up = await walk(1, 3, '..', '..', 'd', '..')
    expect(up.u16()).toBe(4)
    await walk(3, 4, 'd', 'file7')
    await call(t.renameat, (out) => out.u32(0).string(text('d')).u32(0).string(text('e')))
    await call(t.rename, (out) => out.u32(4).u32(0).string(text('moved')))
    expect((await walk(0, 5, 'moved')).u16()).toBe(1)
    await call(t.remove, (out) => out.u32(5))
    await gives(walk(0, 5, 'moved'), 'ENOENT')
    expect((await walk(0, 5, 'e', 'none', 'x')).u16()).toBe(1) // as far as it went, and no fid
    await gives(call(t.clunk, (out) => out.u32(5)), 'EBADF')
    await gives(call(t.unlinkat, (out) => out.u32(0).string(text('e')).u32(0x200)), 'ENOTEMPTY')
    for (const name of ['', '.', '..', 'a/b', 'a\0']) await gives(call(t.mkdir, (out) => out.u32(0).string(text(name)).u32(0o755).u32(0)), 'EINVAL')
    await gives(call(t.mknod, (out) => out.u32(0).string(text('sda')).u32(0o060600).u32(8).u32(0).u32(0)), 'EPERM')
  })

  it('answers a flush after what it flushes, and at once when there is nothing', async () => {
    const { start, send, settle, answerOf, driver, dut } = client()
    await start()
    const request = send(t.getattr, 1, (out) => out.u32(0).u64(0x7ff))
    const flush = send(t.flush, 2, (out) => out.u16(1))
    const flushOfFlush = send(t.flush, 3, (out) => out.u16(2))
    const same = send(t.getattr, 1, (out) => out.u32(0).u64(0x7ff))
    const idle = send(t.flush, 4, (out) => out.u16(99))
    const itself = send(t.flush, 5, (out) => out.u16(5))
    driver.collect(0)
    expect([request, flush, flushOfFlush].map(({ written }) => written)).toEqual([null, null, null])
    for (const { answers } of [idle, itself]) expect(answers.length).toBe(1)
    expect(answerOf(same).error).toBe(errno('EINVAL'))
    const used = driver.get16(driver.queue(0).used + 2)
    await settle()
    expect([request, flush, flushOfFlush].map((each) => answerOf(each).type)).toEqual([t.getattr + 1, t.flush + 1, t.flush + 1])
    // In the order in which they are to be believed.
    const ring = [0, 1, 2].map((index) => dut.context.memory[driver.queue(0).used + 4 + 8 * ((used + index) % driver.queue(0).size) - dut.context.memoryBase])
    expect(new Set(ring).size).toBe(3)
  })

  it('a file is there until its last fid goes, and its room comes back', async () => {
    const { start, call, walk, tree } = client()
    await start()
    const free = async (): Promise<number> => (await tree.statistics()).free
    const before = await free()
    await walk(0, 1)
    await call(t.lcreate, (out) => out.u32(1).string(text('f')).u32(2).u32(0o644).u32(0))
    await call(t.write, (out) => { out.u32(1).u64(100_000).u32(1).u8(9) })
    await call(t.unlinkat, (out) => out.u32(0).string(text('f')).u32(0))
    const reader = await call(t.read, (out) => out.u32(1).u64(100_000).u32(9))
    expect([...reader.data(reader.u32())]).toEqual([9])
    expect(await free()).toBeLessThan(before)
    await start() // a new session
    expect(await free()).toBe(before)
  })

  it('asks what is open about itself, not its place', async () => {
    const tree = memoryTree()
    tree.put('d/f', text('content'))
    // A host in whose tree something else has come to be at every place: nodes refuse.
    let replaced = false
    const guard = (node: FileNode): FileNode => new Proxy(node, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key)
        if (typeof value !== 'function') return value
        return (...values: unknown[]): unknown => {
          if (replaced && key !== 'release' && key !== 'lookup') return Promise.reject(posixError('ENOENT'))
          const result: unknown = Reflect.apply(value, target, values)
          return key === 'lookup' ? (result as Promise<FoundNode>).then(wrap) : result
        }
      },
    })
    const wrap = ({ node, attributes }: FoundNode): FoundNode => ({ node: guard(node), attributes })
    const { start, call, walk, list } = client({ tree: { ...tree, root: () => tree.root().then(wrap) } })
    await start()
    for (const [fid, names, flags] of [[1, ['d', 'f'], 2], [2, ['d'], 0]] as const) {
      await walk(0, fid, ...names)
      await call(t.lopen, (out) => out.u32(fid).u32(flags))
    }
    await walk(0, 3, 'd', 'f')
    replaced = true
    const setattr = (fid: number, mode: number, size: number | null) =>
      call(t.setattr, (out) => out.u32(fid).u32(1 | (size === null ? 0 : 8)).u32(mode).u32(0).u32(0).u64(size ?? 0).u64(0).u64(0).u64(0).u64(0))
    await setattr(1, 0o400, 4)
    await setattr(2, 0o700, null)
    const getattr = async (fid: number) => {
      const reader = await call(t.getattr, (out) => out.u32(fid).u64(0x7ff))
      reader.data(8 + 13)
      const mode = reader.u32()
      reader.data(4 + 4 + 8 + 8)
      return [mode, Number(reader.u64())]
    }
    expect(await getattr(1)).toEqual([0o100400, 4])
    expect((await getattr(2))[0]).toBe(0o040700)
    for (const fid of [1, 2]) await call(t.fsync, (out) => out.u32(fid).u32(0))
    expect(await list(2)).toEqual(['.', '..', 'f'])
    expect(await list(2)).toEqual(['.', '..', 'f'])
    await gives(getattr(3), 'ENOENT')
    await gives(setattr(3, 0, null), 'ENOENT')
  })

  it('a read of what the host has cut off fails until the client knows the size', async () => {
    const { start, call, walk, tree } = client()
    tree.put('f', text('content'))
    await start()
    const read = async (offset: number): Promise<string> => {
      const reader = await call(t.read, (out) => out.u32(2).u64(offset).u32(100))
      return latin(reader.data(reader.u32()))
    }
    const cut = async (size: number): Promise<void> => { await (await (await tree.root()).node.lookup(text('f'))).node.change({ size }) }
    const getattr = (fid: number) => call(t.getattr, (out) => out.u32(fid).u64(0x7ff))
    await walk(0, 1, 'f')
    await getattr(1)
    await walk(1, 2)
    await call(t.lopen, (out) => out.u32(2).u32(2))
    expect([await read(0), await read(7)]).toEqual(['content', ''])
    await cut(3)
    expect(await read(0)).toBe('con')
    await gives(read(3), 'EIO')
    await getattr(1)
    expect(await read(3)).toBe('')
    // What the client wrote, and cut off, it knows.
    await call(t.write, (out) => { out.u32(2).u64(8).u32(2).u8(1).u8(2) })
    expect(await read(10)).toBe('')
    await cut(4)
    await gives(read(9), 'EIO')
    await call(t.setattr, (out) => out.u32(1).u32(8).u32(0).u32(0).u32(0).u64(2).u64(0).u64(0).u64(0).u64(0))
    expect([await read(1), await read(2)]).toEqual(['o', ''])
    await walk(0, 3, 'f')
    await getattr(3)
    await call(t.lopen, (out) => out.u32(3).u32(0o1001))
    expect(await read(0)).toBe('')
  })

  it('renames and removes by fid only what the fid stands for', async () => {
    const { start, call, walk, tree } = client()
    tree.put('f', text('first'))
    tree.put('g', text('second'))
    await start()
    await walk(0, 1, 'f')
    const other = (await tree.root()).node
    await other.rename(text('g'), other, text('f')) // behind the client's back
    await gives(call(t.rename, (out) => out.u32(1).u32(0).string(text('moved'))), 'ENOENT')
    await gives(call(t.remove, (out) => out.u32(1)), 'ENOENT')
    expect((await other.lookup(text('f'))).attributes.size).toBe(6)
    await walk(0, 1, 'f')
    await call(t.remove, (out) => out.u32(1))
    await expect(other.lookup(text('f'))).rejects.toThrow('ENOENT')
  })

  it('goes on after a restore, in another device, from paths', async () => {
    const one = client()
    await one.start()
    one.tree.put('a/b/file', text('content'))
    await one.walk(0, 1, 'a', 'b', 'file')
    await one.walk(0, 2, 'a')
    await one.call(t.lopen, (out) => out.u32(1).u32(0))
    await one.call(t.lopen, (out) => out.u32(2).u32(0))
    await one.call(t.renameat, (out) => out.u32(0).string(text('a')).u32(0).string(text('z')))
    const state = structuredClone(one.dut.device.save())
    const restored = (from = state) => {
      const other = client({ tree: one.tree })
      // The queues of its own driver, the fids of the other.
      const saved = other.dut.device.save()
      const mixed = { ...saved, core: { ...saved.core, device: from.core.device } }
      other.dut.device.restore(mixed)
      expect(other.dut.device.save()).toEqual(mixed)
      return other
    }
    const again = restored()
    const reader = await again.call(t.read, (out) => out.u32(1).u64(0).u32(100))
    expect(latin(reader.data(reader.u32()))).toBe('content')
    expect(await again.list(2)).toEqual(['.', '..', 'b'])
    await gives(again.call(t.write, (out) => out.u32(1).u64(0).u32(0)), 'EBADF')
    // What the host cuts off before the guest goes on is not missed in silence.
    await one.call(t.getattr, (out) => out.u32(1).u64(0x7ff))
    const shorter = restored(structuredClone(one.dut.device.save()))
    await (await (await (await one.tree.root()).node.lookup(text('z'))).node.lookup(text('b'))).node.lookup(text('file')).then(({ node }) => node.change({ size: 3 }))
    await gives(shorter.call(t.read, (out) => out.u32(1).u64(3).u32(100)), 'EIO')
    await shorter.call(t.getattr, (out) => out.u32(1).u64(0x7ff))
    expect((await shorter.call(t.read, (out) => out.u32(1).u64(3).u32(100))).u32()).toBe(0)
    const stale = restored()
    await again.call(t.renameat, (out) => out.u32(0).string(text('z')).u32(0).string(text('y')))
    await gives(stale.call(t.getattr, (out) => out.u32(2).u64(0)), 'ENOENT')
    await gives(stale.call(t.readdir, (out) => out.u32(2).u64(0).u32(100)), 'ESTALE')
    const fid = { fid: 1, path: [], open: 0, size: 0, kind: 'folder', id: 1n } as const
    for (const wrong of [{ ...fid, fid: -1 }, { ...fid, kind: 'thing' }, { ...fid, id: -1n }, { ...fid, id: 2n ** 64n }, { ...fid, id: 5 }, { ...fid, path: 5 }, { ...fid, path: new Array(201).fill([65]) },
      // Names that would lead out of the tree.
      { ...fid, path: [[0x2e, 0x2e], [65]] }, { ...fid, path: [[0x2e]] }, { ...fid, path: [[]] }, { ...fid, path: [[65, 0x2f, 65]] }, { ...fid, path: [[65, 0]] }]) {
      expect(() => { stale.dut.device.restore({ ...state, core: { ...state.core, device: { messageSize: 5000, fids: [wrong as never] } } }) }).toThrow(expect.objectContaining({ code: 'state' }))
    }
    // A state of before there were kinds.
    const { kind: _kind, id: _id, ...old } = fid
    const older = restored()
    older.dut.device.restore({ ...older.dut.device.save(), core: { ...older.dut.device.save().core, device: { messageSize: 5000, fids: [old as never] } } })
    await older.call(t.getattr, (out) => out.u32(1).u64(0x7ff))
  })

  it('takes nothing else for what was open: another file, or another kind, is stale, and all else goes on', async () => {
    const one = client()
    await one.start()
    for (const name of ['kept', 'replaced', 'folder', 'gone']) one.tree.put(name, text(name))
    for (const [index, name] of ['kept', 'replaced', 'folder', 'gone'].entries()) {
      await one.walk(0, 1 + index, name)
      await one.call(t.lopen, (out) => out.u32(1 + index).u32(0))
    }
    const { device } = structuredClone(one.dut.device.save()).core
    const root = (await one.tree.root()).node
    one.tree.put('replaced', text('another'))
    await root.unlink(text('folder'), false)
    await root.makeFolder(text('folder'), 0o755)
    await root.unlink(text('gone'), false)
    const onward = (tree: ReturnType<typeof memoryTree>) => {
      const other = client({ tree })
      const saved = other.dut.device.save()
      other.dut.device.restore({ ...saved, core: { ...saved.core, device } })
      return other
    }
    const same = onward(one.tree)
    const read = (fid: number) => same.call(t.read, (out) => out.u32(fid).u64(0).u32(100))
    const reader = await read(1)
    expect(latin(reader.data(reader.u32()))).toBe('kept')
    for (const fid of [2, 3, 4]) {
      await gives(read(fid), 'ESTALE')
      // Whoever asks for the name is told that it is worth looking it up anew.
      await gives(same.call(t.getattr, (out) => out.u32(fid).u64(0x7ff)), 'ENOENT')
    }
    for (const fid of [2, 3, 4]) await same.call(t.clunk, (out) => out.u32(fid))
    await same.walk(0, 5, 'replaced')
    await same.call(t.lopen, (out) => out.u32(5).u32(0))
    const anew = await read(5)
    expect(latin(anew.data(anew.u32()))).toBe('another')
    // Of another tree, the root is the root.
    const tree = memoryTree()
    tree.put('new', text('x'))
    const elsewhere = onward(tree)
    await elsewhere.walk(0, 5, 'new')
    await gives(elsewhere.call(t.read, (out) => out.u32(1).u64(0).u32(100)), 'ESTALE')
  })

  it('survives nonsense: any message gets one answer, or the device asks for a reset', async () => {
    let seed = 1
    const random = (below: number): number => {
      seed = (Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
      return Math.floor(((seed ^ (seed >>> 13)) >>> 0) / 2 ** 32 * below)
    }
    const types = Object.values(t)
    const numbers = [0, 1, 2, 3, 0xffff_ffff]
    // What messages look like: fids, names, small numbers, and offsets.
    const shapes: readonly (readonly [number, string])[] = [
      [t.walk, 'ff0'], [t.walk, 'ff1s'], [t.walk, 'ff2ss'], [t.lopen, 'fn'], [t.lcreate, 'fsnnn'], [t.read, 'fqn'], [t.write, 'fqn'], [t.readdir, 'fqn'], [t.getattr, 'fq'],
      [t.setattr, 'fnnnnqqqqq'], [t.mkdir, 'fsnn'], [t.symlink, 'fssn'], [t.rename, 'ffs'], [t.renameat, 'fsfs'], [t.link, 'ffs'], [t.unlinkat, 'fsn'], [t.remove, 'f'],
      [t.clunk, 'f'], [t.statfs, 'f'], [t.fsync, 'fn'], [t.readlink, 'f'], [t.flush, '1'], [t.mknod, 'fsnnnn'],
    ]
    let good = 0
    const errors = new Set<number>()
    for (let round = 0; round < 8; round++) {
      const { start, send, settle, answerOf, dut, tree } = client()
      await start()
      for (let step = 0; step < 150; step++) {
        const shaped = (tag: number) => {
          const [type, shape] = shapes[random(shapes.length)]!
          return send(type, tag, (out) => {
            for (const field of shape) {
              if (field === 'f') out.u32(random(4))
              else if (field === 's') out.string(text(['a', 'b', 'c', '..'][random(4)]!))
              else if (field === 'n') out.u32(random(2) === 0 ? random(4) : random(0o2000))
              else if (field === 'q') out.u64(random(5000))
              else out.u16(Number(field))
            }
          })
        }
        const sent = Array.from({ length: 1 + random(4) }, (_, tag) => random(3) > 0 ? shaped(tag) : send(random(40) === 0 ? random(256) : types[random(types.length)]!, tag, (out) => {
          if (random(3) > 0) out.u32(numbers[random(numbers.length)]!)
          for (let fields = random(7); fields > 0; fields--) {
            switch (random(6)) {
              case 0: out.u32(numbers[random(numbers.length)]!); break
              case 1: out.string(text(['a', 'b', 'c', '..', '.', '', '/', 'x'.repeat(300)][random(8)]!)); break
              case 2: out.u64(random(3) === 0 ? 0xffff_ffff_ffff_ffffn : BigInt(random(70_000))); break
              case 3: out.u16(random(20)); break
              case 4: out.u8(random(256)); break
              case 5: out.u32(random(0o2000)); break
            }
          }
        }, [8192, 8192, 8192, 20, 11, 5][random(6)]))
        await settle()
        for (const request of sent) {
          expect(request.written).not.toBe(null)
          if (request.written === 0) continue
          const { type, error } = answerOf(request)
          if (type === t.lerror + 1) errors.add(error)
          else good++
        }
        if (random(25) === 0) dut.device.restore(structuredClone(dut.device.save()))
        if (random(8) === 0) await start().catch(() => undefined)
      }
      expect(dut.read(0x070)).toBe(15)
      expect((await tree.statistics()).free).toBeGreaterThanOrEqual(0)
    }
    expect(good).toBeGreaterThan(200)
    expect(errors.size).toBeGreaterThan(8)
  })
})
