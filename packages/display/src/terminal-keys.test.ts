import fc from 'fast-check'
import { expect, it } from 'vitest'
import { keysOf, terminalKeys } from './index.ts'

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

it('keys of a terminal are those of a keyboard, with what is held', () => {
  const all: readonly (readonly [string, readonly number[]])[] = [
    ['a', [30]], ['A', [42, 30]], ['\r', [28]], ['\n', [28]], ['\t', [15]], ['\x7f', [14]], ['\b', [14]], ['\x03', [29, 46]], ['\x1c', [29, 43]], ['\0', [29, 57]], ['\x1bx', [56, 45]], ['\x1b\r', [56, 28]],
    ['\x1b[A', [103]], ['\x1bOA', [103]], ['\x1b[1;5D', [29, 105]], ['\x1b[1;4C', [56, 42, 106]], ['\x1b[3~', [111]], ['\x1b[3;5~', [29, 111]], ['\x1b[Z', [42, 15]], ['\x1b[[C', [61]],
    ['\x1bOP', [59]], ['\x1b[15~', [63]], ['\x1b[24~', [88]], ['\x1b[21;3~', [56, 68]], ['\x1b[H', [102]], ['\x1b[F', [107]], ['\x1b[5~', [104]], ['\x1b[6~', [109]], ['\x1b[2~', [110]],
  ]
  for (const [text, stroke] of all) expect([text, terminalKeys().feed(bytes(text))]).toEqual([text, [stroke]])
  // However they are cut, and one behind the other.
  const keys = terminalKeys()
  expect([...bytes(all.map(([text]) => text).join(''))].flatMap((byte) => keys.feed(Uint8Array.of(byte)))).toEqual(all.map(([, stroke]) => stroke))
  expect(keys.waiting).toBe(false)
})

it('Escape by itself is a key once nothing follows, and what no key has is left out', () => {
  const keys = terminalKeys()
  expect([keys.feed(bytes('\x1b')), keys.waiting, keys.flush(), keys.waiting]).toEqual([[], true, [[1]], false])
  expect(keys.feed(bytes('\x1b\x1b[A'))).toEqual([[1], [103]])
  expect([keys.feed(bytes('\x1b[99~\xc3\xa9\x1b[I')), keys.feed(bytes('b'))]).toEqual([[], [[48]]])
  expect([keys.feed(bytes('\x1b[')), keys.flush()]).toEqual([[], [[1], keysOf('[')]])
})

it('whatever comes, nothing waits for ever', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (noise) => {
    const keys = terminalKeys()
    const strokes = keys.feed(noise)
    for (const stroke of [...strokes, ...keys.flush()]) expect(stroke.length > 0 && stroke.length < 6 && new Set(stroke).size === stroke.length).toBe(true)
    keys.feed(new Uint8Array(20).fill(0x3b))
    keys.flush()
    expect(keys.feed(bytes('z'))).toEqual([[44]])
  }))
})
