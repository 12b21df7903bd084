import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

test('the guide shows the device as it is', () => {
  const sources = read('./crypto.ts') + read('./crypto.test.ts') + read('./linux.long.test.ts')
  const shown = [...read('../../docs/guides/write-a-virtio-device.md').matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = '']) => code)
  expect(shown.length).toBeGreaterThan(5)
  // Lines that dots leave out are as they were, or the guide would not show them.
  for (const code of shown) for (const piece of code.split(/^ *\/\/ …\n/m)) expect(sources).toContain(piece)
})
