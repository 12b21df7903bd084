import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Incoming, MAX_PACKET, packet, PacketReader } from './packet.ts'
import { bytesOf } from './text.ts'

const chars = fc.array(fc.nat(255), { maxLength: 200 }).map((codes) => String.fromCharCode(...codes))

function read(pieces: readonly Uint8Array[]): Incoming[] {
  const reader = new PacketReader()
  const found: Incoming[] = []
  for (const piece of pieces) reader.push(piece, (incoming) => found.push(incoming))
  return found
}

test('what is written is read, whatever it is and however it is cut', () => {
  fc.assert(fc.property(fc.array(chars, { maxLength: 5 }), fc.array(fc.nat(2000), { maxLength: 20 }), (texts, cuts) => {
    const whole = bytesOf(texts.map((text) => String.fromCharCode(...packet(text))).join(''))
    const places = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length]
    const pieces = places.slice(1).map((to, index) => whole.subarray(places[index], to))
    expect(read(pieces)).toEqual(texts.map((data) => ({ kind: 'packet', data })))
  }))
})

test('packets are as the manual shows them', () => {
  expect(read([bytesOf('+$g#67-\x03$m4015bc,2#5a')])).toEqual([{ kind: 'ack' }, { kind: 'packet', data: 'g' }, { kind: 'nak' }, { kind: 'interrupt' }, { kind: 'packet', data: 'm4015bc,2' }])
  expect(String.fromCharCode(...packet('OK'))).toBe('$OK#9a')
  expect(String.fromCharCode(...packet('a}#$*'))).toMatch(/^\$a\}\x5d\}\x03\}\x04\}\x0a#/)
})

test('a wrong checksum, a broken escape and a packet without end are told, and the next one counts', () => {
  for (const bad of ['$g#68', '$g#6z', '$g#zz', '$x}#f5', `$${'a'.repeat(MAX_PACKET + 1)}#61`]) {
    expect(read([bytesOf(`${bad}$g#67`)])).toEqual([{ kind: 'bad' }, { kind: 'packet', data: 'g' }])
  }
  expect(read([bytesOf('$abc$g#67')])).toEqual([{ kind: 'packet', data: 'g' }])
})

test('a changed bit is found', () => {
  fc.assert(fc.property(chars, fc.nat(), fc.integer({ min: 0, max: 7 }), (text, place, bit) => {
    const bytes = packet(text)
    const at = place % bytes.length
    bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
    // In a digit of the checksum the bit may be that between a and A.
    for (const incoming of read([bytes])) if (incoming.kind === 'packet' && at < bytes.length - 2) expect(incoming.data.length).toBeLessThan(text.length)
  }))
})
