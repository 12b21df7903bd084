import { Assembler, DS, EAX, EBP, EBX, ECX, EDI, EDX, ES, ESI, ESP, FS, GS, SS } from './assembler.ts'
import { at, codeOf, dataOf, descriptor, gate, selector } from './layout.ts'
import { ANSWER_PORT, EXIT_PORT } from './qemu.ts'

/** What ends a case: INT of this vector. */
export const END = 0x40
const VECTORS = 0x50
/** Where the tasks of double faults and of #TS begin, in the image. */
const FAULT_ENTRY = 0x8c0
const TASK_ENTRY = 0x8e0

/** One case: code that runs at CPL 0 with everything as it was, and that comes to an exception or INT of END. */
export interface Case {
  readonly name: string
  readonly code: Uint8Array
}

/** Bytes that are put at addresses. */
export class Memory {
  readonly #bytes: Uint8Array
  readonly #start: number
  #end: number

  constructor(start: number, size: number) {
    this.#bytes = new Uint8Array(size)
    this.#start = start
    this.#end = start
  }

  put(address: number, bytes: ArrayLike<number>): void {
    this.#bytes.set(bytes, address - this.#start)
    this.#end = Math.max(this.#end, address + bytes.length)
  }

  words(address: number, words: readonly number[]): void {
    const bytes = new Uint8Array(words.length * 4)
    const view = new DataView(bytes.buffer)
    words.forEach((word, i) => view.setUint32(i * 4, word >>> 0, true))
    this.put(address, bytes)
  }

  get contents(): Uint8Array {
    return this.#bytes.subarray(0, this.#end - this.#start)
  }
}

export function taskSegment(fields: Readonly<Record<number, number>>): number[] {
  const words = new Array<number>(26).fill(0)
  for (const [offset, value] of Object.entries(fields)) words[Number(offset) / 4] = value
  return words
}

function tables(memory: Memory): void {
  const gdt: (readonly [number, number])[] = Array.from({ length: 64 }, () => [0, 0] as const)
  const set = (which: number, words: readonly [number, number]): void => void (gdt[which >> 3] = words)
  codeOf.forEach((which, level) => set(which, descriptor(0, 0xf_ffff, 0x9b | level << 5, 12)))
  dataOf.forEach((which, level) => set(which, descriptor(0, 0xf_ffff, 0x93 | level << 5, 12)))
  set(selector.tss, descriptor(at.tss, 0xff, 0x89, 0))
  set(selector.ldt, descriptor(at.ldt, 0x7f, 0x82, 0))
  set(selector.otherTss, descriptor(at.otherTss, 0x67, 0x89, 0))
  set(selector.faultTss, descriptor(at.faultTss, 0x67, 0x89, 0))
  set(selector.taskTss, descriptor(at.taskTss, 0x67, 0x89, 0))
  set(selector.narrowTss, descriptor(at.narrowTss, 0x2b, 0x81, 0))
  memory.words(at.gdt, gdt.flat())
  memory.words(at.tss, [
    ...taskSegment({ 4: at.stacks, 8: selector.data0, 12: at.stacks + 0x1000, 16: selector.data1, 20: at.stacks + 0x2000, 24: selector.data2, 100: 0x68 << 16 }),
    // The I/O permission map: ports 0 to 255, of which some may be used.
    0xffff_ff00, 0xffff_ffff, 0xffff_ffff, 0, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff,
  ])
  for (const [tss, entry] of [[at.faultTss, FAULT_ENTRY], [at.taskTss, TASK_ENTRY]] as const) memory.words(tss, taskSegment({ 32: at.image + entry, 36: 2, 56: at.faultStack, 72: selector.data0, 76: selector.code0, 80: selector.data0, 84: selector.data0 }))
}

/** Of the page of cases, in its table. */
const INDEX = at.page >> 12 & 511

/** Identity for the first 4 MiB, in each kind of paging; what cases walk is theirs. */
export function pageTables(memory: Memory): void {
  memory.words(at.directory, [at.identity | 7])
  memory.words(at.identity, Array.from({ length: 1024 }, (_, i) => i << 12 | 7))
  memory.words(at.pointers3, [at.directory3 | 1, 0])
  memory.words(at.directory3, [0x87, 0, 0x20_0087, 0])
  memory.words(at.pointers4, [at.directory3 | 7, 0])
  memory.words(at.level4, [at.pointers4 | 7, 0])
  memory.words(at.level5, [at.level4 | 7, 0])
}

/**
 * A multiboot image that runs cases one after the other. Each ends in an exception or INT, whose handler writes a record of its stack and of all
 * registers, restores the tables, and goes on. At the end the log goes to the port of answers.
 */
export function buildImage(cases: readonly Case[]): Uint8Array {
  const memory = new Memory(at.image, 0x10_0000)
  tables(memory)
  const live = memory.contents.slice(at.tables - at.image)
  memory.put(at.pristine, live)

  // Header: an image for its own addresses (Multiboot Specification 0.6.96, 3.1).
  const flags = 0x1_0000
  memory.words(at.image, [0x1bad_b002, flags, -(0x1bad_b002 + flags), at.image, at.image, 0, 0, at.image + 0x40])

  // Stubs that push the vector, and an error code where the processor has none, and one for all.
  const stubs = new Assembler(at.image + 0x400)
  const common = at.image + 0x900
  const idt: number[] = []
  for (let vector = 0; vector < VECTORS; vector++) {
    idt.push(...gate(selector.code0, stubs.here, vector === END ? 0xee : 0x8e))
    if (![8, 10, 11, 12, 13, 14, 17].includes(vector)) stubs.push(0)
    stubs.push(vector).jump(common)
  }
  if (stubs.here > at.image + FAULT_ENTRY) throw new RangeError('the stubs are too long')
  idt.splice(16, 2, ...gate(selector.faultTss, 0, 0x85))
  idt.splice(20, 2, ...gate(selector.taskTss, 0, 0x85))
  memory.put(at.image + 0x400, stubs.bytes)
  // These tasks come here with an error code.
  memory.put(at.image + TASK_ENTRY, new Assembler(at.image + TASK_ENTRY).push(10).jump(common).bytes)
  memory.put(at.image + FAULT_ENTRY, new Assembler(at.image + FAULT_ENTRY).push(8).jump(common).bytes)
  memory.words(at.idt, idt)
  memory.words(at.idtPristine, idt)
  memory.words(at.pointers, [0xffff | at.gdt << 16, at.gdt >>> 16])
  memory.put(at.pointers, [0xff, 1])
  memory.words(at.pointers + 8, [VECTORS * 8 - 1 | at.idt << 16, at.idt >>> 16])
  const logAt = at.pointers + 0x20
  const caseAt = at.pointers + 0x24
  const list = at.pointers + 0x100

  const a = new Assembler(common)
  a.op('pusha')
  for (const segment of [DS, ES, FS, GS, SS]) a.op('mov', 'rm sreg', { reg: segment, rm: EAX }).op('push', 'opreg', { rm: EAX })
  a.op('str', 'rm', { rm: EAX }).op('push', 'opreg', { rm: EAX }).op('sldt', 'rm', { rm: EAX }).op('push', 'opreg', { rm: EAX })
  for (const control of [0, 2, 3]) a.op('mov', 'rmreg control', { reg: control, rm: EAX }).op('push', 'opreg', { rm: EAX })
  a.set(EAX, selector.data0).segment(DS, EAX).segment(ES, EAX).op('cld')
  a.load(EDI, logAt).op('mov', 'rm reg', { rm: ESI, reg: ESP }).set(ECX, 40).raw(0xf3, 0xa5)
  // What was on the stack of an outer level, if there was one.
  a.op('mov', 'reg rm', { reg: ESI, rm: { base: ESP, displacement: 4 * (10 + 8 + 2 + 3) } })
  a.op('and', 'rm imm', { rm: ESI, immediates: [0x7fffn] }).op('or', 'rm imm', { rm: ESI, immediates: [BigInt(at.stacks & ~0x7fff)] }).set(ECX, 8).raw(0xf3, 0xa5)
  // The descriptors and the start of the other task segment as they are now.
  a.set(ESI, at.gdt + selector.subject).set(ECX, 6).raw(0xf3, 0xa5).set(ESI, at.gdt + selector.tss).set(ECX, 2).raw(0xf3, 0xa5)
  a.set(ESI, at.otherTss).set(ECX, 8).raw(0xf3, 0xa5)
  // And the entries of page tables that cases walk.
  for (const entry of [at.directory + 4, at.table + 4 * INDEX, at.directory3 + 16, at.table3 + 8 * INDEX]) a.set(ESI, entry).set(ECX, 2).raw(0xf3, 0xa5)
  a.store(logAt, EDI)
  const reset = a.here
  // Where an error code of before would be left for later records.
  a.storeNumber(at.faultStack - 4, 0)
  a.set(EAX, 0x11).op('mov', 'control rmreg', { reg: 0, rm: EAX }).set(EAX, 0).op('mov', 'control rmreg', { reg: 4, rm: EAX }).op('mov', 'control rmreg', { reg: 3, rm: EAX }).op('mov', 'control rmreg', { reg: 2, rm: EAX })
  // EFER.
  a.set(ECX, 0xc000_0080).set(EDX, 0).op('wrmsr')
  a.set(ESI, at.pristine).set(EDI, at.tables).set(ECX, (at.tablesEnd - at.tables) / 4).raw(0xf3, 0xa5)
  a.set(ESI, at.idtPristine).set(EDI, at.idt).set(ECX, VECTORS * 2).raw(0xf3, 0xa5)
  a.op('lgdt', 'mem', { rm: { displacement: at.pointers } }).op('lidt', 'mem', { rm: { displacement: at.pointers + 8 } })
  a.set(EAX, selector.data0)
  for (const segment of [SS, FS, GS]) a.segment(segment, EAX)
  a.set(ESP, at.stacks).push(2).op('popf')
  a.set(EAX, selector.ldt).op('lldt', 'rm', { rm: EAX }).set(EAX, selector.tss).op('ltr', 'rm', { rm: EAX })
  for (const register of [EAX, ECX, EDX, EBP]) a.set(register, 0)
  a.load(EBX, caseAt).op('add', 'rm imm', { rm: { displacement: caseAt }, immediates: [4n] }).op('jmp', 'rm', { rm: { base: EBX } })
  memory.put(common, a.bytes)
  if (a.here > at.tables) throw new RangeError('the handler is too long')

  const start = new Assembler(at.image + 0x40)
  start.storeNumber(logAt, at.log).storeNumber(caseAt, list)
  // No interrupts from outside.
  start.set(EAX, 0xff).raw(0xe6, 0x21, 0xe6, 0xa1)
  start.op('lgdt', 'mem', { rm: { displacement: at.pointers } })
  // Far, to our own CS; then what virtual-8086 mode runs.
  start.raw(0xea, ...word(start.here + 7), selector.code0, 0)
  start.set(EAX, selector.data0).segment(DS, EAX).segment(ES, EAX).op('cld')
  start.set(ESI, at.pads).set(EDI, at.low).set(ECX, 0x400).raw(0xf3, 0xa5)
  // And at zero, for offsets that a gate of 16 bits cuts.
  start.set(ESI, at.pads).set(EDI, 0).set(ECX, 0x400).raw(0xf3, 0xa5).jump(reset)
  memory.put(at.image + 0x40, start.bytes)

  pageTables(memory)

  pads(memory)
  finish(memory, cases, { list, logAt, mode: 32 })
  return memory.contents
}

/** Whatever comes there, ends. */
export function pads(memory: Memory): void {
  memory.put(at.pads, Array.from({ length: 0x1000 }, (_, i) => i % 2 === 0 ? 0xcd : END))
}

/** The cases, the list of where they are, and the end that gives the log away. */
export function finish(memory: Memory, cases: readonly Case[], { list, logAt, mode }: { list: number; logAt: number; mode: 32 | 64 }): void {
  let place: number = at.cases
  const addresses = cases.map(({ code }) => {
    memory.put(place, code)
    const here = place
    place += code.length
    return here
  })
  const end = new Assembler(place, mode)
  end.set(ESI, at.log).load(ECX, logAt).op('sub', 'reg rm', { reg: ECX, rm: ESI }).set(2, ANSWER_PORT).raw(0xf3, 0x6e)
  end.set(2, EXIT_PORT).op('out', 'fixed fixed', {}).op('hlt')
  memory.put(place, end.bytes)
  memory.words(list, [...addresses, place])
  if (place > at.directory) throw new RangeError('the cases are too long')
  if (list + 4 * (cases.length + 1) > at.image + 0x2_0000) throw new RangeError('there are too many cases')
}

function word(value: number): number[] {
  return [0, 8, 16, 24].map((shift) => (value >>> shift) & 255)
}
