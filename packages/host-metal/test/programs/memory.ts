// Runs in the image: after random operations on the memory of machines, all G-stage tables are walked by the kernel, and lead to nothing but what the page maps say.
import { isMachinistError } from '@machinist/api'
import { type Arena, CompressedPool, frameOf, GuestMemory, lzCodec, Merger, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED, PAGE_SIZE, ParkedPages, pageHash, SecondChance } from '@machinist/memory'
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
  const { arena } = memory
  const base = physicalBase(arena.memory)
  const [region] = memory.regions
  if (region === undefined) return
  const found = new Float64Array(native.mappings(pages.vm))
  for (let i = 0; i < found.length; i += 4) {
    const [guest = 0, host = 0, length = 0, writable = 0] = found.subarray(i, i + 4)
    figures.leaves++
    if (length > PAGE_SIZE) figures.large++
    if (guest < region.base || guest + length > region.base + region.size) fail(`${step}: 0x${guest.toString(16)} is mapped, and no memory`)
    for (let at = 0; at < length; at += PAGE_SIZE) {
      const entry = arena.u32[(region.map >>> 2) + (guest - region.base + at) / PAGE_SIZE] ?? 0
      if ((entry & PAGE_PRESENT) === 0 || base + frameOf(entry) !== host + at) fail(`${step}: 0x${(guest + at).toString(16)} is mapped to 0x${(host + at).toString(16)}, and its entry is ${entry.toString(16)}`)
      if (arena.references(frameOf(entry)) === 0) fail(`${step}: a frame that is free is mapped`)
      if ((entry & PAGE_SHARED) !== 0) figures.shared++
      if (writable !== 0 && (entry & (PAGE_DIRTY | PAGE_SHARED)) !== PAGE_DIRTY) fail(`${step}: 0x${(guest + at).toString(16)} may be written, and its entry is ${entry.toString(16)}`)
    }
  }
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
    const kind = random(14)
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
    } else if (guests.length < 2) add()
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
for (let i = 0; i < 8; i++) {
  const arena = host.arena()
  arenas.add(arena)
  // So that another one has more room.
  new GuestMemory(arena, false).addRam('promised', BASE, 256 * 2 ** 20)
}
for (const arena of [...arenas].slice(0, 2)) play(arena)
const above = [...arenas].filter((arena) => physicalBase(arena.memory) + arena.maximum > 2 ** 32)
native.print(`${arenas.size} arenas, ${above.length} above 4 GiB\n`)
for (const [name, count] of Object.entries(figures)) if (count < 4) fail(`${count} ${name}`)

// The kernel's own code for pages does what TypeScript's does.
const [any] = arenas
if (any !== undefined) {
  const page = new Uint8Array(PAGE_SIZE).map((_, index) => (index * index) >>> 7)
  const frame = any.takeFrame()
  any.u8.set(page, frame)
  if (any.hash(frame) !== pageHash(any.u32, frame >>> 2) || any.hash(any.takeFrame()) !== 0) fail('a hash')
  const [mine, theirs] = [new Uint8Array(4096), new Uint8Array(4096)]
  if (native.compress(page, mine) !== lzCodec.compress(page, theirs) || mine.some((byte, index) => byte !== theirs[index])) fail('a compressed page')
  try {
    const memory = new GuestMemory(any, false)
    memory.addRam('ram', BASE, 3 * 2 ** 30)
    new GuestPages(native, memory)
    fail('a machine of 3 GiB has memory')
  } catch (error) {
    if (!isMachinistError(error) || error.code !== 'too-much-memory') throw error
  }
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
