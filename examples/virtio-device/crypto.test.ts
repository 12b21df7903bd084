import { createCipheriv } from 'node:crypto'
import { testDevice } from '@machinist/registers/testing'
import { fuzzDevice, FuzzRandom, VirtioDriver } from '@machinist/virtio/testing'
import { expect, test } from 'vitest'
import { cryptoDevice, virtioCrypto } from './crypto.ts'

const [createSession, destroySession, aesCbc, plainCipher] = [2, 3, 3, 1]

/** 72 bytes with 32-bit fields at their offsets. */
function header(fields: Readonly<Record<number, number>>): Uint8Array {
  const view = new DataView(new ArrayBuffer(72))
  for (const [offset, value] of Object.entries(fields)) view.setUint32(Number(offset), value, true)
  return new Uint8Array(view.buffer)
}
const newSession = (keyLength: number): Uint8Array => header({ 0: createSession, 16: aesCbc, 20: keyLength, 64: plainCipher })
const request = (opcode: number, session: number, length: number): Uint8Array => header({ 0: opcode, 8: session, 24: 16, 28: length, 32: length, 64: plainCipher })

function start(ring: 'split' | 'packed' = 'split') {
  const dut = testDevice(virtioCrypto, { ring }, { backends: {} })
  const driver = new VirtioDriver(dut)
  driver.start()
  /** One request, and what the device wrote. */
  const ask = (queue: number, out: readonly Uint8Array[], answers: readonly number[]): readonly Uint8Array[] => {
    const { answers: got } = driver.submit(queue, out, answers)
    driver.notify(queue)
    driver.collect(queue)
    return got
  }
  return { dut, ask }
}

test.each(['split', 'packed'] as const)('ciphers as Node does, and back again, over %s rings', (ring) => {
  const random = new FuzzRandom(1)
  const { ask } = start(ring)
  for (let session = 0; session < 20; session++) {
    const [key, iv, text] = [random.bytes(random.pick([16, 24, 32])), random.bytes(16), random.bytes(16 * random.below(20))]
    expect(ask(1, [newSession(key.length), key], [16])[0]?.slice(0, 12)).toEqual(Uint8Array.of(session, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    const oracle = createCipheriv(`aes-${String(8 * key.length)}-cbc`, key, iv).setAutoPadding(false).update(text)
    const [secret = new Uint8Array(0), status] = ask(0, [request(0, session, text.length), iv, text], [text.length, 1])
    expect([secret, status]).toEqual([Uint8Array.from(oracle), Uint8Array.of(0)])
    // Linux may give more room than the data need.
    const room = random.below(40)
    const [back, , done] = ask(0, [request(1, session, text.length), iv, secret], [text.length, room, 1])
    expect([back, done]).toEqual([text, Uint8Array.of(0)])
  }
  const wrong = [request(2, 0, 16), request(0, 0, 8), request(0, 0, 32), request(0, 20, 16)]
  expect(wrong.map((header) => ask(0, [header, new Uint8Array(48)], [16, 1])[1])).toEqual([3, 1, 1, 4].map((status) => Uint8Array.of(status)))
  expect(ask(1, [header({ 0: destroySession, 16: 3 })], [1])).toEqual([Uint8Array.of(0)])
  expect(ask(0, [request(0, 3, 16), random.bytes(32)], [16, 1])[1]).toEqual(Uint8Array.of(4))
})

test('sessions survive a save, and have a limit', () => {
  const first = start()
  const key = new Uint8Array(16).fill(7)
  const results = Array.from({ length: 300 }, () => first.ask(1, [newSession(16), key], [16])[0]?.[8])
  expect(results.map((result, index) => [index, result])).toEqual(results.map((_, index) => [index, index < 256 ? 0 : 5]))
  const second = start()
  second.dut.device.restore(structuredClone(first.dut.device.save()))
  const ask = [request(0, 255, 16), new Uint8Array(32)]
  expect(second.ask(0, ask, [16, 1])).toEqual(first.ask(0, ask, [16, 1]))
})

test('a guest that means no good gets nowhere', () => {
  const report = fuzzDevice(cryptoDevice, {}, () => ({}), {
    request(random, queue) {
      const length = random.chance(0.7) ? 16 * random.below(9) : random.below(200)
      if (queue === 0) return { out: [request(random.below(3), random.below(4), length), random.bytes(16 + length)], answers: [length, 1] }
      if (random.chance(0.2)) return { out: [header({ 0: destroySession, 16: random.below(5) })], answers: [1] }
      const keyLength = random.pick([16, 24, 32, random.below(40)])
      return { out: [newSession(keyLength), random.bytes(keyLength)], answers: [16] }
    },
  })
  expect(report.broken).toBeGreaterThan(100)
  expect(report.used).toBeGreaterThan(100)
})
