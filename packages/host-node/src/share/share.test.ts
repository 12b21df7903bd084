import { execFileSync } from 'node:child_process'
import { chmodSync, fstatSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FileNode, FileTree, FoundNode, OpenFile } from '@machinist/api'
import { memoryTree } from '@machinist/storage'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FolderNode } from './folder-node.ts'
import { FolderShare, sharedFolder } from './folder-share.ts'

let root = ''
beforeEach(() => { root = mkdtempSync(join(tmpdir(), 'machinist-share-')) })
afterEach(() => { rmSync(root, { recursive: true, force: true }) })

const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value))
const code = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : `not typed: ${String(error)}`)
const outcome = <T>(work: Promise<T>): Promise<{ value: T } | { error: string }> => work.then((value) => ({ value }), (error: unknown) => ({ error: code(error) }))
const openFiles = (): number => readdirSync('/proc/self/fd').length

function generator(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return Math.floor(((state ^ (state >>> 13)) >>> 0) / 2 ** 32 * below)
  }
}

describe.skipIf(process.platform !== 'linux')('a shared folder', () => {
  const share = (options = {}): FolderShare => new FolderShare(root, options)
  const at = async (tree: FileTree, ...names: string[]): Promise<FoundNode> => {
    let found = await tree.root()
    for (const name of names) found = await found.node.lookup(text(name))
    return found
  }

  it('and a tree in memory answer alike to anything', async () => {
    const errors = new Set<string>()
    const otherwise: string[] = []
    let refusals = 0
    let steps = 0
    let orphans = 0
    const before = openFiles()
    for (let seed = 1; seed <= 6; seed++) {
      const random = generator(seed * 7919)
      const host = new FolderShare(mkdtempSync(join(root, 'tree-')), { owners: 'host' })
      const trees = [memoryTree(), host] as const
      // The same node, and the same open file, of both.
      let nodes: FileNode[][] = [[(await trees[0].root()).node, (await trees[1].root()).node]]
      const files: OpenFile[][] = []
      const describeBoth = ({ attributes: { kind, mode, size, links } }: { readonly attributes: FoundNode['attributes'] }) =>
        kind === 'folder' ? { kind, mode } : { kind, size, links, ...(kind === 'link' ? {} : { mode }) }
      const both = async <T>(work: (side: 0 | 1) => Promise<T>, say: (value: T) => unknown): Promise<T[] | null> => {
        const got = [await outcome(work(0)), await outcome(work(1))]
        const said = got.map((each) => ('value' in each ? { said: say(each.value) } : each))
        steps++
        // Of two things that are wrong either may be told.
        if (got.every((each) => 'error' in each)) {
          refusals++
          if (JSON.stringify(got[0]) !== JSON.stringify(got[1])) otherwise.push(got.map((each) => ('error' in each ? each.error : '')).join())
        } else expect(said[0]).toEqual(said[1])
        for (const each of got) if ('error' in each) errors.add(each.error)
        return got.flatMap((each) => ('value' in each ? [each.value] : [])).length === 2 ? got.flatMap((each) => ('value' in each ? [each.value] : [])) : null
      }
      const keep = (found: { readonly node: FileNode }[] | null): void => { if (found !== null) nodes.push(found.map(({ node }) => node)) }
      for (let step = 0; step < 400; step++) {
        const pick = nodes[random(nodes.length)]!
        const other = nodes[random(nodes.length)]!
        const name = text(`n${random(6)}`)
        const name2 = text(random(30) === 0 ? 'x'.repeat(256) : `n${random(6)}`)
        const file = files.length > 0 ? files[random(files.length)]! : null
        const mode = 0o600 + random(64)
        const how = { read: random(2) === 0, write: true, truncate: random(4) === 0, append: random(4) === 0 }
        switch (random(16)) {
          case 0: case 1: keep(await both((side) => pick[side]!.lookup(name), describeBoth)); break
          case 2: case 3: {
            const exclusive = random(2) === 0
            const made = await both((side) => pick[side]!.create(name, mode, { ...how, exclusive }), describeBoth)
            keep(made)
            if (made !== null) files.push(made.map((each) => each.file))
            break
          }
          case 4: case 5: keep(await both((side) => pick[side]!.makeFolder(name2, mode), describeBoth)); break
          case 6: keep(await both((side) => pick[side]!.makeLink(name, text('../n1')), describeBoth)); break
          case 7: await both((side) => pick[side]!.link(name, other[side]!), () => null); break
          case 8: {
            const folder = random(2) === 0
            await both((side) => pick[side]!.unlink(name, folder), () => null)
            break
          }
          case 9: case 10: await both((side) => pick[side]!.rename(name, other[side]!, name2), () => null); break
          case 11: await both((side) => pick[side]!.readLink(), (target) => Buffer.from(target).toString()); break
          case 12: {
            const opened = await both((side) => pick[side]!.open(how), describeBoth)
            if (opened !== null) files.push(opened.map((each) => each.file))
            break
          }
          case 13: {
            const changes = random(2) === 0 ? { size: random(5000) } : { mode: random(0o1000), modified: BigInt(random(1e9)) * 1_000_000_000n }
            await both(async (side) => {
              await pick[side]!.change(changes)
              return pick[side]!.attributes()
            }, (attributes) => ({ ...describeBoth({ attributes }), time: 'modified' in changes && attributes.modified }))
            break
          }
          case 14:
            await both(async (side) => {
              const list = await pick[side]!.list()
              const all: string[] = []
              for (let some = await list.next(3); some.length > 0; some = await list.next(3)) all.push(...some.map(({ name: each, attributes }) => `${Buffer.from(each).toString()} ${attributes.kind}`))
              list.close()
              return all.sort()
            }, (all) => all)
            break
          case 15:
            if (file === null) break
            if (random(2) === 0) {
              const bytes = Uint8Array.from({ length: random(300) }, () => random(256))
              const offset = random(3000)
              await both((side) => file[side]!.write(offset, bytes), () => null)
            }
            if (random(3) === 0) {
              const changes = { ...(random(2) === 0 ? { size: random(5000) } : { mode: random(0o1000) }), modified: BigInt(random(1e9)) * 1_000_000_000n }
              await both(async (side) => {
                await file[side]!.change(changes)
                return file[side]!.attributes()
              }, (attributes) => ({ ...describeBoth({ attributes }), time: attributes.modified }))
            }
            await both((side) => file[side]!.attributes(), (attributes) => describeBoth({ attributes }))
            await both((side) => file[side]!.flush(), () => null)
            if (random(8) === 0) for (const each of files.splice(files.indexOf(file), 1)[0]!) each.close()
            break
        }
        // By a name that went a folder of the host knows only what is open.
        nodes = nodes.filter((each) => {
          const node = each[1]
          if (!(node instanceof FolderNode && node.place.gone)) return true
          const open = host.open.find(node.place.identity)
          if (open !== null) orphans++
          return open !== null && fstatSync(open.fd).nlink === 0
        })
        if (nodes.length > 40) for (const each of nodes.splice(20, 10).flat()) each.release()
      }
      for (const each of files.flat()) each.close()
      for (const each of nodes.flat()) each.release()
      expect(host.open.count).toBe(0)
      host.close()
    }
    expect(steps).toBeGreaterThan(1800)
    expect(orphans).toBeGreaterThan(20)
    expect(otherwise.length).toBeLessThan(refusals / 10)
    expect([...errors].sort()).toEqual(expect.arrayContaining(['EEXIST', 'EINVAL', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EPERM']))
    expect([...errors].filter((each) => each.startsWith('not typed'))).toEqual([])
    // What is closed goes soon.
    for (let tries = 0; tries < 6000 && openFiles() > before + 1; tries++) await new Promise((resolve) => { setTimeout(resolve, 10) })
    expect(openFiles()).toBeLessThanOrEqual(before + 1)
  })

  it('ends at its root: no link is followed, whoever made it and whenever', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'machinist-outside-'))
    try {
      writeFileSync(join(outside, 'secret'), 'secret')
      mkdirSync(join(root, 'inside'))
      writeFileSync(join(root, 'inside/secret'), 'harmless')
      symlinkSync(outside, join(root, 'folder'))
      symlinkSync(join(outside, 'secret'), join(root, 'file'))
      const tree = share()
      const link = (await at(tree, 'folder')).node
      expect((await link.attributes()).kind).toBe('link')
      expect(Buffer.from(await link.readLink()).toString()).toBe(outside)
      const file = (await at(tree, 'file')).node
      for (const work of [
        () => link.list(), () => link.lookup(text('secret')), () => link.makeFolder(text('new'), 0o755),
        () => link.create(text('new'), 0o644, { read: true, write: true, exclusive: false }), () => link.unlink(text('secret'), false),
        () => link.rename(text('secret'), link, text('moved')), () => file.open({ read: true, write: false }),
        () => file.open({ read: false, write: true, truncate: true }), () => file.change({ size: 0 }), () => file.change({ mode: 0 }),
        async () => (await tree.root()).node.create(text('file'), 0o644, { read: false, write: true, truncate: true, exclusive: false }),
      ] as readonly (() => Promise<unknown>)[]) expect(await outcome(work())).toHaveProperty('error')

      // Somebody puts a link where a folder was, after the guest has found it.
      const { node } = await at(tree, 'inside')
      const secret = (await node.lookup(text('secret'))).node
      renameSync(join(root, 'inside'), join(root, 'before'))
      symlinkSync(outside, join(root, 'inside'))
      const read = async (): Promise<string> => {
        const { file } = await secret.open({ read: true, write: false })
        const into = new Uint8Array(100)
        const length = await file.read(0, into)
        file.close()
        return Buffer.from(into.subarray(0, length)).toString()
      }
      expect(await outcome(read())).toEqual({ value: 'harmless' })
      tree.close()
      expect(await outcome(read())).toEqual({ error: 'ENOTDIR' })
      expect(readdirSync(outside)).toEqual(['secret'])
      expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret')
      expect(statSync(join(outside, 'secret')).mode & 0o777).not.toBe(0)
    } finally {
      rmSync(outside, { recursive: true })
    }
  })

  it('keeps to its options, and gives the guest no way to leave traps on the host', async () => {
    writeFileSync(join(root, 'f'), 'x')
    const shut = share({ readOnly: true })
    const { node } = await at(shut, 'f')
    for (const work of [() => node.open({ read: true, write: true }), () => node.change({ mode: 0o777 }), async () => (await shut.root()).node.unlink(text('f'), false)] as readonly (() => Promise<unknown>)[]) {
      expect(await outcome(Promise.resolve().then(work))).toEqual({ error: 'EROFS' })
    }
    const tree = share({ openFiles: 3 })
    const top = (await tree.root()).node
    const made = await top.create(text('setuid'), 0o6755, { read: true, write: true, exclusive: true })
    await made.node.change({ mode: 0o4777, user: 12345 })
    expect(lstatSync(join(root, 'setuid')).mode & 0o7777).toBe(0o777)
    expect(lstatSync(join(root, 'setuid')).uid).toBe(process.getuid?.())
    expect(made.attributes.user).toBe(0)
    await made.node.open({ read: true, write: false })
    await made.node.open({ read: true, write: false })
    expect(await outcome(made.node.open({ read: true, write: false }))).toEqual({ error: 'EMFILE' })
    made.file.close()
    expect(await outcome(top.list())).toHaveProperty('value')
    // What is no file is not opened, and what is no name is not looked up.
    execFileSync('mkfifo', [join(root, 'pipe')])
    expect(await outcome((await at(tree, 'pipe')).node.open({ read: true, write: true }))).toEqual({ error: 'EACCES' })
    expect(await outcome(top.create(text('pipe'), 0o644, { read: true, write: true, exclusive: false }))).toEqual({ error: 'EACCES' })
    for (const name of ['', '.', '..', 'a/b', '../f', 'f\0']) {
      for (const work of [() => top.lookup(text(name)), () => top.makeFolder(text(name), 0o755), () => top.rename(text('f'), top, text(name))] as readonly (() => Promise<unknown>)[]) {
        expect(await outcome(work())).toEqual({ error: 'EINVAL' })
      }
    }
    // Names are bytes.
    const odd = Uint8Array.of(0xff, 0x20, 0x0a, 0xc3)
    await top.makeFolder(odd, 0o755)
    await top.makeLink(Uint8Array.of(0xfe), odd)
    expect(readdirSync(root, { encoding: 'buffer' }).some((name) => name.equals(odd))).toBe(true)
    expect(readlinkSync(Buffer.concat([Buffer.from(`${root}/`), Uint8Array.of(0xfe)]), { encoding: 'buffer' }).equals(odd)).toBe(true)
    // A file that is another one by now is not taken for the first.
    const first = await at(tree, 'f')
    writeFileSync(join(root, 'g'), 'second')
    rmSync(join(root, 'f'))
    linkSync(join(root, 'g'), join(root, 'f'))
    expect((await at(tree, 'f')).attributes.id).not.toBe(first.attributes.id)
    tree.close()
  })

  const contentOf = async (file: OpenFile): Promise<string> => {
    const into = new Uint8Array(100)
    return Buffer.from(into.subarray(0, await file.read(0, into))).toString()
  }
  const gone = async (works: readonly (() => Promise<unknown>)[]): Promise<void> => {
    for (const work of works) expect(await outcome(work())).toEqual({ error: 'ENOENT' })
  }

  it('what is open is operated on through its handle, whatever becomes of its name and mode', async () => {
    const tree = share()
    const top = (await tree.root()).node
    for (const [name, mode] of [['f', 0o644], ['shut', 0o400], ['none', 0]] as const) {
      const { node, file } = await top.create(text(name), mode, { read: false, write: true, exclusive: true })
      await file.write(0, text('content'))
      if (name === 'f') await top.unlink(text(name), false)
      else chmodSync(join(root, name), 0)
      // By the handle, and by the node, of which the guest's kernel knows no name any more.
      for (const each of [file, node]) {
        await each.change({ size: 4 })
        expect((await each.attributes()).size).toBe(4)
        await each.change({ size: 9, mode: 0o400, modified: 7_000_000_000n, accessed: 5_000_000_000n })
        const { size, mode: now, modified, accessed, links } = await each.attributes()
        expect([size, now, modified, accessed, links]).toEqual([9, 0o400, 7_000_000_000n, 5_000_000_000n, name === 'f' ? 0 : 1])
      }
      await file.flush()
      const again = (await node.open({ read: true, write: false })).file
      expect(await contentOf(again)).toBe('cont\0\0\0\0\0')
      await again.change({ size: 2 }) // also where this one only reads
      expect((await file.attributes()).size).toBe(2)
      for (const each of [file, again]) each.close()
      expect(await outcome(file.attributes())).toEqual({ error: 'EBADF' })
      if (name === 'f') await gone([() => node.attributes(), () => node.change({ mode: 0o600 }), () => node.open({ read: true, write: false })])
    }
    // Folders too.
    mkdirSync(join(root, 'd'))
    const { node: folder } = await at(tree, 'd')
    writeFileSync(join(root, 'd/inside'), '')
    const list = await folder.list()
    const names = async (): Promise<string[]> => (await list.next(9)).map(({ name }) => Buffer.from(name).toString())
    expect([await names(), await names()]).toEqual([['inside'], []])
    await list.rewind()
    expect(await names()).toEqual(['inside'])
    renameSync(join(root, 'd'), join(root, 'e'))
    mkdirSync(join(root, 'd'))
    await list.change({ mode: 0o711 })
    await list.flush()
    expect([statSync(join(root, 'e')).mode & 0o777, statSync(join(root, 'd')).mode & 0o777]).toEqual([0o711, 0o755])
    expect((await folder.lookup(text('inside'))).attributes.kind).toBe('file')
    rmSync(join(root, 'e'), { recursive: true })
    expect([(await list.attributes()).kind, (await folder.attributes()).kind]).toEqual(['folder', 'folder'])
    await list.rewind()
    expect(await names()).toEqual([])
    list.close()
    expect(tree.open.count).toBe(0)
    tree.close()
  })

  it('a node never becomes another file', async () => {
    const tree = share()
    writeFileSync(join(root, 'f'), 'first')
    mkdirSync(join(root, 'd'))
    writeFileSync(join(root, 'd/f'), 'first')
    symlinkSync('first', join(root, 'l'))
    const [file, folder, inner, link] = [await at(tree, 'f'), await at(tree, 'd'), await at(tree, 'd', 'f'), await at(tree, 'l')].map(({ node }) => node) as [FileNode, FileNode, FileNode, FileNode]
    const held = (await file.open({ read: true, write: true })).file
    tree.handles.close() // nothing is remembered but what it was
    for (const name of ['f', 'd', 'l']) renameSync(join(root, name), join(root, `old-${name}`))
    writeFileSync(join(root, 'f'), 'the second, which is longer')
    mkdirSync(join(root, 'd'))
    writeFileSync(join(root, 'd/f'), 'second')
    symlinkSync('second', join(root, 'l'))
    const seen = (): unknown => ['f', 'd/f', 'd', 'l'].map((name) => [lstatSync(join(root, name), { bigint: true }).mtimeNs, lstatSync(join(root, name)).mode])
    const before = seen()
    const later = { modified: 5n, mode: 0o600 }
    const how = { read: true, write: true, truncate: true }
    const top = (await tree.root()).node
    await gone([
      () => folder.attributes(), () => folder.change(later), () => folder.lookup(text('f')), () => folder.list(), () => folder.makeFolder(text('new'), 0o755),
      () => folder.create(text('new'), 0o644, { ...how, exclusive: false }), () => folder.unlink(text('f'), false), () => folder.rename(text('f'), folder, text('g')),
      () => inner.attributes(), () => inner.open(how), () => inner.change(later), () => inner.change({ size: 0 }), () => inner.change({ modified: 5n }),
      () => link.readLink(), () => link.attributes(), () => link.change({ modified: 5n }), () => top.link(text('new'), link), () => top.link(text('new'), file),
    ])
    // It is open, so the first is still there.
    expect((await file.attributes()).size).toBe(5)
    expect(await contentOf((await file.open({ read: true, write: false })).file)).toBe('first')
    await file.change({ size: 3, mode: 0o600 })
    expect(readFileSync(join(root, 'old-f'), 'utf8')).toBe('fir')
    held.close()
    const { node: second, attributes } = await at(tree, 'f')
    expect(attributes.size).toBe(27)
    expect((await second.attributes()).size).toBe(27)
    expect(seen()).toEqual(before)
    // Cut off from outside, it is the same file.
    truncateSync(join(root, 'f'), 3)
    expect((await second.attributes()).size).toBe(3)
    tree.close()
  })

  it('refuses what is no folder', () => {
    writeFileSync(join(root, 'f'), '')
    expect(() => sharedFolder(join(root, 'f'))).toThrow(expect.objectContaining({ code: 'file-enotdir' }))
    expect(() => sharedFolder(join(root, 'none'))).toThrow(expect.objectContaining({ code: 'file-enoent' }))
  })
})
