import { describe, expect, it } from 'vitest'
import { fakeChar, fakeEntropy, testDevice } from '@machinist/registers/testing'
import { consoleWith, virtioConsole, virtioEntropy, virtioMmio } from '../index.ts'
import { VirtioDriver } from '../testing.ts'

const text = (value: string): Uint8Array => Uint8Array.from(value, (letter) => letter.charCodeAt(0))
/** Virtual nanoseconds after which any driver has found its console. */
const settled = 200_000_000
const string = (bytes: Uint8Array | undefined): string => String.fromCharCode(...bytes ?? [])

describe.each(['split', 'packed'] as const)('over %s rings', (ring) => {
  function make(char = fakeChar()) {
    const dut = testDevice(virtioConsole, { ring }, { backends: { console: char }, memorySize: 1 << 21 })
    const driver = new VirtioDriver(dut)
    driver.start()
    return { dut, driver, char }
  }

  describe('console', () => {
    it('sends, as fast as the host takes it', () => {
      const { driver, char } = make()
      char.room = 7
      const requests = [driver.submit(1, [text('hello '), text('world')], []), driver.submit(1, [text('!')], [])]
      driver.notify(1)
      expect(char.text()).toBe('hello w')
      expect(driver.collect(1)).toBe(0)
      char.drain(4)
      expect(driver.collect(1)).toBe(1)
      char.drain(100)
      expect(char.text()).toBe('hello world!')
      driver.collect(1)
      expect(requests.map(({ written }) => written)).toEqual([0, 0])
    })

    it('receives, as fast as the guest gives buffers', () => {
      const { dut, driver, char } = make()
      dut.advance(settled)
      char.type('abcdef')
      expect(char.waiting).toBe(6)
      const first = driver.submit(0, [], [4])
      driver.notify(0)
      driver.collect(0)
      expect([first.written, string(first.answers[0])]).toEqual([4, 'abcd'])
      const rest = driver.submit(0, [], [4])
      const idle = driver.submit(0, [], [4])
      driver.notify(0)
      driver.collect(0)
      expect([rest.written, string(rest.answers[0]?.subarray(0, 2)), idle.written]).toEqual([2, 'ef', null])
      char.type('g')
      driver.collect(0)
      expect([idle.written, string(idle.answers[0]?.subarray(0, 1))]).toEqual([1, 'g'])
    })

    it('takes input only once the driver is ready, and keeps it over a reset', () => {
      const { dut, driver, char } = make()
      driver.submit(0, [], [10])
      driver.notify(0)
      dut.write(0x070, 0)
      char.type('x')
      expect(char.waiting).toBe(1)
      driver.start()
      const request = driver.submit(0, [], [10])
      driver.notify(0)
      // Linux drops what comes before it knows that this is a console: it needs more than one wait of a busy host.
      for (let waits = 1; waits < 10; waits++) dut.advance(20_000_000)
      driver.collect(0)
      expect([request.written, char.waiting]).toEqual([null, 1])
      const copy = testDevice(virtioConsole, { ring }, { backends: { console: fakeChar() }, memorySize: 1 << 21 })
      copy.device.restore(structuredClone(dut.device.save()))
      expect(copy.device.save()).toEqual(dut.device.save())
      dut.advance(20_000_000)
      driver.collect(0)
      expect(request.written).toBe(1)
    })

    it('moves at most 64 KiB at a time', () => {
      const { dut, driver, char } = make()
      driver.submit(1, [new Uint8Array(300_000)], [])
      driver.notify(1)
      expect([char.sent.length, char.hasMore]).toEqual([65536, true])
      dut.advance(0)
      expect([char.sent.length, char.hasMore]).toEqual([300_000, false])
      expect(driver.collect(1)).toBe(1)
    })

    it('goes on in the middle of output after a restore', () => {
      const { dut, driver, char } = make()
      char.room = 5
      driver.submit(1, [text('0123456789')], [])
      driver.submit(1, [text('abc')], [])
      driver.notify(1)
      const state = structuredClone(dut.device.save())
      const second = fakeChar()
      const other = testDevice(virtioConsole, { ring }, { backends: { console: second }, memorySize: 1 << 21 })
      other.context.memory.set(dut.context.memory)
      other.device.restore(state)
      other.advance(0)
      expect(char.text() + second.text()).toBe('0123456789abc')
    })

    it('has a size, which changes', () => {
      let size = { columns: 80, rows: 25 }
      let resized: () => void = () => undefined
      const char = { ...fakeChar(), get size() { return size }, onResize(listener: () => void) { resized = listener } }
      const { dut, driver } = make(char)
      expect([driver.has(0), driver.has(1), driver.has(2)]).toEqual([true, false, true])
      expect([driver.readConfig(0, 2), driver.readConfig(2, 2), driver.readConfig(4, 4)]).toEqual([80, 25, 1])
      size = { columns: 132, rows: 43 }
      resized()
      expect([driver.readConfig(0, 2), driver.readConfig(2, 2), dut.read(0x060)]).toEqual([132, 43, 2])
    })

    it('writes in an emergency, with no driver at all', () => {
      const char = fakeChar()
      const dut = testDevice(virtioConsole, { ring }, { backends: { console: char } })
      char.room = 2
      for (const letter of text('oops')) dut.write(0x108, letter)
      expect([char.text(), char.held]).toEqual(['oo', 2])
      char.drain(2)
      expect(char.text()).toBe('oops')
    })
  })

  describe('a console of several ports', () => {
    const spec = virtioMmio(consoleWith('virtio-serial', ['console', 'agent', 'log']))

    it('announces them and keeps them apart', () => {
      const chars = { console: fakeChar(), agent: fakeChar(), log: fakeChar() }
      const dut = testDevice(spec, { ring }, { backends: chars, memorySize: 1 << 20 })
      const driver = new VirtioDriver(dut, { queueSize: 32 })
      driver.start()
      expect(driver.queues.length).toBe(8)
      const heard: { id: number, event: number, value: number, more: string }[] = []
      let waiting: ReturnType<typeof driver.submit> | null = null
      const listen = (): void => {
        for (let count = 0; count < 10; count++) {
          const request = waiting ?? driver.submit(2, [], [64])
          waiting = request
          driver.notify(2)
          driver.collect(2)
          const bytes = request.answers[0]
          if (bytes === undefined || request.written === null) return
          waiting = null
          const view = new DataView(bytes.buffer, bytes.byteOffset)
          heard.push({ id: view.getUint32(0, true), event: view.getUint16(4, true), value: view.getUint16(6, true), more: string(bytes.subarray(8, request.written)) })
        }
      }
      const say = (id: number, event: number, value: number): void => {
        const bytes = new Uint8Array(8)
        const view = new DataView(bytes.buffer)
        view.setUint32(0, id, true)
        view.setUint16(4, event, true)
        view.setUint16(6, value, true)
        driver.submit(3, [bytes], [])
        driver.notify(3)
        driver.collect(3)
      }
      say(0, 0, 1)
      listen()
      expect(heard.splice(0).map(({ id, event }) => [id, event])).toEqual([[0, 1], [1, 1], [2, 1]])
      for (const id of [0, 1, 2, 3]) say(id, 3, 1)
      listen()
      expect(heard.filter(({ event }) => event === 7).map(({ id, more }) => [id, more])).toEqual([[0, 'console'], [1, 'agent'], [2, 'log']])

      driver.submit(7, [text('to log')], [])
      driver.notify(7)
      driver.submit(5, [text('to agent')], [])
      driver.notify(5)
      expect([chars.console.text(), chars.agent.text(), chars.log.text()]).toEqual(['', 'to agent', 'to log'])
      const [open, shut] = [1, 0]
      const input = driver.submit(4, [], [16])
      driver.submit(4, [], [16])
      driver.notify(4)
      chars.agent.type('hi')
      dut.advance(settled)
      driver.collect(4)
      expect(input.written, 'nobody has opened it').toBe(null)
      say(1, 6, open)
      driver.collect(4)
      expect(string(input.answers[0]?.subarray(0, 2))).toBe('hi')
      say(1, 6, shut)
      chars.agent.type('!')
      chars.agent.ended = true
      chars.agent.type('')
      expect(chars.agent.waiting).toBe(1)
      heard.length = 0
      say(1, 6, open)
      listen()
      expect(heard, 'what was typed comes before the end').toEqual([])
      driver.submit(4, [], [16])
      driver.notify(4)
      listen()
      expect(heard.map(({ id, event, value }) => [id, event, value])).toEqual([[1, 6, 0]])
      // It is told once.
      say(1, 6, open)
      listen()
      expect(heard).toHaveLength(1)
    })

    it('stops listening to a guest that asks and does not hear', () => {
      const dut = testDevice(spec, { ring }, { backends: { console: fakeChar(), agent: fakeChar(), log: fakeChar() }, memorySize: 1 << 20 })
      const driver = new VirtioDriver(dut, { queueSize: 64 })
      driver.start()
      let answered = 0
      for (let count = 0; count < 1000; count++) {
        if (driver.queue(3).room === 0) break
        driver.submit(3, [Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 0)], [])
        driver.notify(3)
        answered += driver.collect(3)
      }
      expect(answered).toBeLessThan(64)
      expect(JSON.stringify(dut.device.save()).length).toBeLessThan(20_000)
    })
  })

  describe('entropy', () => {
    it('fills buffers, so many at a time', () => {
      const dut = testDevice(virtioEntropy, { ring }, { backends: { entropy: fakeEntropy() }, memorySize: 1 << 20 })
      const driver = new VirtioDriver(dut, { queueSize: 64 })
      driver.start()
      const small = driver.submit(0, [], [3, 2])
      const large = driver.submit(0, [], [9000])
      driver.notify(0)
      driver.collect(0)
      expect([small.written, large.written]).toEqual([5, 4096])
      expect(small.answers.map((bytes) => [...bytes])).toEqual([[1, 2, 3], [4, 5]])
      for (let count = 0; count < 40; count++) driver.submit(0, [], [64])
      driver.notify(0)
      expect(driver.collect(0)).toBe(16)
      dut.advance(0)
      expect(driver.collect(0)).toBe(24)
    })
  })
})
