import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

test.each(['../../README.md', '../../docs/guides/write-a-device.md'])('%s shows the device as it is', (path) => {
  expect(read(path)).toContain(read('./metronome.ts'))
})
