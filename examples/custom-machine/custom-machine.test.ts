import { collector, nodeHost } from '@machinist/host-node'
import { createMachine, printMachine } from '@machinist/machine'
import { expect, test } from 'vitest'
import { customMachine } from './machine.ts'

// Enough of an assembler for the program below (RISC-V unprivileged specification, chapter "RV32/64G Instruction Set Listings").
const a0 = 10, t0 = 5, t1 = 6, t2 = 7, zero = 0
const i = (opcode: number, funct3: number, rd: number, rs: number, value: number): number => ((value & 0xfff) << 20 | rs << 15 | funct3 << 12 | rd << 7 | opcode) >>> 0
const lui = (rd: number, address: number): number => (address & 0xffff_f000 | rd << 7 | 0x37) >>> 0
const addi = (rd: number, rs: number, value: number): number => i(0x13, 0, rd, rs, value)
const lw = (rd: number, rs: number, offset: number): number => i(0x03, 2, rd, rs, offset)
const hartid = (rd: number): number => i(0x73, 2, rd, 0, 0xf14)
const store = (width: 0 | 2, rs2: number, rs1: number, offset: number): number =>
  ((offset >> 5 & 0x7f) << 25 | rs2 << 20 | rs1 << 15 | width << 12 | (offset & 31) << 7 | 0x23) >>> 0
const branch = (notEqual: 0 | 1, a: number, b: number, by: number): number =>
  ((by >> 12 & 1) << 31 | (by >> 5 & 63) << 25 | b << 20 | a << 15 | notEqual << 12 | (by >> 1 & 15) << 8 | (by >> 11 & 1) << 7 | 0x63) >>> 0
const amoadd = (rd: number, rs2: number, rs1: number): number => (rs2 << 20 | rs1 << 15 | 2 << 12 | rd << 7 | 0x2f) >>> 0

const UART0 = 0x2000_0000
const UART1 = 0x2000_1000
const STOPWATCH = 0x2000_2000
const POWER = 0x2000_3000
const RAM = 0x4000_0000

/** Each hart says its number on the first line and counts itself; hart 0 waits for all, then for the stopwatch, and says so on the second. */
const program = [
  hartid(a0), addi(t1, a0, 0x30), lui(t0, UART0), store(0, t1, t0, 0),
  lui(t0, RAM + 0x1000), addi(t1, zero, 1), amoadd(zero, t1, t0),
  branch(1, a0, zero, 0),
  lw(t1, t0, 0), addi(t1, t1, -3), branch(1, t1, zero, -8),
  lui(t0, STOPWATCH), addi(t1, zero, 100), store(2, zero, t0, 0), store(2, t1, t0, 4),
  lw(t2, t0, 8), branch(0, t2, zero, -4), lw(t2, t0, 0), store(2, zero, t0, 8),
  lui(t0, UART1), store(0, t2, t0, 0),
  lui(t0, POWER), lui(t1, 0x5000), addi(t1, t1, 0x555), store(2, t1, t0, 0), branch(0, zero, zero, 0),
]

test('three harts, two serial lines and a device of our own', async () => {
  const first = collector()
  const second = collector()
  const machine = createMachine(customMachine({
    consoles: [first, second],
    firmware: 'none',
    time: { instructionsPerSecond: 100_000_000 },
    boot: { protocol: 'raw', entry: RAM, images: [{ name: 'program', at: RAM, bytes: new Uint8Array(Uint32Array.from(program).buffer) }] },
  }), nodeHost())
  expect(printMachine(machine.resolved)).toContain('0x20002000 - 0x2000200b  stopwatch registers (stopwatch)')
  machine.start()
  expect(await machine.finished()).toEqual({ status: 0, error: null })
  expect([...first.text()].sort().join('')).toBe('012')
  // Microseconds, since time is counted: 100 and what the loop took.
  expect(second.bytes()[0]).toBeGreaterThanOrEqual(100)
  expect(second.bytes()[0]).toBeLessThan(200)
  machine.dispose()
})
