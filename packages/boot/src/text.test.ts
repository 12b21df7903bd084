import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeUtf8, encodeUtf8 } from './text.ts'

it('encodes as TextEncoder does', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (s) => {
    expect([...encodeUtf8(s)]).toEqual([...new TextEncoder().encode(s)])
  }))
  fc.assert(fc.property(fc.array(fc.integer({ min: 0xd700, max: 0xe000 })), (units) => {
    const s = String.fromCharCode(...units)
    expect([...encodeUtf8(s)]).toEqual([...new TextEncoder().encode(s)])
  }))
})

it('decodes what is valid as TextDecoder does, and never throws', () => {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const bytes = fc.array(fc.oneof(fc.nat(255), fc.constantFrom(0xc0, 0xe0, 0xed, 0xf0, 0xf4, 0x80, 0x9f, 0xa0, 0xbf)), { maxLength: 8 }).map((list) => Uint8Array.from(list))
  fc.assert(fc.property(bytes, (list) => {
    let theirs: string | null
    try { theirs = decoder.decode(list) } catch { theirs = null }
    const ours = decodeUtf8(list)
    if (theirs === null) expect(ours).toContain('\ufffd')
    else expect(ours).toBe(theirs)
  }), { numRuns: 2000 })
})
