import { AddressSpace } from '@machinist/bus'
import { expect, it } from 'vitest'
import { Shortcuts } from '../src/vcpu/shortcuts.ts'
import { asm } from './assembler.ts'
import { FakeShortcuts } from './fake-shortcuts.ts'
import { metal, OFF, TEST, UART } from './metal-machine.ts'

const { addi, li, load, store } = asm
const off = [...li(5, TEST), ...li(6, OFF), store(2, 6, 5)]

it('a guest that prints is seldom left, and says all that it has to say, in order, before it ends', () => {
  const on = metal()
  // For each of 1000 letters: until LSR says that THR is empty; the letter.
  const loop = [load(4, 13, 10, 5), asm.andi(13, 13, 0x20), asm.beq(13, 0, -8), store(0, 11, 10), asm.andi(11, 11, 0x1f), addi(11, 11, 0x41), addi(12, 12, -1)]
  const { machine, output } = on.machine([...li(10, UART), ...li(11, 0x41), ...li(12, 1000), ...loop, asm.bne(12, 0, -4 * loop.length), ...off], { room: 700 })
  machine.start()
  on.run(machine)
  let letter = 0x41
  const expected = Array.from({ length: 1000 }, () => {
    const said = letter
    letter = (letter & 0x1f) + 0x41
    return said
  })
  expect(machine.state).toBe('off')
  expect(output).toEqual(expected)
  expect(on.native.calls.get('served')).toBeGreaterThan(1300)
})

it('a guest whose hart runs elsewhere prints the same, and what it wrote is with the host before anything else happens to its machine', () => {
  const on = metal({ harts: 2 })
  // As above, without end.
  const loop = [load(4, 13, 10, 5), asm.andi(13, 13, 0x20), asm.beq(13, 0, -8), store(0, 11, 10), asm.andi(11, 11, 0x1f), addi(11, 11, 0x41)]
  const { machine, output } = on.machine([...li(10, UART), ...li(11, 0x41), ...loop, asm.j(-4 * loop.length)], { room: 100_000 })
  machine.start({ drive: 'caller', lent: true })
  const { native } = on
  expect([machine.memory.fence === undefined, metal().machine(off).machine.memory.fence]).toEqual([false, undefined])
  const slice = (): void => {
    machine.lend(1, 100_000)
    machine.runSlice(1e6, false)
  }
  for (let round = 0; round < 50; round++) slice()
  const returned = machine.takeBack()
  expect(returned.length).toBeGreaterThan(40)
  expect(returned.reduce((sum, { ran }) => sum + ran, 0)).toBeGreaterThan(50_000)
  expect(native.calls.get('enter')).toBeUndefined()
  expect(native.calls.get('served')).toBeGreaterThan(1000)
  // From now on a hart gets on elsewhere only while somebody waits for it.
  const [dispatch, idle] = [native.dispatch.bind(native), native.idle.bind(native)]
  let later = (): void => undefined
  native.dispatch = (...how) => { later = () => { dispatch(...how) } }
  native.idle = (until) => {
    later()
    later = () => undefined
    idle(until)
  }
  slice()
  const before = output.length
  let atReset = 0
  machine.on('reset', () => { atReset = output.length })
  machine.reset()
  machine.runSlice(1e6, false)
  expect(atReset).toBeGreaterThan(before)
  let letter = 0x41
  for (const said of output.slice(0, atReset)) {
    expect(said).toBe(letter)
    letter = (letter & 0x1f) + 0x41
  }
  machine.dispose()
})

/** A table with a device behind it that notes its stores. */
function table(harts: number) {
  const kernel = new FakeShortcuts()
  const log: string[] = []
  const bus = new AddressSpace('bus')
  const instants: string[] = []
  bus.onAccess = () => { instants.push(log.at(-1) ?? '') }
  const shortcuts = new Shortcuts({ harts, shortcuts: () => kernel.page, fence: () => { log.push('fence') } } as never, 0, bus)
  return { kernel, log, bus, shortcuts, instants }
}

it('stores are made in order, at one instant; one that leads here again makes none twice', () => {
  const { kernel, log, bus, shortcuts, instants } = table(1)
  const gathered = shortcuts.add({ kind: 'gathered', address: 0x1_0000_1000, width: 4 })
  const shadow = shortcuts.add({ kind: 'shadow', address: 0x1_0000_1000, width: 4 })
  bus.attach('device', 0x1_0000_1000, 16, 0, {
    read: () => 0,
    write(_region, offset, width, value) {
      log.push(`${offset} ${width} ${value}`)
      if (value === 2) shortcuts.drain()
    },
  })
  expect(kernel.serve(0x1_0000_1000, 4, 1, true)).toBe(-1)
  expect(kernel.serve(0x1_0000_1000, 4, undefined, true)).toBe(-1)
  gathered?.set(3)
  shadow?.set(0xffff_fffe)
  expect([1, 2, 3, 4].map((value) => kernel.serve(0x1_0000_1000, 4, value, true))).toEqual([0, 0, 0, -1])
  expect([kernel.serve(0x1_0000_1000, 4, undefined, true), shortcuts.served]).toEqual([0xffff_fffe, 4])
  shortcuts.drain()
  expect(log).toEqual(['0 4 1', '0 4 2', '0 4 3'])
  expect(instants).toEqual(['', '0 4 2'])
  shadow?.set(-1)
  expect(kernel.serve(0x1_0000_1000, 4, undefined, true)).toBe(-1)
})

it('a doorbell of a hart elsewhere is heard later, and nothing else is served before; while devices are at work nothing is', () => {
  const { kernel, log, bus, shortcuts } = table(2)
  shortcuts.add({ kind: 'doorbell', address: 0x1000, width: 4 })?.set(9)
  const shadow = shortcuts.add({ kind: 'shadow', address: 0x1004, width: 4 })
  shadow?.set(4)
  shadow?.set(5)
  expect(log.splice(0)).toEqual(['fence'])
  bus.attach('device', 0x1000, 16, 0, {
    read: () => 0,
    write(_region, offset, _width, value) { log.push(`${offset} ${value} ${kernel.serve(0x1004, 4, undefined, false)}`) },
  })
  expect(kernel.serve(0x1000, 4, 7, true)).toBe(-1)
  expect([kernel.serve(0x1004, 4, undefined, false), shortcuts.rung]).toEqual([5, false])
  expect([kernel.serve(0x1000, 4, 7, false), shortcuts.rung, kernel.serve(0x1004, 4, undefined, false)]).toEqual([0, true, -1])
  shortcuts.close()
  expect(log.filter((each) => each !== 'fence')).toEqual(['0 7 -1'])
  expect([kernel.serve(0x1004, 4, undefined, false), shortcuts.rung]).toEqual([-1, false])
  shortcuts.open()
  expect(kernel.serve(0x1004, 4, undefined, false)).toBe(5)
})
