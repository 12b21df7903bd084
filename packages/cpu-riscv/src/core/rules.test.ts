import { Arena, PAGE_SIZE } from '@machinist/memory'
import { createMemory, createTable, instantiate } from '@machinist/wasm'
import { expect, test } from 'vitest'
import type { HartExports } from '../emit/module.ts'
import { OP_SIZE, OPS_BYTES, PAGE_TAIL } from '../handlers.ts'
import { decode, emptyDecoded, instructions } from '../isa/decoder.ts'
import { ENDS_BLOCK, LENGTH, writeOp } from '../op-writer.ts'
import { coreModule, fillCore, placeCore } from './core.ts'

const MAXIMUM = 2 ** 28
const arena = new Arena(createMemory({ initial: 16, maximum: MAXIMUM / 65536, shared: true }), MAXIMUM)
const places = placeCore(arena)
fillCore(arena, places)
const frame = arena.allocate(PAGE_SIZE)
const ops = arena.allocate(OPS_BYTES + PAGE_TAIL.marks + PAGE_SIZE / 2)
arena.data.setUint32(ops + OPS_BYTES + PAGE_TAIL.frame, frame, true)

/** Instructions for which there was no rule. */
const left: number[] = []
const host = new Proxy<Record<string, unknown>>({
  memory: arena.memory,
  table: createTable(256),
  decode(word: number, op: number, offset: number) {
    left.push(word)
    return writeOp(arena.data, op >>> 0, word, offset)
  },
}, { get: (known, name) => known[String(name)] ?? (() => 0) })
const core = instantiate<HartExports>(coreModule(places, true), { host })

/** Decodes a page by the rules, from each halfword in turn that is not decoded by then, and compares it with what {@link writeOp} writes. */
function comparePage(fill: (data: DataView) => void): void {
  const page = new DataView(arena.data.buffer, frame, PAGE_SIZE)
  fill(page)
  arena.u8.fill(0, ops, ops + OPS_BYTES)
  const expected = new DataView(new ArrayBuffer(OPS_BYTES))
  for (let start = 0; start < PAGE_SIZE; start += 2) {
    core.decode(ops, ops + (start / 2) * OP_SIZE)
    for (let offset = start; offset < PAGE_SIZE; ) {
      const at = (offset / 2) * OP_SIZE
      if (expected.getUint16(at, true) !== 0) break
      const half = page.getUint16(offset, true)
      if ((half & 3) === 3 && offset === PAGE_SIZE - 2) {
        expect(arena.data.getUint16(ops + at, true)).not.toBe(0)
        break
      }
      const told = writeOp(expected, at, (half & 3) === 3 ? page.getUint32(offset, true) : half, offset)
      if (arena.data.getBigUint64(ops + at, true) !== expected.getBigUint64(at, true)) {
        const word = page.getUint32(offset, true)
        const name = instructions[decode(word, emptyDecoded()).number]?.name
        expect(arena.data.getBigUint64(ops + at, true).toString(16), `${name} ${word.toString(16)} at ${offset}`).toBe(expected.getBigUint64(at, true).toString(16))
      }
      if ((told & ENDS_BLOCK) !== 0) break
      offset += told & LENGTH
    }
  }
}

test('all instructions of 16 bits are decoded as the decoder does', () => {
  const halves = Array.from({ length: 65536 }, (_, half) => half).filter((half) => (half & 3) !== 3)
  left.length = 0
  for (let from = 0; from < halves.length; from += 2048) comparePage((data) => { for (let i = 0; i < 2048; i++) data.setUint16(2 * i, halves[from + i] ?? 1, true) })
  // Reserved ones alone, and there are few.
  for (const half of left) expect(decode(half, emptyDecoded()).number, half.toString(16)).toBe(0)
  expect(left.length).toBeGreaterThan(0)
})

let seed = 20_26
const random = (): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) | 0
  return (seed >>> 16) | (Math.imul(seed, 0x9e37_79b1) & 0xffff_0000)
}

test('instructions of 32 bits are decoded as the decoder does, whatever their operands', () => {
  left.length = 0
  const words = instructions.flatMap(({ mask, match }) => Array.from({ length: 64 }, (_, i) => {
    const free = ~mask & (i < 16 ? random() & random() & random() : random())
    return (free | match) >>> 0
  })).filter((word) => (word & 3) === 3)
  for (let from = 0; from < words.length; from += 1024) comparePage((data) => { for (let i = 0; i < 1024; i++) data.setUint32(4 * i, words[from + i] ?? 0x13, true) })
  // Rounding modes that are reserved, and operands that only others of the table have.
  for (const word of left) expect(decode(word, emptyDecoded()).number, (word >>> 0).toString(16)).toBe(0)
})

test('random bits are decoded as the decoder does', () => {
  for (let page = 0; page < 60; page++) comparePage((data) => { for (let at = 0; at < PAGE_SIZE; at += 4) data.setInt32(at, random(), true) })
})
