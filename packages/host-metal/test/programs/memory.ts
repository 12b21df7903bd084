// Runs in the image: after random operations on the memory of machines, all G-stage tables are walked by the kernel, and lead to nothing but what the page maps say.
import { isMachinistError } from '@machinist/api'
import { type Arena, CompressedPool, frameOf, GuestMemory, lzCodec, Merger, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED, PAGE_SIZE, ParkedPages, pageHash, SecondChance, WideMemory } from '@machinist/memory'
import { metalHost } from '../../src/host.ts'
import type { Native } from '../../src/native.ts'
import { physicalBase } from '../../src/physical-memory.ts'
import { GuestPages } from '../../src/vcpu/guest-pages.ts'

declare const native: Native

const BASE = 0x8000_0000
const SIZE = 4 * 2 ** 20
const PAGES = SIZE / PAGE_SIZE
const STEPS = 300

function fail(what: string): never {
  native.print(`wrong: ${what}\n`)
  native.powerOff(1)
}

let state = 12345
const random = (below: number): number => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 9) % below

interface Guest {
  readonly memory: GuestMemory
  readonly pages: GuestPages
  readonly chance: SecondChance
  /** What the first byte of each page is. */
  readonly model: Uint8Array
}

function guestOf(memory: GuestMemory, model: Uint8Array): Guest {
  return { memory, pages: new GuestPages(native, memory), chance: new SecondChance(memory), model }
}

const figures = { leaves: 0, large: 0, shared: 0 }

/** What the hardware would find, against the page map. Returns frames that are mapped. */
function check({ memory, pages }: Guest, step: string): void {
  const found = new Float64Array(native.mappings(pages.vm))
  const parts = memory.pieces.flatMap(({ arena, regions }) => regions.map((region) => ({ arena, region })))
  for (let i = 0; i < found.length; i += 4) {
    const [guest = 0, host = 0, length = 0, writable = 0] = found.subarray(i, i + 4)
    figures.leaves++
    if (length > PAGE_SIZE) figures.large++
    const { arena, region } = parts.find(({ region: each }) => guest >= each.base && guest + length <= each.base + each.size) ?? fail(`${step}: 0x${guest.toString(16)} is mapped, and no memory`)
    const base = physicalBase(arena.memory)
    for (let at = 0; at < length; at += PAGE_SIZE) {
      const entry = arena.u32[(region.map >>> 2) + (guest - region.base + at) / PAGE_SIZE] ?? 0
      if ((entry & PAGE_PRESENT) === 0 || base + frameOf(entry) !== host + at) fail(`${step}: 0x${(guest + at).toString(16)} is mapped to 0x${(host + at).toString(16)}, and its entry is ${entry.toString(16)}`)
      if (arena.references(frameOf(entry)) === 0) fail(`${step}: a frame that is free is mapped`)
      if ((entry & PAGE_SHARED) !== 0) figures.shared++
      if (writable !== 0 && (entry & (PAGE_DIRTY | PAGE_SHARED)) !== PAGE_DIRTY) fail(`${step}: 0x${(guest + at).toString(16)} may be written, and its entry is ${entry.toString(16)}`)
    }
  }
}

/** The same by `GuestMemory` alone, without what the kernel does for it. */
function plainly<T>(memory: GuestMemory, work: () => T): T {
  const { quick } = memory
  memory.quick = null
  try {
    return work()
  } finally {
    memory.quick = quick
  }
}

/** What the kernel does for devices, against what `GuestMemory` does: at pages of all kinds, their borders, those of RAM, and beyond. Memory is left as it was, but that pages may have got their frames. */
function compareQuick({ memory }: Guest, step: string): void {
  const address = (): number => {
    const page = BASE + (random(PAGES + 3) - 1) * PAGE_SIZE
    return page + (random(2) === 0 ? random(PAGE_SIZE) : [0, 1, 2, 3, PAGE_SIZE - 4, PAGE_SIZE - 3, PAGE_SIZE - 2, PAGE_SIZE - 1][random(8)] ?? 0)
  }
  const same = (what: string, work: () => unknown): void => {
    const [quickly, plain] = [work(), plainly(memory, work)].map((each) => JSON.stringify(each))
    if (quickly !== plain) fail(`${step}: ${what} is ${quickly}, not ${plain}`)
  }
  for (let i = 0; i < 12; i++) {
    const at = address()
    const length = random(4) === 0 ? random(3 * PAGE_SIZE) : random(24)
    same(`read16 ${at.toString(16)}`, () => memory.read16(at))
    same(`read32 ${at.toString(16)}`, () => memory.read32(at))
    same(`read ${at.toString(16)} ${length}`, () => {
      const into = new Uint8Array(length).fill(7)
      return [memory.read(at, into), [...into.subarray(0, 8)], into.reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, 0)]
    })
    same(`readWords ${at.toString(16)} ${length >> 2}`, () => {
      const into = new Uint32Array(length >> 2).fill(7)
      return [memory.readWords(at, into), [...into]]
    })
    // Written, seen by the plain way, and put back.
    const way = random(3)
    const count = way === 0 ? length : 2 * way
    if (count === 0 || count > length) continue
    const before = new Uint8Array(length)
    // Only where all of it can be put back.
    const there = plainly(memory, () => memory.read(at, before))
    if (!there && plainly(memory, () => memory.contains(at, count))) continue
    const bytes = Uint8Array.from(before, () => random(256))
    const written = way === 0 ? memory.write(at, bytes) : way === 1 ? memory.write16(at, bytes[0] ?? 0) : memory.write32(at, bytes[0] ?? 0)
    const fits = plainly(memory, () => memory.contains(at, count))
    if (written !== fits) fail(`${step}: a write to ${at.toString(16)} says ${String(written)}`)
    if (!written || !there) continue
    const seen = new Uint8Array(length)
    plainly(memory, () => memory.read(at, seen))
    if (way > 0) bytes.set(Uint8Array.of(bytes[0] ?? 0, 0, 0, 0).subarray(0, count))
    if (seen.some((byte, index) => byte !== (index < count ? bytes[index] : before[index]))) fail(`${step}: a write to ${at.toString(16)} is not seen`)
    const [region] = memory.regions
    for (let page = Math.floor((at - BASE) / PAGE_SIZE); page * PAGE_SIZE < at - BASE + count; page++) {
      if (region !== undefined && !memory.isDirty(region, page)) fail(`${step}: page ${page} is not dirty`)
    }
    plainly(memory, () => memory.write(at, before))
  }
  compareChains(memory, step)
}

/** Random descriptors in a table, which may end in RAM or not, followed at once and one by one. */
function compareChains(memory: GuestMemory, step: string): void {
  const entries = 1 + random(16)
  const table = random(4) === 0 ? BASE + SIZE - 16 * (1 + random(entries)) : BASE + random(PAGES - 1) * PAGE_SIZE + 16 * random(256)
  const before = new Uint8Array(16 * entries)
  plainly(memory, () => memory.read(table, before))
  for (let entry = 0; entry < entries; entry++) plainly(memory, () => memory.write32(table + 16 * entry + 12, (random(8) === 0 ? 4 : 0) | (random(5) === 0 ? 0 : 1) | (random(entries + 1) << 16)))
  const head = random(entries + 1)
  const [all, one] = [new Uint32Array(4 * (1 + random(8))), new Uint32Array(4)]
  const count = memory.readDescriptors(table, entries, head, all)
  let index = head
  for (let at = 0; at < count; at++) {
    if (index >= entries || !plainly(memory, () => memory.readWords(table + 16 * index, one)) || one.some((word, i) => word !== all[4 * at + i])) fail(`${step}: descriptor ${at} of ${count} is not number ${index}`)
    const last = one[3] ?? 0
    if (at + 1 < count && (last & 5) !== 1) fail(`${step}: a chain goes on behind its end`)
    index = last >>> 16
  }
  // Less than all of it only where there is no room, or the next is not to be had.
  if (count > 0 && ((one[3] ?? 0) & 5) === 1 && index < entries && count < all.length / 4) fail(`${step}: a chain of ${count} ends early`)
  if (count === 0 && head < entries && plainly(memory, () => memory.readWords(table + 16 * head, one)) && ((one[3] ?? 0) & 1) === 0 && memory.quick?.read32(table + 16 * head) !== -1 && (table + 16 * head) % PAGE_SIZE <= PAGE_SIZE - 16) fail(`${step}: a chain of one is not found`)
  plainly(memory, () => { for (let entry = 0; entry < entries; entry++) memory.write(table + 16 * entry, before.subarray(16 * entry, 16 * entry + 16)) })
}

function play(arena: Arena): void {
  const pool = new CompressedPool({ compress: (page, into) => native.compress(page, into), decompress: (packed, into) => { native.decompress(packed, into) } }, arena.budget, 4 * 2 ** 20)
  const parked = arena.parked = new ParkedPages(pool, null)
  const merger = new Merger(arena)
  const guests: Guest[] = []
  const add = (): void => {
    const memory = new GuestMemory(arena, false)
    memory.addRam('ram', BASE, SIZE)
    const guest = guestOf(memory, new Uint8Array(PAGES))
    guests.push(guest)
    // Where nobody was, and memory is plenty, it gets a block.
    guest.pages.serve(BASE + 8, true)
    check(guest, 'a block')
  }
  add()
  add()
  for (let step = 0; step < STEPS; step++) {
    const guest = guests[random(guests.length)] ?? fail('no guest')
    const { memory, pages, chance, model } = guest
    const first = random(PAGES)
    const count = 1 + random(Math.min(40, PAGES - first))
    const kind = random(15)
    if (kind < 4) for (let page = first; page < first + count; page++) pages.serve(BASE + page * PAGE_SIZE + 8, random(3) !== 0)
    else if (kind < 6) {
      for (let page = first; page < first + count; page++) memory.write(BASE + page * PAGE_SIZE, Uint8Array.of(model[page] = random(3)))
    } else if (kind === 6) {
      // As a balloon, or what reports free pages.
      memory.release(BASE + first * PAGE_SIZE, count * PAGE_SIZE)
      model.fill(0, first, first + count)
    } else if (kind === 7) memory.takeDirty()
    else if (kind === 8) merger.scan(memory, 300, true)
    else if (kind === 9) chance.age(random(PAGES))
    else if (kind === 10) chance.take(count, PAGES, (page) => parked.put(page))
    else if (kind === 11 && guests.length < 5) guests.push(guestOf(memory.fork(), model.slice()))
    else if (kind === 12 && random(8) === 0) {
      memory.clear()
      model.fill(0)
    } else if (kind === 13 && guests.length > 2) {
      pages.dispose()
      memory.dispose()
      guests.splice(guests.indexOf(guest), 1)
    } else if (kind === 14) compareQuick(guest, `step ${step}`)
    else if (guests.length < 2) add()
    for (const each of guests) check(each, `step ${step}, ${kind}`)
  }
  const byte = new Uint8Array(1)
  for (const { memory, pages, model } of guests) {
    for (let page = 0; page < PAGES; page++) {
      memory.read(BASE + page * PAGE_SIZE, byte)
      if (byte[0] !== model[page]) fail(`page ${page} is ${byte[0]}, not ${model[page]}`)
    }
    pages.dispose()
    memory.dispose()
  }
  if (arena.frames !== 0) fail(`${arena.frames} frames are lost`)
}

const host = metalHost(native)
const arenas = new Set<Arena>()
const promises: GuestMemory[] = []
for (let i = 0; i < 8; i++) {
  const arena = host.arena()
  arenas.add(arena)
  // So that another one has more room.
  const memory = new GuestMemory(arena, false)
  memory.addRam('promised', BASE, 256 * 2 ** 20)
  promises.push(memory)
}
for (const arena of [...arenas].slice(0, 2)) play(arena)
const above = [...arenas].filter((arena) => physicalBase(arena.memory) + arena.maximum > 2 ** 32)
native.print(`${arenas.size} arenas, ${above.length} above 4 GiB\n`)
for (const [name, count] of Object.entries(figures)) if (count < 4) fail(`${count} ${name}`)

for (const memory of promises) memory.dispose()

// The kernel's own code for pages does what TypeScript's does.
const [any] = arenas
if (any !== undefined) {
  const page = new Uint8Array(PAGE_SIZE).map((_, index) => (index * index) >>> 7)
  const frame = any.takeFrame()
  any.u8.set(page, frame)
  if (any.hash(frame) !== pageHash(any.u32, frame >>> 2) || any.hash(any.takeFrame()) !== 0) fail('a hash')
  const [mine, theirs] = [new Uint8Array(4096), new Uint8Array(4096)]
  if (native.compress(page, mine) !== lzCodec.compress(page, theirs) || mine.some((byte, index) => byte !== theirs[index])) fail('a compressed page')
  const memory = new GuestMemory(any, false)
  memory.addRam('ram', BASE, 3 * 2 ** 30)
  try {
    new GuestPages(native, memory)
    fail('a machine of 3 GiB has memory')
  } catch (error) {
    if (!isMachinistError(error) || error.code !== 'too-much-memory') throw error
  }
  memory.dispose()
}
// What is more than one arena has lies in several. Guests, devices and the page maps agree on it, and pieces end where regions of others begin.
for (const size of [3, 6]) {
  const memory = new WideMemory(host.arena(), () => host.arena())
  const { base, size: bytes } = memory.addRam('ram', BASE, size * 2 ** 30)
  if (memory.pieces.length < 2) fail(`${size} GiB lie in ${memory.pieces.length} arenas`)
  const guest = guestOf(memory, new Uint8Array(0))
  const borders = memory.pieces.flatMap(({ regions }) => regions.map((region) => region.base + region.size)).filter((at) => at < base + bytes)
  const places = [base, ...borders, base + 2 ** 31, base + bytes - 2 * PAGE_SIZE, ...Array.from({ length: 20 }, () => base + random(bytes / PAGE_SIZE - 2) * PAGE_SIZE)]
  for (const at of places) {
    const bytesAt = Uint8Array.from({ length: 2 * PAGE_SIZE + 100 }, () => random(256))
    const first = Math.max(base, at - PAGE_SIZE - 50)
    // As a guest would, one page; and a device, across pages.
    if (!guest.pages.serve(at, true) || guest.pages.serve(base + bytes, true) || guest.pages.serve(base - 1, false)) fail(`0x${at.toString(16)} is not served`)
    const seen = new Uint8Array(bytesAt.length)
    if (!memory.write(first, bytesAt) || !plainly(memory, () => memory.read(first, seen)) || seen.some((byte, index) => byte !== bytesAt[index])) fail(`0x${at.toString(16)} does not hold what was written`)
    for (const skew of [-3, -2, -1, 0, 1]) {
      const number = Math.max(first, at + skew)
      const wanted = new DataView(bytesAt.buffer).getUint32(number - first, true)
      if (memory.read32(number) !== wanted || memory.read16(number) !== (wanted & 0xffff)) fail(`0x${number.toString(16)} is another number`)
      if (!memory.write32(number, ~wanted >>> 0) || !plainly(memory, () => memory.write16(number, wanted & 0xffff)) || memory.read32(number) !== (~wanted & 0xffff0000 | wanted & 0xffff) >>> 0 || !memory.write32(number, wanted)) fail(`0x${number.toString(16)} is not written`)
    }
    // The hardware's tables lead to it, and so does another way.
    if (new Uint8Array(memory.map(at, 4, 'read')?.[0] ?? []).some((byte, index) => byte !== bytesAt[at - first + index])) fail(`0x${at.toString(16)} is elsewhere`)
  }
  check(guest, `${size} GiB`)
  const top = memory.pieces.flatMap(({ arena }) => physicalBase(arena.memory) + arena.maximum)
  if (size === 6 && Math.max(...top) <= 2 ** 32) fail('nothing is above 4 GiB')
  guest.pages.dispose()
  memory.dispose()
}
for (const call of [() => native.hash(8), () => native.hash(0), () => native.same(0x8020_0000, 0x8020_0000), () => native.mappings(99), () => native.compress(new Uint8Array(9), new Uint8Array(9)), () => native.decompress(new Uint8Array(0), new Uint8Array(4096))]) {
  try {
    call()
  } catch (error) {
    if (error instanceof RangeError) continue
  }
  fail(`${String(call)} is taken`)
}
native.print('tables lead where page maps say\n')
native.powerOff(0)
