import { PAGE_IN_TLB } from '@machinist/cpu-core'
import { PAGE_CODE, PAGE_SIZE } from '@machinist/memory'
import { tlbLayout } from '@machinist/mmu'
import { expect, test } from 'vitest'
import { CodePages } from './code-pages.ts'
import { decodeRun } from './decode/run-decoder.ts'
import { decodeSlot, type Views } from './emit/decode-slot.ts'
import { State } from './emit/layout.ts'
import { DenseKey, densePage, LINE } from './emit/op-format.ts'
import { decodedLayout, Outcome } from './emit/steps.ts'
import { longMode, testMachine } from './test-machine.ts'

const CODE = 0x1_0000
const [RAX, RCX, RDX, RBX] = [0, 1, 2, 3]

test('a page that a function of its own code takes from a copy of the machine is watched where it is then', () => {
  // movups [rbx+0x800], xmm0, twice; mov [rip+1], cl; mov al, 0; add edx, eax; inc ecx; jmp back
  const machine = testMachine()
  machine.memory.write(CODE, Uint8Array.from(Buffer.from('0f1183000800000f118300080000880d01000000b00001c2ffc1ebe4', 'hex')))
  machine.cpu.reset('cold', { pc: 0, args: [], start: longMode(machine.memory, CODE) })
  const { record } = machine.hart
  record.set64('cr4', record.get64('cr4') | 0x200n)
  for (const number of [RAX, RCX, RDX]) record.set64('registers', 0n, number)
  record.set64('registers', BigInt(CODE), RBX)
  machine.hart.run(7 * 10_000, true)
  const copy = machine.fork()
  let sum = 0
  for (let i = 0; i < 20_000; i++) sum += i & 255
  for (const { hart } of [copy, machine]) {
    hart.run(7 * 10_000, true)
    expect([hart.record.get64('registers', RCX), hart.record.get64('registers', RDX)]).toEqual([20_000n, BigInt(sum)])
  }
})

test('addresses beyond 2 GiB, which WebAssembly gives as negative numbers, are where they are', () => {
  const state = new State(0)
  const high = 0x9000_0000
  const places: number[] = []
  // Numbers only, since so much memory would be too much.
  const bytes = {
    subarray: (from: number) => {
      places.push(from)
      return Uint8Array.of(0x90, 0xc3)
    },
    copyWithin: (to: number, from: number) => places.push(to, from), fill: (_value: number, from: number) => places.push(from),
  }
  const view = new Proxy({}, { get: (_, name) => (at: number) => { places.push(at); return String(name).startsWith('getUint32') ? high : 0 } })
  const views = (): Views => ({ view: view as DataView, bytes: bytes as unknown as Uint8Array })
  expect(decodeSlot(views, state, new Set())(high | 0, 16, high + decodedLayout.size | 0, 64)).toBe(Outcome.decoded)
  decodeRun(views, state)(high | 0, 0, DenseKey.long)
  expect(places.filter((at) => at < high)).toEqual([])
})

test('a page of which nothing is decoded any more is data; one that is written beside its code is code', () => {
  const [entry, bank, frame, pool] = [64, 4096, PAGE_SIZE * 64, PAGE_SIZE * 128]
  const buffer = new ArrayBuffer(PAGE_SIZE * 256)
  const memory = { u8: new Uint8Array(buffer), u32: new Uint32Array(buffer), data: new DataView(buffer), markCode: () => undefined }
  const pages = new CodePages({ memory, pool, limit: 2, clusters: [{ banks: [bank] }], jumps: PAGE_SIZE * 248 })
  const isCode = (): boolean => ((memory.u32[entry >>> 2] ?? 0) & PAGE_CODE) !== 0
  memory.data.setBigUint64(bank + tlbLayout.writeGroups, 1n, true)
  // Its entry says in which group of the TLB it is.
  memory.u32[entry >>> 2] = frame | PAGE_IN_TLB
    memory.data.setBigUint64(bank + tlbLayout.write, 0x4_0000_0fffn, true)
  memory.data.setUint32(bank + tlbLayout.write + tlbLayout.dataOffset, frame, true)
  const ops = pages.page(frame, entry, [bank])
  expect([ops, isCode(), memory.data.getBigUint64(bank + tlbLayout.write, true), pages.page(frame, entry, [bank])]).toEqual([pool, true, 0n, pool])
  const decode = decodeRun(() => ({ view: memory.data, bytes: memory.u8 }), new State(0))
  memory.u8.set([0x90, 0xc3], frame + 5 * LINE)
  expect(decode(ops, 5 * LINE, DenseKey.long)).toBe(1)
  const isDecoded = (): boolean => memory.data.getUint16(ops + densePage.map + 2 * 5 * LINE, true) !== 0
  for (const [offset, length, decoded, code] of [[0, 64, true, true], [6 * LINE, 8, true, true], [5 * LINE - 1, 1, true, true], [5 * LINE - 1, 2, false, true], [0, 1, false, false]] as const) {
    pages.written(frame, offset, length, entry)
    expect([offset, isDecoded(), isCode()]).toEqual([offset, decoded, code])
  }
  // The oldest gives way.
  pages.page(frame, entry, [bank])
  pages.page(frame + PAGE_SIZE, entry, [bank])
  memory.data.setUint8(bank + tlbLayout.fetched, 1)
  memory.data.setUint8(bank + tlbLayout.fetch, 1)
  pages.page(frame + 2 * PAGE_SIZE, entry, [bank])
  expect(memory.data.getUint8(bank + tlbLayout.fetch)).toBe(0)
})
