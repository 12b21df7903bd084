import type { AudioPort } from '@machinist/api'
import { testDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { virtioSound } from '../index.ts'
import { VirtioDriver } from '../testing.ts'
import type { DriverRequest } from '../testing.ts'
import { rates, request as Q, sampleFormats, status as S } from './layout.ts'

function make(config: object = {}) {
  const log: string[] = []
  const played: number[] = []
  let recorded = 0
  const audio: AudioPort = {
    start: (stream, { sample, channels, rate }) => log.push(`start ${stream} ${sample} ${channels} ${rate}`),
    play: (_stream, bytes) => played.push(...bytes),
    record: (_stream, into) => { for (let index = 0; index < into.length; index++) into[index] = recorded++ },
    stop: (stream) => log.push(`stop ${stream}`),
  }
  const dut = testDevice(virtioSound, config, { name: 'sound0', backends: { audio }, memorySize: 1 << 20 })
  const driver = new VirtioDriver(dut)
  expect(driver.start()).toBe(15)
  const ask = (words: readonly number[], room = 0, tail: readonly number[] = []): { code: number, body: DataView } => {
    const bytes = Uint8Array.from([...words.flatMap((word) => [0, 8, 16, 24].map((shift) => word >>> shift & 255)), ...tail])
    const request = driver.submit(0, [bytes], room === 0 ? [4] : [4, room])
    driver.notify(0)
    expect(driver.collect(0)).toBe(1)
    const view = (index: number): DataView => new DataView((request.answers[index] ?? new Uint8Array(4)).buffer)
    return { code: view(0).getUint32(0, true), body: view(1) }
  }
  const parameters = (stream: number, format: number, rate: number, channels = 2, buffer = 8192, period = 1024): number =>
    ask([Q.pcmSetParams, stream, buffer, period, 0], 0, [channels, format, rate, 0]).code
  const go = (...codes: readonly (readonly [code: number, stream: number])[]): number[] => codes.map((words) => ask(words).code)
  return { dut, driver, log, played, ask, parameters, go }
}

const word = (stream: number): Uint8Array => Uint8Array.of(stream, 0, 0, 0)
const codeOf = ({ answers }: DriverRequest): number => {
  const last = answers.at(-1) ?? new Uint8Array(8)
  return new DataView(last.buffer, last.byteOffset + last.length - 8).getUint32(0, true)
}

it('tells its streams, jacks and channels', () => {
  const { driver, ask } = make({ outputs: 1, inputs: 2 })
  expect([0, 4, 8].map((offset) => driver.readConfig(offset, 4))).toEqual([3, 3, 3])
  const { code, body } = ask([Q.pcmInfo, 1, 2, 32], 64)
  const info = [0, 32].map((at) => [body.getUint32(at, true), body.getUint32(at + 8, true), body.getUint32(at + 16, true), body.getUint8(at + 24), body.getUint8(at + 25), body.getUint8(at + 26)])
  expect([code, info]).toEqual([S.ok, [0, 1].map((node) => [node, 1 << 4 | 1 << 5 | 1 << 17 | 1 << 19, 0x1fff, 1, 1, 2])])
  const jack = ask([Q.jackInfo, 0, 3, 24], 72)
  expect([jack.code, jack.body.getUint8(16), jack.body.getUint32(56, true)]).toEqual([S.ok, 1, 0xa0_0000])
  const map = ask([Q.chmapInfo, 0, 1, 24], 24)
  expect([map.code, map.body.getUint8(5), map.body.getUint8(6), map.body.getUint8(7)]).toEqual([S.ok, 2, 3, 4])
  for (const words of [[Q.pcmInfo, 2, 2, 32], [Q.pcmInfo, 0xffff_ffff, 2, 32], [Q.pcmInfo, 0, 1, 24]]) expect(ask(words, 64).code).toBe(S.badMessage)
  expect([ask([Q.pcmInfo, 0, 3, 32], 64).code, ask([Q.jackRemap, 0, 0, 0]).code, ask([0x999]).code]).toEqual([S.badMessage, S.notSupported, S.notSupported])
})

it('plays everything in order at its rate, held up by stops and restores', () => {
  const step = fc.oneof(
    fc.record({ send: fc.integer({ min: 1, max: 600 }) }), fc.record({ wait: fc.integer({ min: 1, max: 20_000_000 }) }), fc.constantFrom('pause' as const, 'restore' as const))
  fc.assert(fc.property(fc.constantFrom(...sampleFormats), fc.constantFrom(...rates), fc.integer({ min: 1, max: 2 }), fc.array(step, { maxLength: 40 }), ([format, sample], [number, rate], channels, steps) => {
    const { dut, driver, log, played, parameters, go } = make()
    const frame = channels * { u8: 1, s16: 2, s32: 4, f32: 4 }[sample]
    expect([parameters(0, format, number, channels), ...go([Q.pcmPrepare, 0], [Q.pcmStart, 0])]).toEqual([S.ok, S.ok, S.ok])
    expect(log).toEqual([`start 0 ${sample} ${channels} ${rate}`])
    const messages: { request: DriverRequest, frames: number, started: number | null }[] = []
    const expected: number[] = []
    let [now, seed] = [0, 0]
    // The model: when each message must be done, in units of 1 / rate nanoseconds.
    const checkDone = (): void => {
      driver.collect(2)
      let end = 0
      let sound = 0
      for (const { request, frames, started } of messages) {
        if (started === null) break
        end = Math.max(end, started * rate) + frames * 1e9
        sound += frames * frame
        // A nanosecond of rounding for each message.
        if (request.written !== null) expect(end).toBeLessThanOrEqual((now + messages.length) * rate)
        else expect(end).toBeGreaterThan((now - messages.length) * rate)
        if (request.written === null) break
      }
      expect(played.length).toBeLessThanOrEqual(sound)
    }
    for (const each of steps) {
      if (each === 'restore') {
        dut.device.restore(dut.device.save())
        dut.advance(0)
      } else if (each === 'pause') {
        expect(go([Q.pcmStop, 0])).toEqual([S.ok])
        dut.advance(0)
        expect(go([Q.pcmStart, 0])).toEqual([S.ok])
      } else if ('send' in each) {
        if (driver.queues[2] !== undefined && driver.queues[2].inFlight.size >= 4) continue
        const bytes = Uint8Array.from({ length: each.send * frame }, () => seed++)
        expected.push(...bytes)
        const request = driver.submit(2, [word(0), bytes], [8])
        messages.push({ request, frames: each.send, started: now })
        driver.notify(2)
      } else {
        dut.advance(each.wait)
        now += each.wait
      }
      checkDone()
    }
    dut.advance(10e9)
    driver.collect(2)
    expect(messages.map(({ request }) => codeOf(request))).toEqual(messages.map(() => S.ok))
    expect(Buffer.compare(Uint8Array.from(played), Uint8Array.from(expected))).toBe(0)
    expect(go([Q.pcmStop, 0], [Q.pcmRelease, 0])).toEqual([S.ok, S.ok])
  }), { numRuns: 20, endOnFailure: true })
})

it('records when the time has come, and gives back what waits when it is released', () => {
  const { dut, driver, parameters, go } = make()
  expect([parameters(1, 5, 1, 1), ...go([Q.pcmPrepare, 1])]).toEqual([S.ok, S.ok])
  const ask = (): DriverRequest => {
    const request = driver.submit(3, [word(1)], [16, 8])
    driver.notify(3)
    return request
  }
  const [first, second, third] = [ask(), ask(), ask()]
  dut.advance(1e9)
  expect([driver.collect(3), ...go([Q.pcmStart, 1])]).toEqual([0, S.ok])
  // 8 instants at 8000 a second are a millisecond.
  dut.advance(999_999)
  expect(driver.collect(3)).toBe(0)
  dut.advance(1)
  expect([driver.collect(3), first.written, [...first.answers[0] ?? []], codeOf(first)]).toEqual([1, 24, Array.from({ length: 16 }, (_, index) => index), S.ok])
  dut.advance(1_000_000)
  expect([driver.collect(3), second.answers[0]?.[0]]).toEqual([1, 16])
  expect(go([Q.pcmRelease, 1], [Q.pcmStop, 1], [Q.pcmRelease, 1])).toEqual([S.badMessage, S.ok, S.ok])
  expect([driver.collect(3), third.written, codeOf(third)]).toEqual([1, 8, S.ok])
})

it('refuses what makes no sense', () => {
  const { dut, driver, log, parameters, go, ask } = make()
  expect(go([Q.pcmStart, 0], [Q.pcmPrepare, 0], [Q.pcmStop, 0], [Q.pcmRelease, 0], [Q.pcmPrepare, 2], [Q.pcmPrepare, 0xffff_ffff])).toEqual(new Array(6).fill(S.badMessage))
  expect([parameters(0, 0, 7), parameters(0, 5, 13), parameters(0, 5, 7, 3), parameters(0, 5, 7, 0)]).toEqual(new Array(4).fill(S.notSupported))
  expect([parameters(0, 5, 7, 2, 2 ** 20 + 1), parameters(0, 5, 7, 2, 100, 101), parameters(0, 5, 7, 2, 100, 0), ask([Q.pcmSetParams, 0]).code]).toEqual(new Array(4).fill(S.badMessage))
  const message = (queue: number, stream: number, length: number): number => {
    const request = driver.submit(queue, queue === 2 ? [word(stream), new Uint8Array(length)] : [word(stream)], queue === 2 ? [8] : [length, 8])
    driver.notify(queue)
    driver.collect(queue)
    return request.written === null ? 0 : codeOf(request)
  }
  expect([message(2, 0, 4), parameters(0, 5, 7), go([Q.pcmPrepare, 0])[0]]).toEqual([S.badMessage, S.ok, S.ok])
  expect([message(2, 1, 4), message(2, 7, 4), message(3, 0, 4), message(2, 0, 8193), message(2, 0, 8192)]).toEqual([S.badMessage, S.badMessage, S.badMessage, S.badMessage, 0])
  go([Q.pcmStart, 0])
  driver.start()
  expect(log).toEqual(['start 0 s16 2 48000', 'stop 0'])
  driver.submit(2, [word(0)], [7])
  driver.notify(2)
  expect(dut.read(0x070) & 64).toBe(64)
})
