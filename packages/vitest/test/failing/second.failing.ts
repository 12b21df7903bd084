import { expect } from 'vitest'
import { test } from './shared.ts'

test('uses the guest of the other file', async ({ guest }) => {
  expect(await guest.text('cat /boots')).toBe('1')
})
