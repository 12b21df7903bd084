import { expect, it } from 'vitest'
import { screenText } from './screen.ts'

it.each([
  ['a\r\nb\r\n', 'a\nb'],
  ['50 %\r100 %\n', '100 %'],
  ['long line\rshort\n', 'shortline'],
  ['abc\b\bX', 'aXc'],
  ['a\tb', 'a       b'],
  ['\x1b[1;32mgreen\x1b[0m \x1b]0;title\x07text', 'green text'],
  ['old\n\x1b[H\x1b[2Jnew', 'new'],
  ['abcdef\x1b[3D\x1b[Kx', 'abcx'],
  ['\x1b[6n# ', '#'],
  ['a\x1b[3Cb', 'a   b'],
  ['1\n2\n3\n4\n\n\n', '3\n4'],
  ['cut short \x1b[', 'cut short'],
  ['\x1b[999999999Cx', `${' '.repeat(1000)}x`],
  ['', ''],
])('%j shows as %j', (text, screen) => {
  expect(screenText(text, 2)).toBe(screen)
})
