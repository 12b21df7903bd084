import { expect, it } from 'vitest'
import { textOf } from './index.ts'

it('characters of a screen are those of code page 437', () => {
  const cells = Uint16Array.of(0x1e00 | 0xc9, 0x0700 | 0xcd, 0xbb, 0, 0x41, 0x7f, 0x01, 0xff)
  expect(textOf({ columns: 4, rows: 2, cells, cursor: null, colors: [], blinks: false })).toEqual(['╔═╗', 'A⌂☺'])
})
