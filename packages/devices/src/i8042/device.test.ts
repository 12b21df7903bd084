import type { InputEvent, InputPort } from '@machinist/api'
import { fakePower, testDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { i8042, type I8042State } from '../index.ts'
import { scanCodes, translated } from './scan-codes.ts'

function host() {
  const waiting: InputEvent[][] = []
  const lights: InputEvent[] = []
  let tell = (): void => undefined
  const port: InputPort = { receive: () => waiting.shift() ?? null, status: (event) => { lights.push(event) }, listen: ({ readable }) => { tell = readable } }
  return {
    port, lights, waiting,
    send(...events: readonly (readonly [type: number, code: number, value: number])[]): void {
      waiting.push([...events.map(([type, code, value]) => ({ type, code, value })), { type: 0, code: 0, value: 0 }])
      tell()
    },
  }
}

function make() {
  const [keyboard, mouse, power] = [host(), host(), fakePower()]
  const dut = testDevice(i8042, {}, { backends: { keyboard: keyboard.port, mouse: mouse.port, power } })
  const { device, context: { irq } } = dut
  device.reset('cold')
  const status = (): number => device.read(1, 0, 1)
  return {
    device, keyboard, mouse, power, irq, status,
    command: (value: number) => { device.write(1, 0, 1, value) },
    data: (value: number) => { device.write(0, 0, 1, value) },
    /** All that can be read now. */
    all(): number[] {
      const bytes: number[] = []
      while ((status() & 1) !== 0) bytes.push(device.read(0, 0, 1))
      return bytes
    },
    key: (code: number, down = true) => { keyboard.send([1, code, down ? 1 : 0]) },
  }
}

test('keys are bytes of set 1, or of set 2, with an interrupt for each', () => {
  const { command, data, key, all, irq, device } = make()
  command(0x60)
  data(0x45)
  key(30)
  key(30, false)
  key(103)
  expect([irq.keyboard.level, irq.mouse.level]).toEqual([true, false])
  expect(all()).toEqual([0x1e, 0x9e, 0xe0, 0x48])
  expect([irq.keyboard.level, irq.keyboard.edges]).toEqual([false, 4])
  key(119)
  expect(all()).toEqual([0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5])
  command(0x60)
  data(0x05)
  key(103)
  key(103, false)
  expect(all()).toEqual([0xe0, 0x75, 0xe0, 0xf0, 0x75])
  key(900)
  expect(all()).toEqual([])
  device.reset('warm')
  key(1)
  expect([irq.keyboard.level, all()]).toEqual([false, [0x01]])
})

test('every key comes back from its translation as the number that it has in set 1', () => {
  for (let code = 1; code <= 0x58; code++) {
    if (code === 0x54 || code === 0x55) continue
    const bytes = scanCodes(code, true) ?? []
    expect(bytes.map(translated), `key ${code}`).toEqual([code])
  }
  // A: 1Ch, F7: 83h, F11: 78h, Enter of the number pad: E0h 5Ah (PS/2 technical reference, "Scan Code Set 2").
  expect([30, 65, 87, 96].map((code) => scanCodes(code, true))).toEqual([[0x1c], [0x83], [0x78], [0xe0, 0x5a]])
})

test('controller and keyboard answer commands', () => {
  const { command, data, all, keyboard, power, irq, status } = make()
  const ask = (...values: number[]): number[] => {
    for (const value of values) data(value)
    return all()
  }
  command(0xaa)
  expect([all(), status()]).toEqual([[0x55], 0x1c])
  command(0xab)
  expect(all()).toEqual([0])
  command(0x60)
  data(0x04)
  expect([ask(0xff), ask(0xf2), ask(0xee), ask(0xed, 2), ask(0xf0, 0), ask(0xf3, 0x20), ask(0x12), ask(0xfe)]).toEqual([[0xfa, 0xaa], [0xfa, 0xab, 0x83], [0xee], [0xfa, 0xfa], [0xfa, 0xfa, 2], [0xfa, 0xfa], [0xfe], [0xfe]])
  expect(keyboard.lights.slice(-3)).toEqual([{ type: 0x11, code: 0, value: 1 }, { type: 0x11, code: 1, value: 0 }, { type: 0x11, code: 2, value: 0 }])
  command(0x20)
  expect(all()).toEqual([0x04])
  command(0xad)
  keyboard.send([1, 30, 1])
  expect(all()).toEqual([])
  command(0xae)
  expect(all()).toEqual([0x1c])
  command(0xd1)
  data(0xcd)
  expect(irq.a20m.level).toBe(true)
  command(0xdf)
  command(0xd0)
  expect([irq.a20m.level, all()]).toEqual([false, [0xcf]])
  command(0xfe)
  expect(power.requests).toEqual(['reset'])
})

test('the mouse tells what it is told of, with a wheel for those who ask', () => {
  const { command, data, all, mouse, irq } = make()
  const ask = (...values: number[]): number[] => {
    return values.flatMap((value) => {
      command(0xd4)
      data(value)
      return all()
    })
  }
  command(0x60)
  data(0x06)
  expect(ask(0xff)).toEqual([0xfa, 0xaa, 0])
  mouse.send([2, 0, 5])
  expect(all()).toEqual([])
  expect(ask(0xf4)).toEqual([0xfa])
  mouse.send([2, 0, 5], [2, 1, 3], [1, 0x110, 1])
  expect([irq.mouse.level, all()]).toEqual([true, [0x29, 5, 0xfd]])
  mouse.send([2, 0, -600])
  expect(all()).toEqual([0x19, 0x00, 0])
  mouse.send([1, 0x110, 0])
  expect(all()).toEqual([0x18, 0x00, 0])
  expect([ask(0xf3, 200, 0xf3, 100, 0xf3, 80), ask(0xf2), ask(0xe9)]).toEqual([[0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa], [0xfa, 3], [0xfa, 0x20, 2, 80]])
  mouse.send([2, 8, 1])
  expect(all()).toEqual([0x18, 0xa8, 0, 0xff])
})

test('keys that nobody reads wait at the host, and a state is taken back with what was read of them', () => {
  const one = make()
  for (let count = 0; count < 30; count++) one.key(30)
  expect(one.keyboard.waiting.length).toBeGreaterThan(10)
  const state = structuredClone(one.device.save())
  const other = make()
  other.device.restore(state)
  expect(other.device.save()).toEqual(state)
  expect(other.all()).toEqual(one.all().slice(0, state.keyboard.queue.length + 1))
  const now = other.device.save()
  for (const wrong of [{}, { ...state, ram: [] }, { ...state, mouse: {} }, { ...state, outputPort: 0 }]) {
    expect(() => { other.device.restore(wrong as I8042State) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(other.device.save()).toEqual(now)
  }
})
