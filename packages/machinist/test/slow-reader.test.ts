/** A guest that prints faster than anybody reads, on every way out that has no driver between. */
import { Writable } from 'node:stream'
import { virt } from '@machinist/boards'
import { encode } from '@machinist/cpu-riscv/isa'
import { nodeHost, stream } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { describe, expect, it } from 'vitest'

const RAM = 0x8000_0000
const BUFFER = RAM + 0x10_0000
const [t0, t1, a0, a1, a2, s2, s3, a6, a7] = [5, 6, 10, 11, 12, 18, 19, 16, 17]
const [UART, POWER, THRE, PASS] = [0x1000_0000, 0x10_0000, 0x20, 0x5555]
const DBCN = 0x4442_434e
/** More than host, pipe and UART keep. */
const BYTES = 300_000
/** Of one DBCN call. */
const PIECE = 5000

const constant = (rd: number, value: number): number[] => {
  const low = (value << 20) >> 20
  return [encode('lui', { rd, imm: (value - low) | 0 }), encode('addiw', { rd, rs1: rd, imm: low })]
}
const move = (rd: number, rs1: number): number => encode('addi', { rd, rs1, imm: 0 })
const small = (rd: number, imm: number): number => encode('addi', { rd, rs1: 0, imm })

/** What prints the byte in s2, or for DBCN's write those from there, as a guest that does not look whether it could. */
const ways: Readonly<Record<string, { readonly step: number; readonly code: readonly number[] }>> = {
  'the UART, after looking at THRE': {
    step: 1,
    code: [...constant(t0, UART), encode('lbu', { rd: t1, rs1: t0, imm: 5 }), encode('andi', { rd: t1, rs1: t1, imm: THRE }), encode('beq', { rs1: t1, rs2: 0, imm: -8 }), encode('sb', { rs1: t0, rs2: s2, imm: 0 })],
  },
  'the UART, without looking': { step: 1, code: [...constant(t0, UART), encode('sb', { rs1: t0, rs2: s2, imm: 0 })] },
  'SBI, legacy putchar': { step: 1, code: [move(a0, s2), small(a7, 1), encode('ecall')] },
  'SBI, DBCN write byte': { step: 1, code: [move(a0, s2), ...constant(a7, DBCN), small(a6, 2), encode('ecall')] },
  'SBI, DBCN write, with no look at what was taken': {
    step: PIECE,
    code: [...constant(a0, PIECE), ...constant(t0, BUFFER - RAM), ...constant(a1, 1), encode('slli', { rd: a1, rs1: a1, imm: 31 }),
      encode('add', { rd: a1, rs1: a1, rs2: t0 }), encode('add', { rd: a1, rs1: a1, rs2: s2 }), small(a2, 0), ...constant(a7, DBCN), small(a6, 0), encode('ecall')],
  },
}

const pattern = (length: number): Buffer => Buffer.from(Uint8Array.from({ length }, (_, index) => index))

function guest({ step, code }: (typeof ways)[string], output: Writable) {
  const body = [...code, ...constant(t0, step), encode('add', { rd: s2, rs1: s2, rs2: t0 })]
  const program = [small(s2, 0), ...constant(s3, BYTES), ...body, encode('blt', { rs1: s2, rs2: s3, imm: -4 * body.length }),
    ...constant(t0, POWER), ...constant(t1, PASS), encode('sw', { rs1: t0, rs2: t1, imm: 0 }), encode('jal', { rd: 0, imm: 0 })]
  const blueprint = virt({ memory: 16 * 2 ** 20, console: stream({ output }) })
  const images = [
    { name: 'code', at: RAM, bytes: new Uint8Array(Uint32Array.from(program).buffer) },
    { name: 'text', at: BUFFER, bytes: pattern(BYTES) },
  ]
  return createMachine({ ...blueprint, definition: { ...blueprint.definition, boot: { protocol: 'raw', images, entry: RAM } } }, nodeHost())
}

describe.each(Object.entries(ways))('%s', (_name, way) => {
  it('loses nothing when the reader is slow, and the host keeps little of it', async () => {
    const chunks: Uint8Array[] = []
    let most = 0
    const reader = new Writable({
      write(chunk: Uint8Array, _encoding, done) {
        most = Math.max(most, reader.writableLength)
        // It sleeps at first, for longer than it takes to print all.
        setTimeout(done, chunks.push(chunk) === 1 ? 1000 : 5)
      },
    })
    const machine = guest(way, reader)
    machine.start()
    expect(await machine.finished()).toEqual({ status: 0, error: null })
    machine.dispose()
    await new Promise((done) => { reader.end(done) })
    expect(Buffer.concat(chunks).equals(pattern(BYTES))).toBe(true)
    expect(most).toBeLessThan(200_000)
  })

  it('goes on when the reader goes away', async () => {
    let left = 2
    const reader: Writable = new Writable({
      write(_chunk, _encoding, done) { setTimeout(() => { done(--left === 0 ? Object.assign(new Error('gone'), { code: 'EPIPE' }) : null) }, 5) },
    })
    const machine = guest(way, reader)
    machine.start()
    expect(await machine.finished()).toEqual({ status: 0, error: null })
    machine.dispose()
  })
})
