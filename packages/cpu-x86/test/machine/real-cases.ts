import type { Random } from '../host/random.ts'
import { Assembler, CS, DS, EAX, ECX, EDX, ES, ESI, ESP, FS, GS, SS } from './assembler.ts'
import { END } from './image.ts'
import { at, descriptor, selector } from './layout.ts'

const names = ['es', 'cs', 'ss', 'ds', 'fs', 'gs']
/** Prefixes of the same. */
const overrides = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]

const words = (a: Assembler, which: number, [low, high]: readonly [number, number]): void => void a.storeNumber(at.gdt + which, low).storeNumber(at.gdt + which + 4, high)
function word16(value: number): number[] {
  return [value & 255, value >>> 8 & 255]
}

/** Where a case has code and data in real-address mode. */
const LOW_CODE = at.low + 0x2000
const LOW_DATA = at.low + 0x3000

/** Code at an address of memory, by a case. */
export function putLow(a: Assembler, address: number, code: Uint8Array): void {
  const bytes = [...code, ...new Array<number>(4).fill(0x90)]
  for (let i = 0; i + 4 <= bytes.length; i += 4) a.storeNumber(address + i, bytes[i]! | bytes[i + 1]! << 8 | bytes[i + 2]! << 16 | bytes[i + 3]! << 24)
}

/** From protected mode to real-address mode and back, with segments of any kind in between. What is not within a limit is left out: QEMU looks at none there. */
export function real(random: Random, a: Assembler): string {
  const paragraph = at.low >> 4
  const data = LOW_DATA - at.low
  words(a, selector.subject, descriptor(at.low, 0xffff, random.of([0x9a, 0x98, 0x9e, 0x9b]), 0))
  words(a, selector.second, descriptor(random.of([at.low, 0]), random.of([0xffff, 0xf_ffff]), random.of([0x92, 0x90, 0x91, 0x93, 0x9a, 0xf3]), random.of([0, 4, 8, 12])))
  a.storeNumber(LOW_DATA, random.bits32()).storeNumber(LOW_DATA + 4, random.bits32())
  // What the data segments have from protected mode.
  for (const segment of [DS, ES, FS, GS]) a.set(EAX, random.of([0, 3, selector.data0, selector.second])).segment(segment, EAX)
  a.set(EAX, selector.data0).segment(DS, EAX)

  const low = new Assembler(LOW_CODE, 16)
  low.op('mov', 'rmreg control', { reg: 0, rm: EAX }).raw(0x24, 0xfe).op('mov', 'control rmreg', { reg: 0, rm: EAX })
  low.raw(0xea, ...word16(low.here + 5 - at.low), ...word16(paragraph))
  const touched: string[] = []
  for (let i = 0; i < 3; i++) {
    const segment = random.of([ES, CS, SS, DS, FS, GS])
    const over = overrides[segment] ?? 0
    // mov ax, paragraph; mov segment, ax
    if (segment !== CS) low.raw(0xb8, ...word16(paragraph), 0x8e, 0xc0 | segment << 3)
    // mov bx, [data]; add [data + 2], bx; or mov [data], cx
    if (random.below(2) === 0) low.raw(over, 0x8b, 0x1e, ...word16(data), over, 0x01, 0x1e, ...word16(data + 2))
    else low.raw(over, 0x89, 0x0e, ...word16(data))
    touched.push(names[segment] ?? '')
  }
  // SS keeps its B: what is pushed by ESP is taken off again.
  if (random.below(2) === 0) low.raw(0xb8, ...word16(paragraph), 0x8e, 0xd0, 0x66, 0xbc, ...word16(data + 0x100), 0, 0, 0x68, 0x34, 0x12, 0x5a)
  low.op('mov', 'rmreg control', { reg: 0, rm: EAX }).raw(0x0c, 1).op('mov', 'control rmreg', { reg: 0, rm: EAX })
  const stores = Math.floor((low.here + 8 - LOW_CODE + 4) / 4)
  const back = a.here + 10 * stores + 7
  low.raw(0x66, 0xea, ...word16(back), ...word16(back >>> 16), ...word16(selector.code0))
  putLow(a, LOW_CODE, low.bytes)
  a.raw(0xea, ...word16(LOW_CODE - at.low), 0, 0, ...word16(selector.subject))
  if (a.here !== back) throw new RangeError('it comes back to somewhere else')
  // Hidden parts stay until they are loaded: es, ss and fs by what real-address mode made of them.
  for (const [segment, register] of [[DS, ESI], [ES, EDX]] as const) if (touched.includes(names[segment] ?? '')) a.raw(overrides[segment] ?? 0, 0x8b, 0x05 | register << 3, data, data >> 8, 0, 0)
  a.set(EAX, selector.data0)
  for (const segment of [SS, DS]) a.segment(segment, EAX)
  a.set(ESP, at.stacks).load(ECX, LOW_DATA).int(END)
  return `real-address mode by ${touched.join(' ')}`
}
