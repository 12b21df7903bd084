import { expect, test } from 'vitest'
import { Random } from '../test/host/random.ts'
import { EAX } from '../test/machine/assembler.ts'
import { descriptor } from '../test/machine/layout.ts'
import { place, select, SmallSystem, toUser } from '../test/system/machine.ts'
import { Vector } from './index.ts'

/** QEMU has neither VME nor PVI, so they are compared with what the manual writes (SDM volume 2, CLI, STI, PUSHF, POPF, IRET, INT n; volume 3, 21.3 and 21.4). */
const seed = Number(process.env.MACHINIST_SEED ?? 1)
const RUNS = Number(process.env.MACHINIST_RUNS ?? 800)

const [TF, IF, NT, RF, VM, AC, VIF, VIP, ID] = [1 << 8, 1 << 9, 1 << 14, 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20, 1 << 21]
const IOPL = 0x3000
const STATUS_AND_DF = 0xcd5
const [VME, PVI] = [1, 2]
const IN_WORD = STATUS_AND_DF | TF | NT
const VECTOR = 0x30

interface Before {
  readonly virtual: boolean
  readonly cr4: number
  readonly flags: number
  /** Of INT's vector, in the redirection map: 1 is the protected-mode handler. */
  readonly redirected: number
  /** What POPF and IRET take. */
  readonly image: number
}
/** Flags afterwards, and the word or doubleword that was pushed; or #GP; or the way to a handler of either kind. */
type After = { readonly flags: number; readonly pushed?: number } | 'general protection' | 'protected handler'

const replace = (flags: number, image: number, mask: number): number => flags & ~mask | image & mask
const raised = 'general protection'

/** The manual's operation of each, by name and whether the operand is of 32 bits. */
function operation(name: string, wide: boolean, { virtual, cr4, flags, redirected, image }: Before): After {
  const iopl = flags >> 12 & 3
  // CPL is 3 in both modes.
  const allowed = iopl === 3
  const extended = !allowed && (cr4 & (virtual ? VME : PVI)) !== 0
  const inWord = virtual && !allowed
  if (name === 'cli') return allowed ? { flags: flags & ~IF } : extended ? { flags: flags & ~VIF } : raised
  if (name === 'sti') return allowed ? { flags: flags | IF } : extended && (flags & VIP) === 0 ? { flags: flags | VIF } : raised
  if (inWord && ((cr4 & VME) === 0 || wide) && name !== 'int') return raised
  const shown = replace(flags, IOPL | ((flags & VIF) !== 0 ? IF : 0), IOPL | IF) & 0xffff
  if (name === 'pushf') return { flags, pushed: inWord ? shown : wide ? flags & ~(VM | RF) : flags & 0xffff }
  if (name === 'popf' || name === 'iret') {
    if (!inWord) return { flags: replace(flags, image, IN_WORD | (allowed ? IF : 0) | (wide ? AC | ID | (name === 'iret' ? RF : 0) : 0)) }
    if ((image & TF) !== 0 || (image & IF) !== 0 && (flags & VIP) !== 0) return raised
    return { flags: replace(replace(flags, image, IN_WORD), (image & IF) !== 0 ? VIF : 0, VIF) }
  }
  if ((cr4 & VME) === 0 || redirected === 1) return allowed ? 'protected handler' : raised
  return allowed ? { flags: flags & ~(IF | TF), pushed: flags & 0xffff } : { flags: flags & ~(VIF | TF), pushed: shown }
}

const PARAGRAPH = place.data >> 4
const [TARGET, SP] = [0x800, 0xff0]
const codes: Readonly<Record<string, readonly number[]>> = { cli: [0xfa], sti: [0xfb], pushf: [0x9c], popf: [0x9d], iret: [0xcf], int: [0xcd, VECTOR] }

/** Does it, from those flags at CPL 3. */
function done(small: SmallSystem, name: string, wide: boolean, before: Before): After {
  const { virtual, cr4, flags, redirected, image } = before
  const { cpu } = small
  const code = [...wide === virtual ? [0x66] : [], ...codes[name] ?? []]
  const linear = place.data
  const base = virtual ? linear : place.outer - 0x100
  const stack = virtual ? linear + SP : place.outer
  cpu.memory.set([...code, 0x0f, 0x0b], linear)
  cpu.memory.set([0x0f, 0x0b], linear + TARGET)
  small.words(4 * VECTOR, PARAGRAPH << 16 | TARGET)
  cpu.memory.fill(0x55, base + (virtual ? SP - 16 : 0xf0), stack)
  // What is on the stack: flags, or all that IRET takes.
  const back = name === 'iret'
  const size = wide ? 4 : 2
  const values = back ? [virtual ? TARGET : linear + TARGET, virtual ? PARAGRAPH : select.user, image] : [image]
  values.forEach((value, i) => { if (size === 4) small.view.setUint32(stack + 4 * i, value >>> 0, true); else small.view.setUint16(stack + 2 * i, value & 0xffff, true) })
  cpu.memory[place.tss + 0x68 + (VECTOR >> 3)] = redirected << (VECTOR & 7)
  small.code((a) => {
    a.set(EAX, cr4).op('mov', 'control rmreg', { reg: 4, rm: EAX })
    if (virtual) {
      // GS, FS, DS, ES, SS, SP, EFLAGS, CS, IP.
      for (const value of [0, 0, 0, 0, PARAGRAPH, SP, flags, PARAGRAPH, 0]) a.push(value)
      a.op('iret')
    } else toUser(a, linear, flags)
  })
  for (let i = 0; i < 20 && Number(cpu.rip) !== (virtual ? 0 : linear); i++) small.step()
  expect(cpu.flags & ~2).toBe(flags & ~2)
  small.step()
  if (small.vector === Vector.generalProtection) return raised
  if (small.vector === VECTOR) return 'protected handler'
  const [after, sp] = [cpu.flags, Number(cpu.register(4))]
  const pushed = name === 'pushf' ? (wide ? small.word(base + sp - (virtual ? 0 : base)) : small.view.getUint16(virtual ? base + sp : sp, true)) : name === 'int' ? small.view.getUint16(base + sp + 4, true) : null
  // Back to CPL 0, by the UD2 there.
  small.step()
  if ((after & TF) !== 0 && small.vector !== Vector.invalidOpcode) small.step()
  return { flags: after & ~2, ...pushed === null ? {} : { pushed: pushed & ~2 } }
}

function without2(after: After): After {
  return typeof after === 'string' ? after : { flags: after.flags & ~2, ...after.pushed === undefined ? {} : { pushed: after.pushed & ~2 } }
}

test('virtual interrupts of virtual-8086 mode and of protected mode are those of the manual', () => {
  const random = new Random(seed)
  const small = new SmallSystem(32)
  // With the redirection map.
  small.describe(select.tss, descriptor(place.tss, 0xff, 0x89, 0))
  small.words(place.tss + 100, 0x88 << 16)
  const load = (): void => void small.code((a) => a.set(EAX, select.tss).op('ltr', 'rm', { rm: EAX })).step(2)
  load()
  const seen = new Map<string, number>()
  for (let i = 0; i < RUNS; i++) {
    const virtual = random.below(3) !== 0
    const name = random.of(virtual ? Object.keys(codes) : ['cli', 'sti', 'pushf', 'popf'])
    const wide = name !== 'int' && random.below(3) === 0
    const iopl = random.of([0, 1, 2, 3]) << 12
    const virtuals = random.of([0, VIF, VIP])
    // RF is clear after the instruction that it is set for.
    const flags = 2 | (random.bits32() & (STATUS_AND_DF | IF | NT | AC | ID)) | iopl | virtuals | (virtual ? VM : 0)
    const before: Before = { virtual, cr4: random.of([0, VME, PVI, VME | PVI]), flags, redirected: random.below(2), image: random.bits32() & 0x3f_7fd5 & ~(random.below(4) === 0 ? 0 : TF) | 2 }
    const [here, manual] = [done(small, name, wide, before), without2(operation(name, wide, before))]
    expect([name, wide, before, here]).toEqual([name, wide, before, manual])
    const kind = `${name} ${typeof manual === 'string' ? manual : 'goes on'}`
    seen.set(kind, (seen.get(kind) ?? 0) + 1)
  }
  expect([...seen.keys()].sort()).toEqual(['cli general protection', 'cli goes on', 'int general protection', 'int goes on', 'int protected handler', 'iret general protection', 'iret goes on', 'popf general protection', 'popf goes on', 'pushf general protection', 'pushf goes on', 'sti general protection', 'sti goes on'])
})
