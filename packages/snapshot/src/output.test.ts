import type { Backend, CharPort } from '@machinist/api'
import { riscv } from '@machinist/cpu-riscv'
import { encode } from '@machinist/cpu-riscv/isa'
import { uart16550a } from '@machinist/devices'
import { clint, plic } from '@machinist/interrupts'
import { createMachine, defineMachine, instantiateStored, type Machine, part } from '@machinist/machine'
import { expect, test } from 'vitest'
import { slowReader } from '../../machine/test/slow-reader.ts'
import { catalogue, codec, input, RAM, run, SIZE, testHost, written } from '../test/counting.ts'
import { openSnapshot } from './index.ts'

const UART = 0x1000_0000

/** Prints a text, with the FIFO of its UART or without, and does nothing more. */
function printing(text: string, fifo: boolean, console: Backend<CharPort>): Machine {
  const [uart, byte] = [5, 6]
  const code = [
    encode('lui', { rd: uart, imm: UART }), encode('addi', { rd: byte, rs1: 0, imm: fifo ? 1 : 0 }), encode('sb', { rs1: uart, rs2: byte, imm: 2 }),
    ...[...text].flatMap((letter) => [encode('addi', { rd: byte, rs1: 0, imm: letter.charCodeAt(0) }), encode('sb', { rs1: uart, rs2: byte, imm: 0 })]),
    encode('jal', { rd: 0, imm: 0 }),
  ]
  return createMachine(defineMachine({
    name: 'printing', memory: { base: RAM, size: SIZE }, time: { instructionsPerSecond: 1e6 }, cpu: part(riscv, { config: { harts: 1, firmware: 'none', translate: 'off' }, backends: { console: 'null' } }),
    devices: { plic: part(plic, { at: 0xc00_0000, config: { harts: 1 } }), clint: part(clint, { at: 0x200_0000, config: { harts: 1 } }), uart0: part(uart16550a, { at: UART, backends: { console } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: new Uint8Array(Uint32Array.from(code).buffer) }], entry: RAM },
  }), testHost())
}

test.each([[true, 12], [true, 30], [false, 12]] as const)('what a UART (FIFO %s) has of %i letters for a slow host comes where the machine goes on', async (fifo, count) => {
  const text = Array.from({ length: count }, (_, index) => String.fromCharCode(0x61 + index)).join('')
  const first = slowReader(3)
  const machine = printing(text, fifo, first)
  run(machine, 20)
  expect(first.text).toBe('abc')
  const stored = openSnapshot(input(await written(machine)), codec)
  const own = slowReader(1)
  const copy = instantiateStored(stored, catalogue, testHost(), { backends: { 'uart0.console': own }, exact: true })
  stored.close()
  run(copy, 5)
  expect(own.text).toBe('d')
  for (const [reader, each] of [[first, machine], [own, copy]] as const) {
    reader.take(100)
    run(each, 20)
  }
  expect([first.text, own.text]).toEqual([text, text.slice(3)])
  machine.dispose()
  copy.dispose()
})
