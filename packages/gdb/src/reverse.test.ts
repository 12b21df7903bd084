import { riscv } from '@machinist/cpu-riscv'
import { encode } from '@machinist/cpu-riscv/isa'
import { createMachine, defineMachine, type MachineHost, part, Seeker } from '@machinist/machine'
import { createMemory } from '@machinist/wasm'
import { expect, test } from 'vitest'
import { packet, PacketReader } from './packet.ts'
import { gdbSession } from './session.ts'
import { bytesOf, latin } from './text.ts'

const RAM = 0x8000_0000
const host: MachineHost = {
  loop: { now: () => performance.now() * 1e6, soon: (callback) => { setImmediate(callback) }, after: () => () => {} },
  linearMemory: (maximum) => createMemory({ initial: 1, maximum: Math.floor(maximum / 65536), shared: true }),
  maximumMemory: 2 ** 28,
}
const word = (value: number): string => Array.from({ length: 8 }, (_, index) => Math.floor(value / 256 ** index) % 256).map((byte) => byte.toString(16).padStart(2, '0')).join('')

/** x1 counts, and goes to memory: one word for each hart. */
const code = [
  encode('csrrs', { rd: 6, rs1: 0, imm: 0xf14 }), encode('slli', { rd: 6, rs1: 6, imm: 3 }), encode('auipc', { rd: 5, imm: 0x1000 }), encode('add', { rd: 5, rs1: 5, rs2: 6 }),
  encode('addi', { rd: 1, rs1: 1, imm: 1 }), encode('sd', { rs1: 5, rs2: 1 }), encode('jal', { rd: 0, imm: -8 }),
]

/** A debugger at a recording of two harts; `ask` sends a packet, and waits for the answer. */
function debugged(instructions: number): { readonly seeker: Seeker; ask(data: string): Promise<string>; send(text: string): void } {
  const blueprint = defineMachine({
    name: 'debugged', memory: { base: RAM, size: 2 ** 20 }, time: { instructionsPerSecond: 1e6 }, cpu: part(riscv, { config: { harts: 2, firmware: 'none' }, backends: { console: 'null' } }), devices: {},
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: new Uint8Array(Uint32Array.from(code).buffer) }], entry: RAM },
  })
  const log: Uint8Array[] = []
  const recorded = createMachine(blueprint, { ...host, backend: () => ({ kind: 'char', connect: () => ({ write: (bytes: Uint8Array) => bytes.length, read: () => 0, listen() {} }) }) },
    { record: { sink: { write: (bytes) => { log.push(bytes) }, end() {} } } })
  recorded.stopAt({ retired: instructions })
  recorded.start({ drive: 'caller' })
  while (recorded.state === 'running') recorded.runSlice(1e6)
  recorded.stopRecording()
  recorded.dispose()
  const seeker = new Seeker({ make: (onSay) => createMachine(blueprint, host, { replay: { source: { part: (index) => log[index] ?? null }, onSay } }), loop: host.loop })
  const heard: ((data: string) => void)[] = []
  const reader = new PacketReader()
  const session = gdbSession(seeker, {
    send: (bytes) => { reader.push(bytes, (incoming) => { if (incoming.kind === 'packet' && !incoming.data.startsWith('O6')) heard.shift()?.(incoming.data) }) },
    close() {},
  })
  const send = (text: string): void => { session.receive(bytesOf(text)) }
  return { seeker, send, ask: (data) => new Promise((resolve) => {
    heard.push(resolve)
    send(latin(packet(data)))
  }) }
}

test('goes back by steps, to breakpoints and to writes, and says where the recording begins and ends', async () => {
  const { seeker, ask } = debugged(100_000)
  expect(await ask('qSupported:swbreak+;hwbreak+')).toContain(';ReverseStep+;ReverseContinue+')
  expect([await ask('?'), await ask('p20')]).toEqual(['T05thread:1;', word(RAM)])
  expect(await ask('bs')).toBe('T05thread:1;replaylog:begin;')
  for (let step = 1; step <= 6; step++) expect([await ask('vCont;s:1;c'), await ask('p20')]).toEqual(['T05thread:1;', word(RAM + 4 * step)])
  expect([await ask('bs'), await ask('p20'), await ask('m80001008,8')]).toEqual(['T05thread:1;', word(RAM + 20), word(0)])
  // There and back again: the 500th round of the second hart.
  expect([await ask('Z0,80000018,4'), await ask('Hc2'), await ask('c')]).toEqual(['OK', 'OK', 'T05thread:1;swbreak:;'])
  expect([await ask('z0,80000018,4'), await ask('c'), await ask('Hg2')]).toEqual(['OK', 'T05thread:1;replaylog:end;', 'OK'])
  const last = await ask('m80001010,8')
  expect([await ask('Z2,80001010,8'), await ask('bc'), await ask('p1'), await ask('p20')]).toEqual(['OK', 'T05thread:2;watch:80001010;', last, word(RAM + 20)])
  expect(await ask('m80001010,8')).not.toBe(last)
  expect([await ask('z2,80001010,8'), await ask('vCont;s:2'), await ask('m80001010,8')]).toEqual(['OK', 'T05thread:2;', last])
  // What was recorded is as it was.
  expect([await ask(`P1=${word(7)}`), await ask('M80001000,1:00'), await ask('X80001000,1:a'), await ask('G00')]).toEqual(['E01', 'E01', 'E01', 'E01'])
  expect([await ask('Z1,80000010,4'), await ask('bc')]).toEqual(['OK', expect.stringMatching(/^T05thread:[12];hwbreak:;$/)])
  expect([await ask('z1,80000010,4'), await ask('bc'), seeker.machine.stats.steps]).toEqual(['OK', 'T05thread:2;replaylog:begin;', 0])
  seeker.dispose()
})

test('Ctrl-C stops it on either way, and bad packets are refused', async () => {
  const { seeker, ask, send } = debugged(3_000_000)
  for (const [way, more] of [['c', ''], ['bc', 'Z0,0,4']] as const) {
    if (more !== '') expect(await ask(more)).toBe('OK')
    const stopped = ask(way)
    send('\x03')
    expect(await stopped).toBe('T02thread:1;')
    await seeker.seek({ retired: 2_000_000 })
  }
  expect([await ask('bx'), await ask('b'), await ask('bsx')]).toEqual(['', '', ''])
  seeker.dispose()
})
