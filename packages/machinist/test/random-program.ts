import { encode, type Operands } from '@machinist/cpu-riscv/isa'

/** Where a random program begins. */
export const RAM = 0x8000_0000
const SHARED = RAM + 0x4_0000
const CLINT = 0x200_0000
const MTIMECMP = 0x4000
const UART = 0x1000_0000

const [MSTATUS, MIE, MTVEC, MENVCFG, MEPC, MCAUSE, MHARTID, STIMECMP, TIME] = [0x300, 0x304, 0x305, 0x30a, 0x341, 0x342, 0xf14, 0x14d, 0xc01]
/** Registers: the hart's number, its own memory, the CLINT, the UART, what harts share, the hart's `mtimecmp`, a lock and what is behind it. */
const [HART, OWN, CLINT_AT, UART_AT, SHARED_AT, COMPARE, LOCK, HELD] = [8, 9, 18, 19, 20, 21, 22, 23]
/** Of the handler, and a counter. */
const [H1, H2, H3, COUNT] = [28, 29, 30, 31]

/** A constant with its low 12 bits zero, which may have bit 31 set. */
const constant = (rd: number, value: number): number[] => [encode('lui', { rd, imm: value }), encode('slli', { rd, rs1: rd, imm: 32 }), encode('srli', { rd, rs1: rd, imm: 32 })]
const li = (rd: number, imm: number): number => encode('addi', { rd, rs1: 0, imm })
const read = (rd: number, csr: number): number => encode('csrrs', { rd, rs1: 0, imm: csr })
const write = (csr: number, rs1: number): number => encode('csrrw', { rd: 0, rs1, imm: csr })
/** `rd` = base + hart · 2^shift. */
const ofHart = (rd: number, base: number, shift: number): number[] => [encode('slli', { rd: H2, rs1: HART, imm: shift }), encode('add', { rd, rs1: base, rs2: H2 })]

/** Counts what it was called for. An exception goes on behind its instruction; an interrupt is taken away, and its timers go on. */
const handler = [
  read(H1, MCAUSE), encode('andi', { rd: H2, rs1: H1, imm: 15 }), encode('slli', { rd: H2, rs1: H2, imm: 3 }), encode('add', { rd: H2, rs1: H2, rs2: OWN }),
  encode('ld', { rd: H3, rs1: H2, imm: 256 }), encode('addi', { rd: H3, rs1: H3, imm: 1 }), encode('sd', { rs1: H2, rs2: H3, imm: 256 }),
  encode('blt', { rs1: H1, rs2: 0, imm: 20 }), read(H1, MEPC), encode('addi', { rd: H1, rs1: H1, imm: 4 }), write(MEPC, H1), encode('mret'),
  read(H1, TIME), encode('addi', { rd: H1, rs1: H1, imm: 2047 }), write(STIMECMP, H1), encode('sd', { rs1: COMPARE, rs2: H1, imm: 0 }),
  ...ofHart(H2, CLINT_AT, 2), encode('sw', { rs1: H2, rs2: 0, imm: 0 }), encode('mret'),
]

/**
 * A program without an end for harts in machine mode, which does all that turns depend on: arithmetic, locks, traps, timers of both kinds, interrupts
 * between harts, waiting, output.
 *
 * @param below - draws a whole number below another
 * @param interrupts - whether it has interrupts, and waits for them
 */
export function randomProgram(below: (limit: number) => number, harts: number, interrupts: boolean = true): Uint8Array<ArrayBuffer> {
  const pick = <T>(items: readonly [T, ...T[]]): T => items[below(items.length)] ?? items[0]
  const any = (): number => pick([10, 11, 12, 13, 14, 15])
  const operands = (): Operands => ({ rd: any(), rs1: any(), rs2: any() })
  const soon = (): number[] => [read(COUNT, TIME), encode('addi', { rd: COUNT, rs1: COUNT, imm: 1 + below(pick([4, 40, 400])) })]
  const round = (times: number): number[] => [li(COUNT, times), encode('add', operands()), encode('addi', { rd: COUNT, rs1: COUNT, imm: -1 }), encode('bne', { rs1: COUNT, rs2: 0, imm: -8 })]
  const pieces: readonly (() => number[])[] = [
    () => Array.from({ length: 1 + below(12) }, () => encode(pick(['add', 'sub', 'xor', 'mul', 'sltu']), operands())),
    () => [encode('ld', { rd: any(), rs1: SHARED_AT, imm: 64 + 8 * below(8) }), encode('sd', { rs1: SHARED_AT, rs2: any(), imm: 64 + 8 * below(8) })],
    () => [encode('sd', { rs1: OWN, rs2: any(), imm: 8 * below(16) }), encode('ld', { rd: any(), rs1: OWN, imm: 8 * below(16) })],
    () => [encode(pick(['amoadd.d', 'amoxor.d', 'amoor.d']), { rd: any(), rs1: SHARED_AT, rs2: any() })],
    () => round(1 + below(200)),
    () => [
      encode('addi', { rd: LOCK, rs1: SHARED_AT, imm: 256 + 64 * below(2) }), li(COUNT, 1), encode('amoswap.d', { rd: HELD, rs1: LOCK, rs2: COUNT }), encode('bne', { rs1: HELD, rs2: 0, imm: -4 }),
      encode('ld', { rd: HELD, rs1: LOCK, imm: 8 }), ...round(1 + below(30)), encode('addi', { rd: HELD, rs1: HELD, imm: 1 }), encode('sd', { rs1: LOCK, rs2: HELD, imm: 8 }),
      encode('amoswap.d', { rd: 0, rs1: LOCK, rs2: 0 }),
    ],
    () => [encode('ecall')],
    () => [encode('pause')],
    () => [read(any(), TIME)],
    () => [...soon(), encode('sd', { rs1: COMPARE, rs2: COUNT, imm: 0 })],
    () => [...soon(), write(STIMECMP, COUNT)],
    // Wakes a hart, or lets it sleep on.
    () => [li(COUNT, below(2)), encode('sw', { rs1: CLINT_AT, rs2: COUNT, imm: 4 * below(harts) })],
    () => [li(COUNT, 33 + below(90)), encode('sb', { rs1: UART_AT, rs2: COUNT, imm: 0 })],
    ...(interrupts ? [() => [...soon(), write(STIMECMP, COUNT), encode('wfi')]] : []),
  ]
  const begin = [
    ...constant(H1, RAM), encode('addi', { rd: H1, rs1: H1, imm: 4 }), write(MTVEC, H1), read(HART, MHARTID),
    ...constant(SHARED_AT, SHARED), ...constant(OWN, SHARED + 0x1000), ...ofHart(OWN, OWN, 12),
    ...constant(CLINT_AT, CLINT), ...constant(UART_AT, UART), ...constant(COMPARE, CLINT + MTIMECMP), ...ofHart(COMPARE, COMPARE, 3),
    li(H1, -1), encode('slli', { rd: H1, rs1: H1, imm: 63 }), write(MENVCFG, H1), write(STIMECMP, 0), encode('sd', { rs1: COMPARE, rs2: 0, imm: 0 }),
    li(H1, interrupts ? 0xa8 : 0), write(MIE, H1), li(H1, 8), encode('csrrs', { rd: 0, rs1: H1, imm: MSTATUS }),
    ...[10, 11, 12, 13, 14, 15].map((rd, index) => encode('addi', { rd, rs1: HART, imm: 37 * index })),
  ]
  const body = Array.from({ length: 40 }, () => (pieces[below(pieces.length)] ?? pieces[0])?.() ?? []).flat()
  const words = [encode('jal', { rd: 0, imm: 4 * (1 + handler.length) }), ...handler, ...begin, ...body, encode('jal', { rd: 0, imm: -4 * body.length })]
  return new Uint8Array(Uint32Array.from(words).buffer)
}
