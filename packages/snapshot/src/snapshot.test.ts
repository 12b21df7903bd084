import { instantiateStored } from '@machinist/machine'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { catalogue, codec, counting, deflate, input, MemoryFile, RAM, run, SIZE, spoilt, stateOf, testHost, tryOut, written } from '../test/counting.ts'
import { decodePlain, encodePlain } from './plain.ts'
import { openSnapshot, writeSnapshot } from './index.ts'

test('a machine goes on where it was saved as if nothing had happened, and brings in what it touches', async () => {
  const machine = counting()
  run(machine, 40)
  const file = await written(machine, { who: 'test', many: 2n ** 70n })
  let closed = 0
  const stored = openSnapshot(input(file, () => { closed++ }), codec)
  expect(stored.about).toEqual({ who: 'test', many: 2n ** 70n })
  const copy = instantiateStored(stored, catalogue, testHost(), { exact: true })
  stored.close()
  expect([copy.state, copy.name, copy.memory.touchedPages, closed]).toEqual(['paused', 'counting', 0, 0])
  run(copy, 1)
  expect(copy.memory.touchedPages).toBeGreaterThan(0)
  expect(copy.memory.touchedPages).toBeLessThan(machine.memory.touchedPages)
  run(machine, 1)
  for (let i = 0; i < 5; i++) {
    run(machine, 30)
    run(copy, 30)
    expect(stateOf(copy)).toEqual(stateOf(machine))
  }
  // A copy of the copy holds the file, too; one that was saved again has what is still in the first file.
  const fork = await copy.fork({ start: false, exact: true })
  const again = instantiateStored(openSnapshot(input(await written(copy)), codec), catalogue, testHost(), { exact: true })
  copy.dispose()
  expect([closed, stateOf(again)]).toEqual([0, stateOf(fork)])
  fork.dispose()
  expect(closed).toBe(1)
  // Its images are in the file.
  again.start({ drive: 'caller' })
  again.reset()
  run(again, 40)
  expect(again.vcpus[0]?.retired).toBeGreaterThan(1000)
  again.dispose()
  machine.dispose()
})

test('pages are stored once, zeros not at all, and the machine may go on while they are written', async () => {
  const machine = counting()
  run(machine, 40)
  const page = Uint8Array.from({ length: 4096 }, () => Math.floor(Math.random() * 256))
  // What it used last is known once, and takes more room.
  await written(machine)
  const before = (await written(machine)).length
  for (let i = 0; i < 20; i++) machine.memory.write(RAM + 0xd_0000 + i * 4096, page)
  machine.memory.write(RAM + 0xf_0000, new Uint8Array(8192))
  const more = (await written(machine)).length - before
  expect(more).toBeGreaterThan(4000)
  expect(more).toBeLessThan(5500)
  const snapshot = await machine.save()
  const expected = stateOf(machine)
  run(machine, 20)
  const chunks: Uint8Array[] = []
  await writeSnapshot(snapshot, { write(offset, bytes) { chunks[offset] = bytes.slice(); return Promise.resolve() } }, codec)
  snapshot.dispose()
  machine.dispose()
  const file = new Uint8Array(Math.max(...Object.keys(chunks).map((offset) => Number(offset) + (chunks[Number(offset)]?.length ?? 0))))
  for (const offset of Object.keys(chunks)) file.set(chunks[Number(offset)] ?? [], Number(offset))
  const copy = instantiateStored(openSnapshot(input(file), codec), catalogue, testHost(), { exact: true })
  expect(stateOf(copy)).toEqual(expected)
  copy.dispose()
})

test('what a machine used last stands first, and is read without decompressing anything', async () => {
  const machine = counting()
  run(machine, 40)
  const snapshot = await machine.save()
  // The code, at least.
  expect(snapshot.recentPages).toContain(RAM)
  const recentPages = Array.from({ length: 40 }, (_, index) => RAM + (index * 5 % 200) * 4096)
  const file = new MemoryFile()
  await writeSnapshot({ ...snapshot, recentPages: [...recentPages, RAM + SIZE, 0] }, file, codec)
  snapshot.dispose()
  let decompressed = 0
  const stored = openSnapshot(input(file.bytes), { ...codec, decompress(...all) {
    decompressed++
    return codec.decompress(...all)
  } })
  const [region] = stored.memory
  const numbers = recentPages.map((address) => region?.pages[(address - RAM) / 4096] ?? 0).filter((number) => number > 0)
  expect(numbers.length).toBeGreaterThan(20)
  expect(Math.max(...numbers)).toBe(new Set(numbers).size)
  expect(Math.max(...(region?.pages ?? []))).toBeGreaterThan(numbers.length + 32)
  decompressed = 0
  const bytes = new Uint8Array(4096)
  for (const number of numbers) stored.source.load(number, bytes)
  expect(decompressed).toBe(0)
  stored.source.load(Math.max(...(region?.pages ?? [])), bytes)
  expect(decompressed).toBe(1)
  stored.close()
  machine.dispose()
})

test('plain data becomes text and plain data again', () => {
  const plain = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 }, fc.integer(), fc.double(), fc.bigInt(), fc.string(), fc.boolean(), fc.constantFrom(null, undefined), fc.uint8Array({ maxLength: 600 }),
      fc.array(tie('value')), fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$bytes', '$bigint', '__proto__', '$')), tie('value'), { noNullPrototype: true }),
    ),
  })).value
  fc.assert(fc.property(plain, (value) => {
    const pieces: Uint8Array[] = []
    const text = JSON.stringify(encodePlain(value, (bytes) => pieces.push(bytes) - 1))
    expect(Object.is(value, -0) ? 0 : decodePlain(JSON.parse(text), (piece) => pieces[piece] ?? new Uint8Array())).toStrictEqual(Object.is(value, -0) ? 0 : value)
  }), { numRuns: 300 })
  for (const bad of [() => {}, Symbol('s'), new Map(), new Date(0), Object.create({})]) expect(() => encodePlain(bad, () => 0)).toThrow(/cannot be written/)
})

test('a file that was changed in any way is refused with a typed error', async () => {
  const machine = counting()
  run(machine, 40)
  const file = await written(machine)
  machine.dispose()
  expect(tryOut(file)).toBe('fine')
  const change = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: fc.nat(file.length - 1), to: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constant('cut' as const), at: fc.nat(file.length - 1), to: fc.constant(0) }),
    fc.record({ kind: fc.constant('zero' as const), at: fc.nat(file.length - 1), to: fc.integer({ min: 1, max: 4096 }) }),
  )
  fc.assert(fc.property(change, ({ kind, at, to }) => {
    const bytes = kind === 'cut' ? file.slice(0, at) : file.slice()
    if (kind === 'flip') bytes[at] = (bytes[at] ?? 0) ^ to
    if (kind === 'zero') bytes.fill(0, at, at + to)
    if (Buffer.compare(bytes, file) === 0) return
    expect(['snapshot-format', 'snapshot-version', 'snapshot-damaged']).toContain(tryOut(bytes))
  }), { numRuns: 300 })
})

test('a file whose state was changed, with checksums that are right, gives a machine or a typed error', async () => {
  const machine = counting()
  run(machine, 40)
  const snapshot = await machine.save()
  const outcomes = new Map<string, number>()
  const junk = fc.oneof(fc.constantFrom(undefined, null, -1, 0, 2 ** 32, 2 ** 53, 1e300, NaN, Infinity, '', [], {}, true, 2n ** 65n, -1n), fc.integer(), fc.string({ maxLength: 5 }))
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(12), { minLength: 1, maxLength: 7 }), junk, fc.constantFrom('state', 'state', 'definition'), async (path, by, part) => {
    const file = new MemoryFile()
    const changed = { ...snapshot, [part]: spoilt(snapshot[part as 'state'], path, by) }
    try {
      await writeSnapshot(changed, file, deflate)
    } catch {
      // The writer trusts a definition.
      return
    }
    const outcome = tryOut(file.bytes)
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  }), { numRuns: 120 })
  snapshot.dispose()
  machine.dispose()
  expect(outcomes.get('state')).toBeGreaterThan(2)
  expect(outcomes.get('fine')).toBeGreaterThan(2)
})

test('a state of more bytes than can be read again is not written', async () => {
  const machine = counting()
  run(machine, 1)
  const large = new Uint8Array(2 ** 28)
  await expect(written(machine, [large, large, large, large, Uint8Array.from({ length: 300 })])).rejects.toMatchObject({ code: 'snapshot-state', value: 2 ** 30 + 300 })
})
