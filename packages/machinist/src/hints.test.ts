import { machinistError } from '@machinist/api'
import { expect, it } from 'vitest'
import { errorText } from './hints.ts'

it('the command line says which of its options does what a remedy asks for', () => {
  const text = (code: string, remedy: string): string => errorText(machinistError({ code, part: 'kernel', remedy }, 'does not fit'))
  expect(text('boot-memory', 'Give the machine at least 20M of memory')).toBe('kernel: does not fit. Give the machine at least 20M of memory (--memory)')
  expect(text('boot-memory', 'Give more.')).toBe('kernel: does not fit. Give more (--memory)')
  expect(text('linux-disk', 'Give its kernel with --kernel')).toBe('kernel: does not fit. Give its kernel with --kernel')
  expect(text('other', 'Do something.')).toBe('kernel: does not fit. Do something.')
})
