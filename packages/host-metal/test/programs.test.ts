import { isMachinistError } from '@machinist/api'
import { expect, test } from 'vitest'
import type { HardwareHart } from '../src/vcpu/vcpu.ts'
import { asm } from './assembler.ts'
import { CLINT, type Metal, metal, OFF, RAM, TEST, UART } from './metal-machine.ts'

const { add, addi, auipc, bne, csrr, csrs, csrw, ecall, j, la, li, load, slli, srli, store, sub, wfi } = asm
const off = [...li(5, TEST), ...li(6, OFF), store(2, 6, 5)]
const say = (char: string): number[] => [...li(10, UART), addi(11, 0, char.charCodeAt(0)), store(0, 11, 10)]
const A0 = 10
const A6 = 16
const A7 = 17
/** Extensions of the SBI. */
const SRST = 0x5352_5354
const STVEC = 0x105
const SIE = 0x104
const SCAUSE = 0x142
const STVAL = 0x143
const STIMECMP = 0x14d
const TIME = 0xc01

function runs(words: readonly number[], on: Metal = metal(), options?: Parameters<Metal['machine']>[1]): { readonly output: string; readonly bytes: readonly number[]; readonly state: string } {
  const { machine, output } = on.machine(words, options)
  machine.start()
  on.run(machine)
  return { output: String.fromCharCode(...output), bytes: output, state: machine.state }
}

/** Writes the 8 bytes of a register to the UART, low byte first. */
const tell = (register: number): number[] => [...li(10, UART), ...Array.from({ length: 8 }, () => [store(0, register, 10), srli(register, register, 8)]).flat()]
const numberAt = (bytes: readonly number[], index: number): bigint => new DataView(Uint8Array.from(bytes).buffer).getBigUint64(8 * index, true)

test('a program writes to its UART, and switches its machine off', () => {
  expect(runs([...'hello'].flatMap(say).concat(off))).toMatchObject({ output: 'hello', state: 'off' })
})

test('harts begin as firmware leaves them: a0 is the hart, a1 the device tree, and SRST switches off', () => {
  const sbi = [...li(A7, SRST), addi(A6, 0, 0), addi(A0, 0, 0), addi(11, 0, 0), ecall]
  const { bytes, state } = runs([...li(12, UART), addi(13, 10, 0x30), store(0, 13, 12), load(2, 14, 11), store(0, 14, 12), ...sbi])
  // The magic number of a device tree begins with d0.
  expect([bytes, state]).toEqual([[0x30, 0xd0], 'off'])
})

test('memory that nobody touched is zeros, keeps what is written, and has a frame only then', () => {
  const on = metal()
  const { machine, output } = on.machine([...la(5, RAM + 0x40_0000), load(3, 6, 5), ...tell(6), ...la(5, RAM + 0x50_0000), ...li(7, 0x1234_5678), store(3, 7, 5), load(3, 8, 5), ...tell(8), ...off])
  machine.start()
  on.run(machine)
  expect([numberAt(output, 0), numberAt(output, 1)]).toEqual([0n, 0x1234_5678n])
  const [vm] = on.native.vms
  expect([RAM + 0x40_0000, RAM + 0x50_0000, RAM + 0x60_0000].map((page) => [vm?.isMapped(page, false), vm?.isMapped(page, true)])).toEqual([[true, false], [true, true], [false, false]])
})

test('what is neither memory nor a device is an access fault, with the address and the cause of the access', () => {
  // The handler is 16 instructions behind the beginning.
  const begin = [auipc(5, 0), addi(5, 5, 64), csrw(STVEC, 5), ...li(6, 0x0300_0000)]
  const handler = [csrr(7, SCAUSE), csrr(8, STVAL), ...tell(7), ...tell(8), ...off]
  for (const [access, cause] of [[load(2, 9, 6, 4), 5n], [store(2, 9, 6, 4), 7n]] as const) {
    const code = [...begin, access]
    const { bytes } = runs([...code, ...Array.from({ length: 16 - code.length }, () => addi(0, 0, 0)), ...handler])
    expect([numberAt(bytes, 0), numberAt(bytes, 1)]).toEqual([cause, 0x0300_0004n])
  }
})

test('a timer ends WFI, and the hart is idle meanwhile', () => {
  const on = metal()
  const ticks = 50_000_000
  const { bytes, state } = runs([csrr(5, TIME), ...li(6, ticks), add(6, 5, 6), csrw(STIMECMP, 6), addi(7, 0, 32), csrs(SIE, 7), wfi, csrr(8, TIME), sub(9, 8, 5), ...tell(9), ...off], on)
  expect(state).toBe('off')
  expect(Number(numberAt(bytes, 0))).toBeGreaterThanOrEqual(ticks)
  expect(Number(numberAt(bytes, 0))).toBeLessThan(ticks + 10_000)
  expect(on.native.calls.get('enter')).toBeLessThan(200)
})

test('time is that of the machine: a guest and its device agree, and a write to mtime moves both', () => {
  const { bytes } = runs([...li(5, CLINT + 0xbff8), csrr(6, TIME), load(3, 7, 5), csrr(8, TIME), ...li(9, 1), slli(9, 9, 40), store(3, 9, 5), csrr(14, TIME), ...tell(6), ...tell(7), ...tell(8), ...tell(14), ...off])
  const [before, device, after, moved] = [0, 1, 2, 3].map((index) => numberAt(bytes, index)) as [bigint, bigint, bigint, bigint]
  expect(before <= device && device <= after).toBe(true)
  expect(moved >= 1n << 40n && moved < (1n << 40n) + 10_000n).toBe(true)
})

test('a hart that is started by HSM runs beside the first one, and an IPI ends its WFI', () => {
  const HSM = 0x48_534d
  const IPI = 0x73_5049
  const second = 48
  const start = [...li(A7, HSM), addi(A6, 0, 0), addi(A0, 0, 1), auipc(11, 0), addi(11, 11, 0), addi(12, 0, 0x42), ecall]
  start[start.length - 3] = addi(11, 11, 4 * (second - (start.length - 4)))
  const send = [...li(A7, IPI), addi(A6, 0, 0), addi(A0, 0, 2), addi(11, 0, 0), ecall, j(0)]
  const first = [...start, ...send]
  // Says its number and what it was given, waits for the IPI, and ends it all.
  const other = [addi(13, 10, 0x30), addi(14, 11, 0), ...li(12, UART), store(0, 13, 12), store(0, 14, 12), addi(7, 0, 2), csrs(SIE, 7), wfi, ...off]
  const { output, state } = runs([...first, ...Array.from({ length: second - first.length }, () => addi(0, 0, 0)), ...other], metal(), { harts: 2 })
  expect([output, state]).toEqual(['1B', 'off'])
})

test('a hart that waits is woken by an IPI that the kernel delivered, though nobody of its machine runs here', () => {
  const on = metal({ harts: 2 })
  const { machine, output } = on.machine([...say('w'), addi(7, 0, 2), csrs(SIE, 7), wfi, ...say('!'), ...off], { harts: 2 })
  machine.start()
  const [first] = machine.vcpus as readonly HardwareHart[]
  // Once it waits, as another hart of the hardware would, between two looks.
  on.host.loop.after(1e6, () => { on.native.raise(first?.id ?? -1) })
  on.run(machine, 200)
  expect([String.fromCharCode(...output), machine.state]).toEqual(['w!', 'off'])
})

test('a hart of several that computes runs on another hart of the hardware, and comes back for its devices', () => {
  const on = metal({ harts: 2 })
  // Two million instructions are several turns.
  const compute = [...li(7, 1_000_000), addi(7, 7, -1), bne(7, 0, -4)]
  expect(runs([...say('a'), ...compute, ...say('b'), ...compute, ...say('c'), ...off], on, { harts: 2 })).toMatchObject({ output: 'abc', state: 'off' })
  expect(on.native.calls.get('dispatch')).toBeGreaterThan(1)
})

test('a hart that runs elsewhere comes back when another writes the counter', () => {
  const on = metal({ harts: 2 })
  const second = 64
  const HSM = 0x48_534d
  const start = [auipc(11, 0), addi(11, 11, 4 * second), ...li(A7, HSM), addi(A6, 0, 0), addi(A0, 0, 1), addi(12, 0, 0), ecall]
  const first = [...start, ...li(7, 20_000), addi(7, 7, -1), bne(7, 0, -4), ...li(10, CLINT + 0xbff8), store(3, 0, 10), j(0)]
  const { machine } = on.machine([...first, ...Array.from({ length: second - first.length }, () => addi(0, 0, 0)), j(0)], { harts: 2 })
  const { native } = on
  const dispatch = native.dispatch.bind(native)
  let later = (): void => undefined
  native.dispatch = (...how) => { later = () => { dispatch(...how) } }
  const kicked: number[] = []
  native.kick = (...[id]: readonly number[]) => {
    kicked.push(id ?? -1)
    later()
    later = () => undefined
  }
  machine.start({ drive: 'caller', lent: true })
  machine.runSlice(10_000)
  expect(machine.wanting).toBe(2)
  machine.lend(1, 1e6)
  machine.runSlice(1000)
  expect([machine.wanting, kicked]).toEqual([1, []])
  machine.runSlice(100_000)
  const [, away] = machine.vcpus as readonly HardwareHart[]
  expect(new Set(kicked)).toEqual(new Set([away?.id]))
  machine.dispose()
})

test('machines beside each other see their own memory', () => {
  const on = metal()
  const program = (char: string): number[] => [...la(5, RAM + 0x10_0000), addi(6, 0, char.charCodeAt(0)), store(0, 6, 5), addi(7, 0, 100), addi(7, 7, -1), bne(7, 0, -4), load(0, 8, 5), ...li(10, UART), store(0, 8, 10), ...off]
  const machines = ['a', 'b', 'c'].map((char) => on.machine(program(char), { name: char }))
  for (const { machine } of machines) machine.start()
  for (const { machine } of machines) on.run(machine)
  expect(machines.map(({ output }) => String.fromCharCode(...output))).toEqual(['a', 'b', 'c'])
  for (const { machine } of machines) machine.dispose()
  expect(on.native.vms).toEqual([])
  expect(on.host.arena().frames).toBe(0)
})

test('a reset begins anew, with memory that is zeros again', () => {
  // Counts in memory; the first time it asks for a reset.
  const program = [...la(5, RAM + 0x10_0000), load(0, 6, 5), addi(7, 6, 0x30), ...li(10, UART), store(0, 7, 10), addi(6, 6, 1), store(0, 6, 5), ...li(5, TEST), ...li(6, 0x7777), store(2, 6, 5), j(0)]
  const on = metal()
  const { machine, output } = on.machine(program)
  machine.start({ drive: 'caller' })
  for (let slice = 0; slice < 100 && output.length < 3; slice++) machine.runSlice(1000)
  expect(String.fromCharCode(...output)).toMatch(/^0{3,}$/)
  machine.dispose()
})

test('a copy has its own memory from then on, and a page that one of them writes to moves away under its guest', async () => {
  const on = metal()
  // Counts in memory and says it, each time that a timer expires.
  const loop = [csrr(5, TIME), ...li(6, 10_000), add(6, 5, 6), csrw(STIMECMP, 6), wfi, load(0, 7, 9), addi(7, 7, 1), store(0, 7, 9), store(0, 7, 10)]
  const { machine, output } = on.machine([addi(7, 0, 32), csrs(SIE, 7), ...la(9, RAM + 0x10_0000), ...li(10, UART), ...loop, j(-4 * loop.length)])
  machine.start()
  while (output.length < 5) on.host.loop.turn()
  const forked = machine.fork({ backends: { 'uart0.console': 'null' } })
  for (let turn = 0; turn < 50; turn++) {
    on.host.loop.turn()
    await Promise.resolve()
  }
  const copy = await forked
  const count = (which: typeof machine): number => {
    const byte = new Uint8Array(1)
    which.memory.read(RAM + 0x10_0000, byte)
    return byte[0] ?? 0
  }
  const [ours, theirs] = [count(machine), count(copy)]
  for (let turn = 0; turn < 20; turn++) on.host.loop.turn()
  expect([count(machine) > ours, count(copy) > theirs]).toEqual([true, true])
  expect(output.slice(0, 5)).toEqual([1, 2, 3, 4, 5])
  expect(output.every((value, index) => value === (index + 1) % 256)).toBe(true)
  machine.dispose()
  copy.dispose()
})

test('what cannot be on the hardware is told when the machine is made', () => {
  const on = metal()
  const code = (make: () => unknown): string => {
    try {
      make()
      return 'none'
    } catch (error) {
      return isMachinistError(error) ? error.code : String(error)
    }
  }
  const configure = (config: unknown): string => code(() => on.cpu.configure(config, 'cpu'))
  expect([
    configure({ firmware: 'none' }), configure({ identities: 64 }), configure({ identities: 63 }), configure({ harts: 0 }), configure({ speed: 9 }), configure({ harts: 2, translate: 'off' }),
  ]).toEqual(['not-on-hardware', 'bad-config', 'none', 'bad-config', 'bad-config', 'none'])
})
