import { Register, segmentLayout, STATE_SIZE, State } from '../../src/emit/layout.ts'
import { Activity } from '../../src/emit/system/events.ts'
import { EventKind } from '../../src/emit/system/interrupts.ts'
import type { CpuEvent, Interpreter } from '../../src/index.ts'
import type { Random } from '../host/random.ts'
import { place, select, SmallSystem, toUser } from './machine.ts'

const STATE = new State(0)
const VM = 0x2_0000
const causes: readonly CpuEvent['cause'][] = ['fault', 'fault', 'trap', 'int', 'int n', 'external']

/** Memory has ended there, and every mode has the address. */
const DEVICE = 0x18_0000
/** What was read from and written to where there is no memory. */
export const deviceAccesses = { count: 0 }
const options = {
  devices: {
    read: (address: number, bytes: number): bigint => {
      deviceAccesses.count++
      return BigInt.asUintN(8 * bytes, BigInt(address) * 0x9e37_79b9_7f4a_7c15n)
    },
    write: (): void => void deviceAccesses.count++,
  },
}

/** What a delivery starts from. */
interface Start {
  readonly name: string
  readonly cpu: Interpreter
  /** Its tables are of long mode. */
  readonly long: boolean
  /** The state, and all of memory. */
  readonly state: Uint8Array
  readonly memory: Uint8Array
}

function startOf(name: string, small: SmallSystem): Start {
  const { cpu } = small
  return { name, cpu, long: small.long, state: new Uint8Array(cpu.memory.buffer, 0, STATE_SIZE).slice(), memory: cpu.memory.slice(0, 0x2_0000) }
}

/** A processor in each mode, at the levels that it has. */
export function starts(): Start[] {
  const user = (small: SmallSystem, code: number): SmallSystem => {
    small.code((a) => toUser(a, place.code + 0x100, 0x202, code)).until(place.code + 0x100)
    return small
  }
  const virtual = new SmallSystem(32, options)
  virtual.code((a) => {
    for (const value of [0, 0, 0, 0, place.outer >> 4, 0x80, VM | 0x202, place.code >> 4, 0x100]) a.push(value)
    return a.op('iret')
  }).step(10)
  const narrow = new SmallSystem(32, options)
  narrow.code((a) => a.op('jmp', 'imm imm', { immediates: [BigInt(place.code + 0x100), BigInt(select.code16)] })).step()
  return [
    startOf('protected mode', new SmallSystem(32, options)), startOf('protected mode, level 3', user(new SmallSystem(32, options), select.user)), startOf('virtual-8086 mode', virtual), startOf('16-bit protected mode', narrow),
    startOf('64-bit mode', new SmallSystem(64, options)), startOf('64-bit mode, level 3', user(new SmallSystem(64, options), select.user)), startOf('compatibility mode', user(new SmallSystem(64, options), select.user32)),
  ]
}

/** Types, levels and bases that lead further than bytes do. */
function randomDescriptor(random: Random, long: boolean): number[] {
  const base = random.of([place.data, place.tss, place.other, place.stack - 0x100, place.code, 0, random.bits32()])
  const access = random.of([0x80, 0x80, 0x80, 0]) | random.below(4) << 5 | random.of([0x10 | random.below(16), random.below(16)])
  const target = random.of([select.code, select.data, select.user, select.tss, select.other, select.free, select.free + 16, 0, random.below(0x100)])
  const gate = [target << 16 | random.below(0x1_0000), random.below(0x1_0000) << 16 | access << 8 | random.of([0, random.below(8), random.below(32)])]
  const segment = [base << 16 | random.of([0xffff, random.below(0x1_0000)]), base & 0xff00_0000 | base >>> 16 & 255 | random.of([0xcf, random.below(16) << 4 | random.below(16)]) << 16 | access << 8]
  const words = random.below(2) === 0 ? gate : segment
  return long && random.below(3) === 0 ? [...words, random.of([0, random.bits32()]), random.of([0, 0, random.bits32()])] : words
}

function scramble(random: Random, { cpu, long }: Start): void {
  const view = new DataView(cpu.memory.buffer, cpu.memory.byteOffset)
  const fill = (at: number, bytes: number): void => {
    for (let offset = 0; offset < bytes;) {
      for (const word of random.below(8) === 0 ? [random.bits32()] : randomDescriptor(random, long)) {
        if (offset < bytes) view.setUint32(at + offset, word >>> 0, true)
        offset += 4
      }
    }
  }
  if (random.below(2) === 0) fill(place.gdt + 8 * random.below(8), 64)
  if (random.below(2) === 0) fill(place.gdt + select.free, 64)
  fill(place.idt + 16 * random.below(16), 64)
  for (const at of [place.tss, place.other]) for (let i = random.below(8); i > 0; i--) view.setUint32(at + 4 * random.below(26), random.of([random.bits32(), place.stack, select.code, select.data, select.free, 0]) >>> 0, true)
  for (let i = random.below(3); i > 0; i--) view.setUint32(place.paging + 0x1000 * random.below(4) + 8 * random.below(16), random.bits32(), true)
  const linear = new DataView(cpu.memory.buffer)
  // Tables and task segments over one another, in a device, at the end of memory and where there is none.
  if (random.below(3) === 0) for (const register of [Register.gdtr, Register.idtr, Register.ldtr, Register.tr]) {
    if (random.below(2) === 0) continue
    const at = STATE.segment(register)
    const base = random.of([place.gdt, place.idt, place.tss, place.other - 3, place.stack - 16, place.paging, place.code, DEVICE, DEVICE + 0xffc, 0x10_0000 - 12, 0xffff_fff8, random.bits32() >>> 0])
    linear.setBigUint64(at + segmentLayout.base, BigInt(base), true)
    linear.setUint32(at + segmentLayout.high, random.of([0xffff, 0xffff, 0xff, 7, 0, random.below(0x1_0000), 0xffff_ffff]), true)
    if (register === Register.ldtr) linear.setUint32(at + segmentLayout.rights, random.of([0x8200, 0]), true)
  }
  if (random.below(4) === 0) linear.setBigUint64(STATE.register(4), random.of([0n, 1n, 2n, 0xffffn, 0xffff_ffffn, BigInt(random.bits32() >>> 0), 0x7fff_ffff_fff8n, 0x8000_0000_0000n]), true)
}

/** What goes elsewhere, loads segments and tables, or changes the mode, by rAX and the stack. */
const systemCode: readonly (readonly number[])[] = [
  [0xcf], [0x48, 0xcf], [0xcb], [0x48, 0xcb], [0x66, 0xcb], [0xcd, 0x21], [0xcc], [0xff, 0x18], [0xff, 0x28], [0x48, 0xff, 0x18], [0x0f, 0xb2, 0x00], [0x0f, 0x00, 0xd8], [0x0f, 0x00, 0xd0], [0x8e, 0xd8], [0x8e, 0xd0], [0x0f, 0x02, 0xc0], [0x0f, 0x03, 0xc0],
  [0x0f, 0x05], [0x0f, 0x07], [0x48, 0x0f, 0x07], [0x0f, 0x34], [0x0f, 0x35], [0x0f, 0x01, 0x10], [0x0f, 0x01, 0x18], [0x0f, 0x22, 0xd8], [0x0f, 0x22, 0xc0], [0x0f, 0x22, 0xe0], [0x0f, 0xaa], [0x0f, 0x30],
]

/** Puts a few of those where the processor is, with rAX a selector or an address, and begins them. */
function goElsewhere(random: Random, { cpu }: Start): void {
  const linear = new DataView(cpu.memory.buffer)
  const base = linear.getBigUint64(STATE.segment(Register.cs) + segmentLayout.base, true)
  const at = Number(cpu.rip + base)
  cpu.memory.set(Array.from({ length: 4 }, () => random.of(systemCode)).flat(), at)
  cpu.setRegister(0, BigInt(random.of([select.code, select.user, select.tss, select.other, select.free, select.free + 8 | 3, place.stack - 32, place.gdt, place.tss + 2, DEVICE + 8, 0x8000_0011, 0x11, 0x20, place.paging, random.bits32() >>> 0])))
  cpu.setRegister(1, BigInt(random.of([0xc000_0080, 0xc000_0081, 0x174, 0x176, random.bits32() >>> 0])))
  for (let offset = -64; offset < 64; offset += 4) new DataView(cpu.memory.buffer, cpu.memory.byteOffset).setUint32(place.stack - 64 + offset, random.of([select.code, select.user, select.userData, select.data, select.free, place.code, 0x2_0202, 0x4202, 0x202, random.bits32()]) >>> 0, true)
  if (random.below(2) === 0) cpu.setRegister(4, BigInt(place.stack - 64))
}

/** Delivers random events with random tables; returns what should not have become of it. */
export function deliverAtRandom(random: Random, start: Start, runs: number): string[] {
  const { cpu, state, memory, name } = start
  const linear = new Uint8Array(cpu.memory.buffer)
  const view = new DataView(cpu.memory.buffer)
  const field = (of: 'attention' | 'fault' | 'event' | 'external' | 'cpl' | 'mode' | 'waiting'): number => view.getUint32(STATE.field(of), true)
  const found: string[] = []
  for (let run = 0; run < runs && found.length < 5; run++) {
    linear.set(state)
    cpu.memory.set(memory)
    scramble(random, start)
    const vector = random.below(3) === 0 ? random.below(256) : random.below(32)
    const cause = random.of(causes)
    const event: CpuEvent = { vector: cause === 'fault' ? vector & 31 : vector, cause, error: random.below(0x1_0000), address: BigInt(random.bits32() >>> 0), from: cpu.rip }
    try {
      if (random.below(2) === 0) goElsewhere(random, start)
      const begun = random.below(3) === 0 ? cpu.step() : null
      let step = begun === null ? cpu.deliver(event) : begun.kind === 'exception' ? cpu.deliver(begun) : begun
      const ended = begun === null ? step.kind : null
      if (ended === 'done' && (field('fault') !== 0 || field('event') !== EventKind.fault || field('external') !== 0 || field('waiting') !== Activity.running)) found.push(`${name}, run ${run}: it has not ended`)
      if (ended === 'shutdown' && (field('waiting') !== Activity.shutdown || cpu.step().kind !== 'shutdown')) found.push(`${name}, run ${run}: it is not shut down`)
      if (field('cpl') > 3 || ![16, 32, 64].includes(field('mode'))) found.push(`${name}, run ${run}: level ${field('cpl')}, mode ${field('mode')}`)
      for (let i = 0; i < 8 && step.kind === 'done'; i++) {
        step = cpu.step()
        if (step.kind === 'exception') step = cpu.deliver(step)
        if (field('attention') > 1) found.push(`${name}, run ${run}: attention is ${field('attention')}`)
      }
    } catch (error) {
      found.push(`${name}, run ${run}, vector ${vector} ${cause}: ${String(error)}`)
    }
  }
  return found
}

