import { encode } from '@machinist/cpu-riscv/isa'
import { riscv } from '@machinist/cpu-riscv'
import { createMachine, defineMachine, type Machine, type MachineHost, part } from '@machinist/machine'
import { createMemory } from '@machinist/wasm'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { MAX_PACKET, packet, PacketReader } from './packet.ts'
import { type GdbSession, gdbSession } from './session.ts'
import { MAX_STOPS } from './stops.ts'
import { bytesOf, fromHex, latin, textToHex } from './text.ts'

const RAM = 0x8000_0000

let queue: (() => void)[] = []
let time = 0
const host: MachineHost = {
  loop: {
    now: () => (time += 100_000),
    soon: (callback) => { queue.push(callback) },
    after(_ns, callback) {
      queue.push(callback)
      return () => { queue = queue.filter((each) => each !== callback) }
    },
  },
  linearMemory: (maximum) => createMemory({ initial: 1, maximum: Math.floor(maximum / 65536), shared: true }),
  maximumMemory: 2 ** 28,
  entropy: { fill: (into) => { into.fill(7) } },
  wallClock: { now: () => 0n },
}

interface Debugged {
  readonly machine: Machine
  readonly session: GdbSession
  /** Sends bytes as they are; returns what came, packets without their frames. */
  raw(text: string): string[]
  /** Sends a packet, lets the machine run for a while, and returns what it answers. */
  ask(data: string): string
  readonly closed: () => boolean
}

const machines: Machine[] = []
afterEach(() => {
  for (const machine of machines.splice(0)) machine.dispose()
  queue = []
})

/** x1 counts, x2 goes to memory. */
const loop = [encode('addi', { rd: 1, rs1: 1, imm: 1 }), encode('sd', { rs1: 5, rs2: 1 }), encode('jal', { rd: 0, imm: -8 })]

function turns(): void {
  for (let count = 0; count < 50 && queue.length > 0; count++) queue.shift()?.()
}

function start(harts = 2): Debugged {
  const image = new Uint8Array(Uint32Array.from([encode('auipc', { rd: 5, imm: 0x1000 }), ...loop]).buffer)
  const machine = createMachine(defineMachine({
    name: 'debugged', memory: { base: RAM, size: 2 ** 20 }, time: { instructionsPerSecond: 1e8 }, cpu: part(riscv, { config: { harts, firmware: 'none' }, backends: { console: 'null' } }), devices: {},
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: image }], entry: RAM },
  }), host)
  machines.push(machine)
  machine.start()
  const got: string[] = []
  let closed = false
  const reader = new PacketReader()
  const session = gdbSession(machine, {
    send: (bytes) => { reader.push(bytes, (incoming) => { got.push(incoming.kind === 'packet' ? incoming.data : incoming.kind) }) },
    close: () => { closed = true },
  })
  const raw = (text: string): string[] => {
    session.receive(bytesOf(text))
    turns()
    return got.splice(0)
  }
  return { machine, session, raw, ask: (data) => raw(latin(packet(data))).filter((each) => each !== 'ack').at(-1) ?? '', closed: () => closed }
}

const word = (value: number): string => Array.from({ length: 8 }, (_, index) => Math.floor(value / 256 ** index) % 256).map((byte) => byte.toString(16).padStart(2, '0')).join('')

test('coming stops the machine, which goes on as it is told', () => {
  const { machine, ask } = start()
  expect(machine.state).toBe('paused')
  expect(ask('?')).toBe('T05thread:1;')
  expect(ask('qSupported:swbreak+;hwbreak+;xmlRegisters=i386')).toContain('PacketSize=4000;')
  expect(ask('p20')).toBe(word(RAM))
  expect(ask('s')).toBe('T05thread:1;')
  expect(ask('p20')).toBe(word(RAM + 4))
  expect([ask('Z0,80000008,4'), ask('vCont;c:1')]).toEqual(['OK', 'T05thread:1;swbreak:;'])
  expect([ask('p1'), ask('p20')]).toEqual([word(1), word(RAM + 8)])
  // The other hart stood still, as it is not its turn, and comes there on its own.
  expect([ask('Hg2'), ask('p20')]).toEqual(['OK', word(RAM)])
  expect([ask('vCont;s:1;c'), ask('vCont;c:2')]).toEqual(['T05thread:1;', 'T05thread:2;swbreak:;'])
  expect([ask('z0,80000008,4'), ask('Z1,80000004,4'), ask('vCont;c:2')]).toEqual(['OK', 'OK', 'T05thread:2;hwbreak:;'])
  expect([ask('z1,80000004,4'), ask('Z2,80001000,8'), ask('vCont;c:2')]).toEqual(['OK', 'OK', 'T05thread:2;watch:80001000;'])
  expect(ask('m80001000,8')).toBe(word(2))
})

test('registers, memory, threads and text', () => {
  const { ask, machine } = start()
  expect(ask('g')).toHaveLength(65 * 16)
  expect([ask(`P3=${word(77)}`), ask('p3'), ask('G'), ask(`G${word(0)}${word(9)}`), ask('p1'), ask('P3=00'), ask('p7777')]).toEqual(['OK', word(77), 'OK', 'OK', word(9), 'E01', 'E01'])
  expect([ask('M80000ffe,4:01020304'), ask('m80000ffe,4'), ask('X80000ffe,2:}\x03'), ask('m80000ffe,2')]).toEqual(['OK', '01020304', 'OK', '7d03'])
  // Over the end of RAM: what there is is read, nothing is written.
  expect([ask('m800ffffe,8'), ask('M800ffffe,4:01020304'), ask('m800ffffe,2'), ask('m10,4'), ask('mffffffffffffffff,10')]).toEqual(['0000', 'E0e', '0000', 'E0e', 'E0e'])
  expect([ask('qfThreadInfo'), ask('qsThreadInfo'), ask('T2'), ask('T3'), ask('qC'), ask('Hg9')]).toEqual(['m1,2', 'l', 'OK', 'E01', 'QC1', 'E01'])
  expect(latin(fromHex(ask('qThreadExtraInfo,2')) ?? new Uint8Array())).toBe('hart 1, machine mode')
  expect(ask('qXfer:features:read:target.xml:0,3fff')).toMatch(/^[lm]<\?xml[^]*<architecture>riscv:rv64<\/architecture>[^]*org.gnu.gdb.riscv.cpu/)
  let xml = ''
  for (let answer = 'm'; answer.startsWith('m'); xml += answer.slice(1)) answer = ask(`qXfer:features:read:target.xml:${xml.length.toString(16)},100`)
  expect([xml.match(/<reg /g)?.length, xml.endsWith('</target>\n')]).toEqual([machine.vcpus[0]?.debug?.registers.length, true])
  expect([ask('vMustReplyEmpty'), ask('qNothing'), ask('!'), ask('')]).toEqual(['', '', '', ''])
  expect(ask(`qRcmd,${textToHex('info harts')}`)).toBe('OK')
})

test('a packet is acknowledged, a damaged one sent again, until that is no longer wanted', () => {
  const { raw } = start()
  expect(raw('$qC#b4')).toEqual(['ack', 'QC1'])
  expect(raw('-')).toEqual(['QC1'])
  expect(raw('+-')).toEqual([])
  expect(raw('$qC#b5')).toEqual(['nak'])
  expect(raw(latin(packet('QStartNoAckMode')))).toEqual(['ack', 'OK'])
  expect([raw('$qC#b4'), raw('-'), raw('$qC#b5')]).toEqual([['QC1'], [], []])
})

test('Ctrl-C stops it; detaching and leaving let it go without breakpoints; killing ends it', () => {
  const one = start()
  expect([one.raw('\x03'), one.ask('c'), one.ask('p20'), one.raw('\x03')]).toEqual([[], '', '', ['T02thread:1;']])
  expect([one.ask('Z0,80000004,4'), one.ask('D'), one.closed(), one.machine.state]).toEqual(['OK', 'OK', true, 'running'])
  turns()
  expect([one.machine.state, one.ask('qC')]).toEqual(['running', ''])
  const two = start()
  two.ask('Z0,80000004,4')
  two.session.end()
  turns()
  expect(two.machine.state).toBe('running')
  const three = start()
  three.ask('k')
  expect([three.machine.state, three.closed()]).toEqual(['off', true])
  const four = start()
  expect([four.ask('c'), four.machine.powerOff(3), four.raw(''), four.closed()]).toEqual(['', undefined, ['W03'], true])
})

test('a reset stops before the first instruction', () => {
  const { ask, machine } = start()
  ask('vCont;s:1')
  ask('vCont;s:1')
  expect(ask(`qRcmd,${textToHex('reset')}`)).toBe('OK')
  expect([machine.state, ask('p20'), ask('Hg2'), ask('p20')]).toEqual(['paused', word(RAM), 'OK', word(RAM)])
  expect([ask('s'), ask('p20')]).toEqual(['T05thread:2;', word(RAM + 4)])
})

test('whatever is sent, it answers in bounds and throws nothing', () => {
  const piece = fc.oneof(
    fc.constantFrom('g', 'G', 'p', 'P', 'm', 'M', 'X', 'Z', 'z', 'H', 'T', 'c', 's', 'C05', 'S05', 'vCont', 'vCont?', ';c', ';s', ';t', ':1', ':-1', ':2', 'qXfer:features:read:target.xml:', 'qXfer:threads:read::',
      'qRcmd,', 'qSupported:', 'qThreadExtraInfo,', 'Qqemu.PhyMemMode:1', '0', '1', '2', '3', '4', ',', ':', '=', ';', '-', '80000000', 'ffffffffffffffff', '1000', '7fffffff', 'ffffffff', '00', '6d', textToHex('info '), textToHex('xp 80000000 1000')),
    fc.string({ maxLength: 5 }), fc.array(fc.nat(255), { maxLength: 8 }).map((codes) => String.fromCharCode(...codes)),
  )
  fc.assert(fc.property(fc.array(fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')), { maxLength: 30 }), fc.array(fc.nat(255), { maxLength: 50 }), (packets, noise) => {
    const { raw, session, machine } = start()
    for (const data of packets) for (const answer of raw(latin(packet(data)))) expect(answer.length).toBeLessThanOrEqual(MAX_PACKET)
    raw(String.fromCharCode(...noise))
    raw('\x03')
    session.end()
    turns()
    expect(machine.state).not.toBe('paused')
    machine.dispose()
  }), { numRuns: 30 })
})

test('there is an end to breakpoints', () => {
  const { ask } = start()
  for (let at = 0; at < MAX_STOPS; at++) expect(ask(`Z0,${(0x9000_0000 + 2 * at).toString(16)},2`)).toBe('OK')
  expect(ask('Z0,a0000000,2')).toBe('E0c')
  expect([ask('Z2,1000,1001'), ask('Z2,1000,0'), ask('Z2,ffffffffffffffff,2'), ask('Z9,0,0'), ask('Z0,0')]).toEqual(['E16', 'E16', 'E16', '', 'E01'])
  expect([ask('z0,90000000,2'), ask('Z0,a0000000,2')]).toEqual(['OK', 'OK'])
})
