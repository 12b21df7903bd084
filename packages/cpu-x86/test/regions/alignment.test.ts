import { expect, test } from 'vitest'
import type { TestMachine } from '../../src/test-machine.ts'
import { Random } from '../host/random.ts'
import { Assembler, DS, EAX, EBX, ECX, EDI, EDX, ES, ESI, ESP, SS } from '../machine/assembler.ts'
import { descriptor, gate } from '../machine/layout.ts'
import { at } from '../run/programs.ts'
import { differences } from './compare.ts'
import { flatMachine } from './machine.ts'

const seed = Number(process.env.MACHINIST_SEED ?? 1)
const BASE = Number(at.base)
/** In the memory that is compared. */
const place = { user: BASE + 0x1000, handler: BASE + 0x1800, gdt: BASE + 0x3000, idt: BASE + 0x3100, tss: BASE + 0x3400, pointers: BASE + 0x3500, faults: BASE + 0x3600, data: BASE + 0x4000, stack: BASE + 0x6000, outer: BASE + 0x7000 } as const
const select = { code: 0x08, data: 0x10, user: 0x1b, userData: 0x23, tss: 0x28 } as const
const ALIGNMENT_CHECK = 17
const AC = 0x4_0000

/**
 * A program at CPL 3 that goes round with accesses of which some are not aligned, turns checks on, goes round with accesses that are aligned, and makes one that is not. Its handler counts it, and turns checks off.
 */
function start(translate: 'now' | 'off', rounds: number): TestMachine {
  const machine = flatMachine(32, BASE, { translate, hot: 400 })
  const words = (address: number, ...values: number[]): void => { machine.memory.write(address, new Uint8Array(Uint32Array.from(values, (value) => value >>> 0).buffer)) }
  const put = (a: Assembler): void => { machine.memory.write(a.at, a.bytes) }
  words(place.gdt, 0, 0, ...descriptor(0, 0xf_ffff, 0x9b, 12), ...descriptor(0, 0xf_ffff, 0x93, 12), ...descriptor(0, 0xf_ffff, 0xfb, 12), ...descriptor(0, 0xf_ffff, 0xf3, 12), ...descriptor(place.tss, 0x67, 0x89, 0))
  words(place.tss + 4, place.stack, select.data)
  words(place.idt + 8 * ALIGNMENT_CHECK, ...gate(select.code, place.handler, 0x8e))
  words(place.pointers, 0x2f | place.gdt << 16, place.gdt >>> 16, 0x3ff | place.idt << 16, place.idt >>> 16)
  put(new Assembler(place.handler).op('inc', 'rm', { operandSize: 4, rm: { displacement: place.faults } })
    .op('add', 'rm imm', { operandSize: 4, rm: { base: ESP, displacement: 4 }, immediates: [3n] }).op('and', 'rm imm', { operandSize: 4, rm: { base: ESP, displacement: 12 }, immediates: [BigInt(~AC)] })
    .op('pop', 'opreg', { rm: EBX }).op('iret'))
  const boot = new Assembler(BASE)
  boot.op('lgdt', 'mem', { rm: { displacement: place.pointers } }).op('lidt', 'mem', { rm: { displacement: place.pointers + 8 } })
  boot.set(EAX, select.data)
  for (const segment of [SS, ES]) boot.segment(segment, EAX)
  boot.set(ESP, place.stack).set(EAX, select.tss).op('ltr', 'rm', { rm: EAX })
  boot.op('mov', 'rmreg control', { reg: 0, rm: EAX }).op('or', 'rm imm', { rm: EAX, immediates: [0x4_0000n] }).op('mov', 'control rmreg', { reg: 0, rm: EAX })
  boot.set(EAX, select.userData)
  for (const segment of [DS, ES]) boot.segment(segment, EAX)
  put(boot.push(select.userData).push(place.outer).push(2).push(select.user).push(place.user).op('iret'))
  const load = (displacement: number) => (a: Assembler): Assembler => a.op('mov', 'reg rm', { reg: EAX, operandSize: 4, rm: { base: ESI, displacement } })
  const user = new Assembler(place.user).set(ESI, place.data).set(EDI, place.data + 0x100)
  const back = (to: number): void => void user.raw(0x75, to - (user.here + 2) & 255)
  const loop = (body: (a: Assembler) => Assembler): void => {
    user.set(ECX, rounds)
    const top = user.here
    body(user).op('add', 'reg rm', { reg: EDX, operandSize: 4, rm: EAX }).raw(0xff, 0xc9)
    back(top)
  }
  const outer = user.here
  loop(load(1))
  // pushfd; or dword [esp], AC; popfd
  user.raw(0x9c, 0x81, 0x0c, 0x24, 0, 0, 4, 0, 0x9d)
  loop((a) => load(4)(a).op('mov', 'rm reg', { reg: EDX, operandSize: 4, rm: { base: EDI } }))
  load(2)(user).jump(outer)
  put(user)
  return machine
}

// SDM volume 3, 7.15, #AC.
test('alignment is checked in translated code as it is elsewhere, from the moment that AC is set', () => {
  const random = new Random(seed)
  let [translated, faults] = [0, 0]
  for (const rounds of [40, 3000]) {
    const [fast, slow] = [start('now', rounds), start('off', rounds)]
    for (let slice = 0; slice < 12; slice++) {
      const budget = 1 + random.below(random.of([100, 3000, 30_000]))
      for (const { hart } of [fast, slow]) hart.run(budget, true)
      expect([rounds, slice, ...differences(fast, slow)]).toEqual([rounds, slice])
    }
    translated += fast.cpu.stats.translated ?? 0
    const count = new Uint8Array(4)
    fast.memory.read(place.faults, count)
    faults += new DataView(count.buffer).getUint32(0, true)
    fast.cpu.dispose()
    slow.cpu.dispose()
  }
  expect(translated).toBeGreaterThan(1000)
  expect(faults).toBeGreaterThan(5)
})
