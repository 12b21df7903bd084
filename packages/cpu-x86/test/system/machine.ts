import { Interpreter, type InterpreterOptions, type Step } from '../../src/index.ts'
import { Assembler, DS, EAX, ES, ESP, FS, GS, SS } from '../machine/assembler.ts'
import { descriptor, gate } from '../machine/layout.ts'

/** Where a small system has what. */
export const place = { boot: 0x7c00, pointers: 0x7e00, gdt: 0x1000, idt: 0x2000, tss: 0x3000, other: 0x3100, handlers: 0x4000, code: 0x8000, stack: 0xa000, outer: 0xb000, data: 0xc000, paging: 0x1_0000 } as const
/** Selectors of its GDT; those of SYSCALL are in its order. Whatever is beyond `free` is for tests. */
export const select = { code: 0x08, data: 0x10, user32: 0x1b, userData: 0x23, user: 0x2b, tss: 0x30, other: 0x40, code16: 0x50, free: 0x58 } as const
export const VECTORS = 256

/** A processor in protected or 64-bit mode at CPL 0, whose vectors lead to HLT at `handler(vector)`. */
export class SmallSystem {
  readonly cpu: Interpreter
  readonly long: boolean
  readonly view: DataView

  constructor(mode: 32 | 64, options: Partial<InterpreterOptions> = {}) {
    this.cpu = new Interpreter({ mode: 16, base: 0n, size: 0x10_0000, ...options })
    this.long = mode === 64
    const { memory } = this.cpu
    this.view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
    const flags = this.long ? 10 : 12
    this.describe(select.code, descriptor(0, 0xf_ffff, 0x9b, flags))
    this.describe(select.data, descriptor(0, 0xf_ffff, 0x93, 12))
    this.describe(select.user32, descriptor(0, 0xf_ffff, 0xfb, 12))
    this.describe(select.userData, descriptor(0, 0xf_ffff, 0xf3, 12))
    this.describe(select.user, descriptor(0, 0xf_ffff, 0xfb, flags))
    this.describe(select.tss, descriptor(place.tss, 0x67, 0x89, 0))
    this.describe(select.other, descriptor(place.other, 0x67, 0x89, 0))
    this.describe(select.code16, descriptor(0, 0xffff, 0x9b, 0))
    for (let vector = 0; vector < VECTORS; vector++) this.gate(vector, this.handler(vector))
    memory.fill(0xf4, place.handlers, place.handlers + VECTORS * 16)
    if (this.long) this.words(place.tss + 4, place.stack)
    else this.words(place.tss + 4, place.stack, select.data)
    this.#boot()
  }

  handler(vector: number): number {
    return place.handlers + vector * 16
  }

  /** A gate of an interrupt that a program may use as well: 0xee; or of other access rights. */
  gate(vector: number, offset: number, access = 0xee, selector: number = select.code): void {
    const [low, high] = gate(selector, offset, access)
    if (this.long) this.words(place.idt + vector * 16, low, high, 0, 0)
    else this.words(place.idt + vector * 8, low, high)
  }

  describe(selector: number, [low, high]: readonly [number, number]): void {
    this.words(place.gdt + (selector & ~7), low, high)
  }

  words(at: number, ...values: number[]): void {
    values.forEach((value, i) => this.view.setUint32(at + 4 * i, value >>> 0, true))
  }

  word(at: number): number {
    return this.view.getUint32(at, true)
  }

  /** Code at CPL 0, where it goes on now. */
  code(write: (a: Assembler) => unknown, at: number = place.code): this {
    const a = new Assembler(at, this.long ? 64 : 32)
    write(a)
    this.cpu.memory.set(a.bytes, at)
    this.cpu.rip = BigInt(at)
    return this
  }

  /** Steps, with what is raised delivered. */
  step(count = 1): Step {
    let step: Step = { kind: 'done' }
    for (let i = 0; i < count; i++) {
      step = this.cpu.step()
      if (step.kind === 'exception') step = this.cpu.deliver(step)
    }
    return step
  }

  /** Until it is at an address. */
  until(address: number, limit = 100): void {
    for (let i = 0; i < limit; i++) {
      if (this.cpu.rip === BigInt(address)) return
      this.step()
    }
    throw new Error(`it did not come to ${address.toString(16)}; rip is ${this.cpu.rip.toString(16)}`)
  }

  /** The vector whose handler it is at, or −1. */
  get vector(): number {
    const inside = Number(this.cpu.rip) - place.handlers
    return inside >= 0 && inside < VECTORS * 16 && inside % 16 === 0 ? inside / 16 : -1
  }

  #boot(): void {
    const { cpu } = this
    const limit = VECTORS * (this.long ? 16 : 8) - 1
    this.words(place.pointers, 0xff | place.gdt << 16, place.gdt >>> 16)
    this.words(place.pointers + 8, limit | place.idt << 16, place.idt >>> 16)
    // Identity for the first 2 MiB, with pages of 4 KiB.
    this.words(place.paging, place.paging + 0x1007)
    this.words(place.paging + 0x1000, place.paging + 0x2007)
    this.words(place.paging + 0x2000, place.paging + 0x3007)
    for (let i = 0; i < 512; i++) this.words(place.paging + 0x3000 + 8 * i, i << 12 | 7, 0)
    const boot = new Assembler(place.boot, 16)
    boot.op('lgdt', 'mem', { rm: { displacement: place.pointers }, operandSize: 4 }).op('lidt', 'mem', { rm: { displacement: place.pointers + 8 }, operandSize: 4 })
    if (this.long) {
      set(boot, EAX, 0x20)
      boot.op('mov', 'control rmreg', { reg: 4, rm: EAX })
      set(boot, EAX, place.paging)
      boot.op('mov', 'control rmreg', { reg: 3, rm: EAX })
      set(boot, 1, 0xc000_0080)
      set(boot, EAX, 0x901)
      set(boot, 2, 0)
      boot.op('wrmsr')
    }
    set(boot, EAX, this.long ? 0x8000_0011 : 0x11)
    boot.op('mov', 'control rmreg', { reg: 0, rm: EAX })
    const after = place.boot + 0x80
    boot.op('jmp', 'imm imm', { operandSize: 4, immediates: [BigInt(after), BigInt(select.code)] })
    cpu.memory.set(boot.bytes, place.boot)
    const flat = new Assembler(after, this.long ? 64 : 32).set(EAX, select.data)
    for (const segment of [DS, ES, SS, FS, GS]) flat.segment(segment, EAX)
    flat.set(ESP, place.stack)
    flat.set(EAX, select.tss).op('ltr', 'rm', { rm: EAX })
    cpu.memory.set(flat.bytes, after)
    cpu.rip = BigInt(place.boot)
    this.until(flat.here)
  }
}

function set(a: Assembler, register: number, value: number): void {
  a.op('mov', 'opreg imm', { operandSize: 4, rm: register, immediates: [BigInt.asIntN(32, BigInt(value))] })
}

/** IRET to CPL 3 at an address, with flags. */
export function toUser(a: Assembler, at: number, flags = 2, code: number = select.user): Assembler {
  a.push(select.userData).push(place.outer).push(flags).push(code).push(at)
  return a.op('iret', '', { operandSize: a.mode === 64 ? 8 : 4 })
}
