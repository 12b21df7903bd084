import { Interpreter, type InterpreterOptions } from '../../src/index.ts'
import { Cr0, Cr4, Efer } from '../../src/emit/memory.ts'
import { descriptor } from '../machine/layout.ts'

/** Where a machine of these tests has what. */
export const at = { gdtr: 0x600, gdt: 0x800, boot: 0x7c00, code: 0x9000, tables: 0x2_0000, idt: 0x3_0000, stack: 0x4_0000 } as const

/** Selectors that each machine has: flat code and data of level 0 and 3. */
export const selector = { code: 8, data: 16, code3: 27, data3: 35, compatible: 43, first: 48 } as const

export type How = 'real' | '16' | '32' | '64'

const SIZE = 0x40_0000

/** Bytes of hexadecimal digits with spaces. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
}

export function words(cpu: Interpreter, address: number, values: readonly number[]): void {
  const view = new DataView(cpu.memory.buffer, cpu.memory.byteOffset)
  values.forEach((value, i) => view.setUint32(address + 4 * i, value >>> 0, true))
}

function steps(cpu: Interpreter, until: () => boolean): void {
  for (let i = 0; !until(); i++) {
    const step = cpu.step()
    if (step.kind !== 'done' || i > 100) throw new Error(`it does not start: ${JSON.stringify(step, (_, value: unknown) => typeof value === 'bigint' ? value.toString(16) : value)}`)
  }
}

/** A processor at level 0 at the start of its code, in real-address mode or in protected mode with segments of 16, 32 or 64 bits; in the last case the first 4 MiB are mapped where they are. */
export function boot(how: How, code: string | Uint8Array, { gdtLimit = 0x7f, gdt = [], ...around }: { readonly gdtLimit?: number; readonly gdt?: readonly (readonly [number, number])[] } & Pick<InterpreterOptions, 'ports' | 'devices'> = {}): Interpreter {
  const cpu = new Interpreter({ mode: 16, base: 0n, size: SIZE, ...around })
  const long = how === '64'
  const flags = long ? 10 : how === '32' ? 12 : 8
  const flat = (access: number, more: number): readonly [number, number] => descriptor(0, 0xf_ffff, access, more)
  words(cpu, at.gdt, [[0, 0], flat(0x9b, flags), flat(0x93, how === '16' ? 8 : 12), flat(0xfb, flags), flat(0xf3, 12), flat(0xfb, 12), ...gdt].flat())
  words(cpu, at.gdtr, [gdtLimit | at.gdt << 16, at.gdt >>> 16])
  words(cpu, at.tables, [at.tables + 0x1007, 0])
  words(cpu, at.tables + 0x1000, [at.tables + 0x2007, 0])
  words(cpu, at.tables + 0x2000, [0x87, 0, 0x20_0087, 0])
  cpu.memory.set(typeof code === 'string' ? hex(code) : code, at.code)
  if (how === 'real') {
    cpu.setSegment(1, { base: BigInt(at.code), selector: at.code >> 4 })
    cpu.setRegister(4, 0x8000n)
    return cpu
  }
  const dword = (value: number): number[] => [0, 8, 16, 24].map((shift) => value >>> shift & 255)
  const eax = (value: number): number[] => [0x66, 0xb8, ...dword(value)]
  const efer = [0x66, 0xb9, ...dword(0xc000_0080), ...eax(Efer.lme | Efer.sce | Efer.nxe), 0x66, 0x31, 0xd2, 0x0f, 0x30]
  const paging = [...eax(at.tables), 0x0f, 0x22, 0xd8, ...eax(Cr4.pae | Cr4.pge), 0x0f, 0x22, 0xe0, ...efer]
  const cr0 = Cr0.et | Cr0.pe | (long ? Cr0.pg : 0)
  cpu.memory.set([
    // lgdt; the control registers; far jump
    0x66, 0x0f, 0x01, 0x16, at.gdtr & 255, at.gdtr >> 8, ...long ? paging : [], ...eax(cr0), 0x0f, 0x22, 0xc0, 0x66, 0xea, ...dword(at.boot + 0x80), selector.code, 0,
  ], at.boot)
  // mov eax, data; to ds, es, ss; mov esp; jmp to the code
  const load = [...how === '16' ? [0xb8, selector.data, 0] : [0xb8, ...dword(selector.data)], 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, ...how === '16' ? [0x66] : [], 0xbc, ...dword(at.stack)]
  const jump = [...how === '16' ? [0x66] : [], 0xe9]
  const end = at.boot + 0x80 + load.length + jump.length + 4
  cpu.memory.set([...load, ...jump, ...dword(at.code - end)], at.boot + 0x80)
  cpu.rip = BigInt(at.boot)
  steps(cpu, () => cpu.rip === BigInt(at.code))
  return cpu
}

/** Runs so many steps, of which none may raise anything. */
export function run(cpu: Interpreter, count: number): void {
  for (let i = 0; i < count; i++) {
    const step = cpu.step()
    if (step.kind !== 'done') throw new Error(`step ${i} at ${cpu.rip.toString(16)}: ${JSON.stringify(step, (_, value: unknown) => typeof value === 'bigint' ? value.toString(16) : value)}`)
  }
}

/** The vector and error code of what a step raises, or −1. */
export function raised(cpu: Interpreter): readonly number[] | -1 {
  const step = cpu.step()
  return step.kind === 'exception' ? [step.vector, step.error] : -1
}
