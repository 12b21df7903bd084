/** A program for harts in M-mode that does what a device, the operator, says: one access, or another small thing, at a time. */
import { encode, type Operands } from '@machinist/cpu-riscv/isa'

/** What the operator may ask for. */
export const action = { delay: 0, read8: 1, read16: 2, read32: 3, write8: 4, write16: 5, write32: 6, wait: 7, listen: 8, add: 9 } as const
/** The operator's registers, a window for each hart. */
export const window = { size: 0x40, action: 0, address: 8, value: 16, answer: 24, interrupt: 28 } as const
/** What a hart says of its own interrupts, besides what a controller calls them by. */
export const interrupt = { software: 0x1000, timer: 0x2000 } as const

const [ra, t0, t1, t2, s0, s1, a0, a1, s2, s3] = [1, 5, 6, 7, 8, 9, 10, 11, 18, 19]
const [x24, x25, x26] = [24, 25, 26]
const csr = { mstatus: 0x300, mie: 0x304, mtvec: 0x305, mepc: 0x341, mcause: 0x342, stopei: 0x15c, siselect: 0x150, sireg: 0x151 }
const file = { delivery: 0x70, threshold: 0x72, enabled: 0xc0 }

export interface GuestPlaces {
  readonly operator: number
  readonly clint: number
  /** Base of the PLIC; null with interrupt files. */
  readonly plic: number | null
}

/** The program. It may be put anywhere; every hart begins at its start with its number in a0. */
export function guestCode({ operator, clint, plic }: GuestPlaces): Uint8Array {
  const words: number[] = []
  const labels = new Map<string, number>()
  const fixes: (() => void)[] = []
  const op = (name: string, operands: Operands = {}): void => { words.push(encode(name, operands)) }
  const label = (name: string): void => { labels.set(name, words.length) }
  const to = (name: string, target: string, operands: Operands = {}): void => {
    const at = words.length
    words.push(0)
    fixes.push(() => { words[at] = encode(name, { ...operands, imm: 4 * ((labels.get(target) ?? 0) - at) }) })
  }
  const li = (rd: number, value: number): void => {
    const low = (value << 20) >> 20
    op('lui', { rd, imm: (value - low) | 0 })
    if (low !== 0) op('addiw', { rd, rs1: rd, imm: low })
  }
  const hartTimes = (rd: number, shift: number, start: number): void => {
    li(rd, start)
    op('slli', { rd: t0, rs1: a0, imm: shift })
    op('add', { rd, rs1: rd, rs2: t0 })
  }
  hartTimes(s0, 6, operator)
  if (plic !== null) hartTimes(s1, 13, plic + 0x20_0004)
  hartTimes(s2, 3, clint + 0x4000)
  hartTimes(s3, 2, clint)
  op('auipc', { rd: t0 })
  const trap = words.length
  words.push(0)
  fixes.push(() => { words[trap] = encode('addi', { rd: t0, rs1: t0, imm: 4 * ((labels.get('trap') ?? 0) - trap + 1) }) })
  op('csrrw', { imm: csr.mtvec, rs1: t0 })
  if (plic === null) {
    const set = (register: number, value: number): void => {
      li(t0, register)
      op('csrrw', { imm: csr.siselect, rs1: t0 })
      op('addi', { rd: t0, imm: value })
      op('csrrw', { imm: csr.sireg, rs1: t0 })
    }
    set(file.delivery, 1)
    set(file.threshold, 0)
    for (const each of [0, 2, 4, 6]) set(file.enabled + each, -1)
  }
  const external = plic === null ? 1 << 9 : 1 << 11
  li(t0, external | 1 << 7 | 1 << 3)
  op('csrrw', { imm: csr.mie, rs1: t0 })
  op('csrrsi', { imm: csr.mstatus, rs1: 8 })
  label('loop')
  op('lw', { rd: t0, rs1: s0, imm: window.action })
  op('ld', { rd: t1, rs1: s0, imm: window.address })
  op('lwu', { rd: t2, rs1: s0, imm: window.value })
  op('addi', { rd: a1 })
  op('slli', { rd: t0, rs1: t0, imm: 4 })
  op('auipc', { rd: ra })
  op('add', { rd: ra, rs1: ra, rs2: t0 })
  op('jalr', { rs1: ra, imm: 12 })
  const entry = (body: () => void, target = 'done'): void => {
    const end = words.length + 4
    body()
    to('jal', target)
    while (words.length < end) op('addi')
  }
  entry(() => {}, 'delay')
  for (const name of ['lbu', 'lhu', 'lwu']) entry(() => { op(name, { rd: a1, rs1: t1 }) })
  for (const name of ['sb', 'sh', 'sw']) entry(() => { op(name, { rs1: t1, rs2: t2 }) })
  entry(() => { op('wfi') })
  entry(() => {}, 'listen')
  entry(() => { op('amoadd.w', { rd: a1, rs1: t1, rs2: t2 }) })
  label('done')
  op('sw', { rs1: s0, rs2: a1, imm: window.answer })
  to('jal', 'loop')
  label('delay')
  to('beq', 'done', { rs1: t2, rs2: 0 })
  op('addi', { rd: t2, rs1: t2, imm: -1 })
  to('jal', 'delay')
  label('listen')
  li(t1, external)
  op('csrrs', { imm: csr.mie, rs1: t1 })
  to('jal', 'done')
  // Interrupts have registers of their own.
  while (words.length % 4 !== 0) op('addi')
  label('trap')
  op('csrrs', { rd: x24, imm: csr.mcause })
  to('blt', 'interrupt', { rs1: x24, rs2: 0 })
  // An access that faults has its cause for an answer.
  op('addi', { rd: a1, rs1: x24 })
  op('csrrs', { rd: x24, imm: csr.mepc })
  op('addi', { rd: x24, rs1: x24, imm: 4 })
  op('csrrw', { rs1: x24, imm: csr.mepc })
  op('mret')
  label('interrupt')
  op('andi', { rd: x24, rs1: x24, imm: 15 })
  op('addi', { rd: x25, imm: 7 })
  to('beq', 'timer', { rs1: x24, rs2: x25 })
  op('addi', { rd: x25, imm: 3 })
  to('beq', 'software', { rs1: x24, rs2: x25 })
  if (plic === null) {
    op('csrrw', { rd: x25, imm: csr.stopei, rs1: 0 })
    op('srli', { rd: x25, rs1: x25, imm: 16 })
  } else {
    op('lw', { rd: x25, rs1: s1 })
    // Its device has yet to be asked to be quiet.
    li(x26, external)
    op('csrrc', { imm: csr.mie, rs1: x26 })
  }
  to('jal', 'note')
  label('timer')
  op('addi', { rd: x25, imm: -1 })
  op('sd', { rs1: s2, rs2: x25 })
  li(x25, interrupt.timer)
  to('jal', 'note')
  label('software')
  op('sw', { rs1: s3, rs2: 0 })
  li(x25, interrupt.software)
  label('note')
  op('sw', { rs1: s0, rs2: x25, imm: window.interrupt })
  op('mret')
  for (const fix of fixes) fix()
  return new Uint8Array(Uint32Array.from(words).buffer)
}
