import { instantiateStored, type Machine, type MachineSnapshot } from '@machinist/machine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { catalogue, codec, counting, input, MemoryFile, RAM, run, SIZE, spoilt, stateOf, testHost, tryOut, written } from '../test/counting.ts'
import { asciiOf, textOf } from './ascii.ts'
import type { SnapshotInput } from './file.ts'
import { decodeHeader, encodeHeader, HEADER_SIZE, MOST_FILES, readPiece } from './format.ts'
import { openSnapshot, type OpenSnapshot, rewriteSnapshot, writeSnapshot } from './index.ts'
import { codeOf } from '../../api/test/code-of.ts'

/** Files by name, and how often each is open. */
class Folder {
  readonly files: Record<string, Uint8Array> = {}
  opened = 0

  input(name: string): SnapshotInput {
    const file = this.files[name] ?? new Uint8Array()
    this.opened++
    return { ...input(file, () => { this.opened-- }), name }
  }

  open(name: string): OpenSnapshot {
    return openSnapshot(this.input(name), codec, { openParent: (_child, file) => this.input(file) })
  }

  /** What files were written from, as far as it was kept. */
  readonly #kept = new Map<string, MachineSnapshot>()

  /** Saves a machine, perhaps as the child of another file. */
  async save(machine: Machine, name: string, parent?: string): Promise<void> {
    const snapshot = parent === undefined ? undefined : this.open(parent)
    this.files[name] = await written(machine, undefined, snapshot && { parent: { snapshot, file: parent ?? '' } })
    snapshot?.close()
  }

  /** The same, with the help of what the parent was written from if that was kept; and keeps what this one is written from. */
  async saveSince(machine: Machine, name: string, parent: string): Promise<void> {
    const [opened, since, snapshot, file] = [this.open(parent), this.#kept.get(parent), await machine.save(), new MemoryFile()]
    await writeSnapshot(snapshot, file, codec, { parent: { snapshot: opened, file: parent }, ...(since && { since }) })
    opened.close()
    this.files[name] = file.bytes
    this.#kept.set(name, snapshot)
  }

  /** The machine is another one. */
  forget(): void {
    for (const snapshot of this.#kept.values()) snapshot.dispose()
    this.#kept.clear()
  }

  restore(name: string): Machine {
    const stored = this.open(name)
    try {
      return instantiateStored(stored, catalogue, testHost(), { exact: true })
    } finally {
      stored.close()
    }
  }
}

test('a child has what changed, and a machine goes on from it as the one that was saved', async () => {
  const folder = new Folder()
  const machine = counting()
  // Pages that do not change, and do not compress.
  let random = 1
  const noise = Uint8Array.from({ length: 48 * 4096 }, () => (random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0) >>> 24)
  machine.start({ drive: 'caller' })
  machine.runSlice(0)
  machine.memory.write(RAM + 0xd_0000, noise)
  run(machine, 40)
  await folder.save(machine, 'a')
  run(machine, 3)
  await folder.save(machine, 'b', 'a')
  const expected = stateOf(machine)
  run(machine, 20)
  const later = stateOf(machine)
  await folder.save(machine, 'c', 'b')
  const size = (name: string): number => folder.files[name]?.length ?? 0
  expect(size('a')).toBeGreaterThan(noise.length / 2)
  expect(size('b')).toBeLessThan(size('a') / 4)
  const copy = folder.restore('b')
  expect([copy.memory.touchedPages, folder.opened]).toEqual([0, 2])
  expect(stateOf(copy)).toEqual(expected)
  run(copy, 20)
  expect(stateOf(copy)).toEqual(later)
  // Its images are those of the first.
  copy.start({ drive: 'caller' })
  copy.reset()
  run(copy, 40)
  expect(copy.vcpus[0]?.retired).toBeGreaterThan(1000)
  copy.dispose()
  expect(folder.opened).toBe(0)
  const stored = folder.open('c')
  expect([stored.parents, stored.images]).toEqual([['b', 'a'], ['image0']])
  stored.close()
  expect(folder.opened).toBe(0)
  const last = folder.restore('c')
  expect(stateOf(last)).toEqual(later)
  last.dispose()
  machine.dispose()
})

test('machines that are saved in any order, with any parents, have their memory again; however their pages came to be as they are', async () => {
  const PAGES = 24
  const act = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), page: fc.nat(PAGES - 1), value: fc.nat(3) }),
    fc.record({ kind: fc.constantFrom('read' as const, 'release' as const, 'dirty' as const), page: fc.nat(PAGES - 1), value: fc.nat(3) }),
    fc.record({ kind: fc.constantFrom('save' as const, 'restore' as const, 'rewrite' as const), page: fc.nat(30), value: fc.nat(30) }),
  )
  const seed = Number(process.env['SNAPSHOT_SEED'] ?? 1)
  await fc.assert(fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 40 }), async (acts) => {
    const folder = new Folder()
    let machine = counting(1)
    machine.start({ drive: 'caller' })
    machine.runSlice(0)
    machine.pause()
    await folder.save(machine, '0')
    const names = ['0']
    const saved = [stateOf(machine)]
    const at = (page: number): number => RAM + 0xc_0000 + page * 4096
    for (const { kind, page, value } of acts) {
      const name = String(names.length)
      const [first = '0', second = '0'] = [names[page % names.length], names[value % names.length]]
      if (kind === 'write') machine.memory.write(at(page), new Uint8Array(4096).fill(value))
      if (kind === 'read') machine.memory.resolve(at(page))
      if (kind === 'release') machine.memory.release(at(page), 4096)
      if (kind === 'dirty') machine.memory.takeDirty()
      if (kind === 'save') {
        const before = stateOf(machine)
        if (value % 2 === 0) await folder.saveSince(machine, name, first)
        else await folder.save(machine, name, value % 4 === 1 ? undefined : first)
        saved.push(before)
        names.push(name)
      }
      if (kind === 'restore') {
        machine.dispose()
        folder.forget()
        machine = folder.restore(first)
      }
      if (kind === 'rewrite') {
        const [stored, parent] = [folder.open(first), folder.open(second)]
        const file = new MemoryFile()
        await rewriteSnapshot(stored, file, codec, value % 3 === 0 ? {} : { parent: { snapshot: parent, file: second } })
        stored.close()
        parent.close()
        folder.files[name] = file.bytes
        saved.push(saved[names.indexOf(first)])
        names.push(name)
      }
    }
    machine.dispose()
    folder.forget()
    for (const [index, name] of names.entries()) {
      const copy = folder.restore(name)
      expect(stateOf(copy)).toEqual(saved[index])
      copy.dispose()
    }
    expect(folder.opened).toBe(0)
  }), { numRuns: 12, seed })
})

/** A file whose document was changed, with checksums that are right. */
function changed(file: Uint8Array, change: (document: Record<string, unknown>) => unknown): Uint8Array {
  const { document, ...header } = decodeHeader(input(file), codec)
  const json = JSON.parse(textOf(readPiece(input(file), codec, header.compression, document, 2 ** 20, 'document')) ?? '') as Record<string, unknown>
  const text = asciiOf(JSON.stringify(change(json) ?? null))
  const bytes = new Uint8Array(file.length + text.length)
  bytes.set(file)
  bytes.set(text, file.length)
  bytes.set(encodeHeader({ ...header, document: [file.length, text.length, text.length, codec.crc32(text)] }, bytes.length, codec))
  return bytes
}

async function chainOfTwo(): Promise<Folder> {
  const folder = new Folder()
  const machine = counting()
  run(machine, 40)
  await folder.save(machine, 'a')
  run(machine, 2)
  await folder.save(machine, 'b', 'a')
  machine.dispose()
  return folder
}

test('a parent that is missing, is another, or leads back is refused, and nothing stays open', async () => {
  const folder = await chainOfTwo()
  const [a = new Uint8Array(), b = new Uint8Array()] = [folder.files['a'], folder.files['b']]
  expect(codeOf(() => openSnapshot(input(b), codec))).toBe('snapshot-parent')
  const machine = counting()
  run(machine, 41)
  await folder.save(machine, 'a')
  machine.dispose()
  expect(codeOf(() => folder.open('b'))).toBe('snapshot-parent')
  folder.files['a'] = new Uint8Array(100)
  expect(codeOf(() => folder.open('b'))).toBe('snapshot-format')
  folder.files['a'] = a
  // One that says that it is its own parent: whoever opens it takes its word for what it is.
  const itself = changed(b, (document) => ({ ...document, parent: { file: 'b', ...decodeHeader(input(b), codec).identity } }))
  folder.files['b'] = itself
  expect(codeOf(() => folder.open('b'))).toBe('snapshot-parent')
  folder.files['b'] = b
  expect(folder.opened).toBe(3)
  // Of the first file the caller sees to it that it is closed.
  folder.opened = 0
  let parent = 'b'
  for (let files = 2; files < MOST_FILES; files++) {
    const [snapshot, file] = [folder.open(parent), new MemoryFile()]
    await rewriteSnapshot(snapshot, file, codec, { parent: { snapshot, file: parent } })
    snapshot.close()
    parent = `c${files}`
    folder.files[parent] = file.bytes
  }
  const last = folder.restore(parent)
  last.dispose()
  const snapshot = folder.open(parent)
  await expect(rewriteSnapshot(snapshot, new MemoryFile(), codec, { parent: { snapshot, file: parent } })).rejects.toMatchObject({ code: 'snapshot-chain' })
  snapshot.close()
  folder.files['d'] = changed(folder.files[parent] ?? new Uint8Array(), (document) => ({ ...document, parent: { file: parent, ...decodeHeader(folder.input(parent), codec).identity } }))
  folder.opened = 0
  expect(codeOf(() => folder.open('d'))).toBe('snapshot-chain')
  expect(folder.opened).toBe(1)
})

test('a chain that was changed in any way is refused with a typed error', async () => {
  const folder = await chainOfTwo()
  const [a = new Uint8Array(), b = new Uint8Array()] = [folder.files['a'], folder.files['b']]
  const options = { openParent: (_child: string, file: string) => folder.input(file) }
  expect(tryOut(b, options)).toBe('fine')
  const change = fc.record({ which: fc.constantFrom('a', 'b'), at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), to: fc.integer({ min: 1, max: 255 }) })
  fc.assert(fc.property(change, ({ which, at, to }) => {
    const bytes = (which === 'a' ? a : b).slice()
    const place = Math.floor(at * bytes.length)
    bytes[place] = (bytes[place] ?? 0) ^ to
    folder.files['a'] = which === 'a' ? bytes : a
    // A chunk or an image of the parent may be one that the child does not use.
    expect([...which === 'a' && place > HEADER_SIZE ? ['fine'] : [], 'snapshot-format', 'snapshot-version', 'snapshot-damaged', 'snapshot-parent']).toContain(tryOut(which === 'b' ? bytes : b, options))
  }), { numRuns: 200 })
  folder.files['a'] = a
  const junk = fc.oneof(fc.constantFrom(undefined, null, -1, 0, 1, 2 ** 32, 2 ** 53, 'a', 'b', '', 'parent', [], {}, true), fc.integer())
  const outcomes = new Set<string>()
  fc.assert(fc.property(fc.constantFrom('parent', 'memory', 'images', 'bytes'), fc.array(fc.nat(12), { maxLength: 5 }), junk, (key, path, by) => {
    outcomes.add(tryOut(changed(b, (document) => ({ ...document, [key]: spoilt(document[key], path, by) })), options))
  }), { numRuns: 200 })
  expect([...outcomes]).toEqual(expect.arrayContaining(['fine', 'snapshot-damaged', 'snapshot-parent']))
  // A parent without what the child is to have from it.
  const smaller = changed(b, (document) => ({ ...document, memory: { ...document['memory'] as object, regions: (document['memory'] as { regions: object[] }).regions.map((region) => ({ ...region, base: RAM + SIZE })) } }))
  expect(tryOut(smaller, options)).toBe('snapshot-damaged')
})

test('with what the parent was written from, a child is the same file, and pages of the parent are not read', async () => {
  const folder = new Folder()
  const machine = counting()
  machine.start({ drive: 'caller' })
  machine.runSlice(0)
  for (let page = 0; page < 16; page++) machine.memory.write(RAM + 0xc_0000 + page * 4096, new Uint8Array(4096).fill(page + 1))
  const before = await machine.save()
  const first = new MemoryFile()
  await writeSnapshot(before, first, codec)
  folder.files['a'] = first.bytes
  machine.memory.write(RAM + 0xc_0000, new Uint8Array(4096).fill(99))
  // Written, but the same; the same, but elsewhere; gone, and back.
  machine.memory.write(RAM + 0xc_1000, new Uint8Array(4096).fill(2))
  machine.memory.write(RAM + 0xc_2000, new Uint8Array(4096).fill(4))
  machine.memory.release(RAM + 0xc_3000, 4096)
  machine.memory.release(RAM + 0xc_4000, 4096)
  machine.memory.write(RAM + 0xc_4000, new Uint8Array(4096).fill(5))
  const after = await machine.save()
  const files = []
  let loads = 0
  for (const since of [null, before]) {
    const parent = folder.open('a')
    const { source } = parent
    const watched: OpenSnapshot = { ...parent, source: { load(number, into) {
      loads++
      source.load(number, into)
    } } }
    const file = new MemoryFile()
    loads = 0
    await writeSnapshot(after, file, codec, { parent: { snapshot: watched, file: 'a' }, ...(since && { since }) })
    files.push({ bytes: file.bytes, loads })
    parent.close()
  }
  expect(files.map((each) => each.loads > 0)).toEqual([true, false])
  expect(files[1]?.bytes).toEqual(files[0]?.bytes)
  before.dispose()
  after.dispose()
  const { arena } = machine.memory
  machine.dispose()
  expect(arena.frames).toBe(0)
})

test('of long byte strings, such as contents of disks, a child has those that its parents have not, wherever these are', async () => {
  const folder = new Folder()
  const machine = counting()
  run(machine, 3)
  let random = 1
  const noise = (): Uint8Array => Uint8Array.from({ length: 16_384 }, () => (random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0) >>> 24)
  const version = (name: string): number => folder.files[name]?.[8] ?? 0
  const size = (name: string): number => folder.files[name]?.length ?? 0
  const save = async (name: string, about: readonly Uint8Array[], parent?: string): Promise<void> => {
    const opened = parent === undefined ? undefined : folder.open(parent)
    folder.files[name] = await written(machine, about, opened && { parent: { snapshot: opened, file: parent ?? '' } })
    opened?.close()
  }
  const sums = (list: unknown): number[] => (list as readonly Uint8Array[]).map((bytes) => codec.crc32(bytes))
  const about = (name: string): number[] => {
    const snapshot = folder.open(name)
    snapshot.close()
    return sums(snapshot.about)
  }
  const first = Array.from({ length: 20 }, noise)
  // One that changed, in a byte; one that came; one that went; and the others are elsewhere.
  const second = [noise(), ...first.slice(2), first[0]!.map((byte, at) => at === 16_383 ? byte ^ 1 : byte)]
  const third = [...second.slice(5), first[1]!, noise()]
  await save('a', first)
  await save('b', second, 'a')
  await save('c', third, 'b')
  await save('d', [noise()], 'a')
  expect([version('a'), version('b'), version('c'), version('d')]).toEqual([1, 3, 3, 2])
  expect(size('a')).toBeGreaterThan(20 * 16_384)
  // One that its parent does not have any more is in a file again.
  expect([size('b') < 3 * 16_384, size('c') < 3 * 16_384]).toEqual([true, true])
  expect([about('a'), about('b'), about('c')]).toEqual([first, second, third].map(sums))
  const [c, other] = [folder.open('c'), new MemoryFile()]
  await rewriteSnapshot(c, other, codec)
  c.close()
  folder.files['e'] = other.bytes
  expect([version('e'), about('e')]).toEqual([1, sums(third)])
  // Numbers that lead nowhere, in the child and in its parent.
  for (const wrong of [-1, 0.5, 1000, 2 ** 40]) {
    folder.files['f'] = changed(folder.files['b']!, (document) => ({ ...document, bytes: (document['bytes'] as unknown[]).map(() => wrong) }))
    expect(codeOf(() => folder.open('f'))).toBe('snapshot-damaged')
  }
  folder.files['g'] = changed(folder.files['a']!, (document) => ({ ...document, bytes: (document['bytes'] as unknown[]).map(() => 0) }))
  expect(codeOf(() => folder.open('g'))).toBe('snapshot-damaged')
  machine.dispose()
})
