import { expect, it } from 'vitest'
import { differential } from './differential.ts'
import { qemuVersion } from './qemu.ts'

const version = qemuVersion()

it.skipIf(version === null)('agrees with QEMU on some thousand random sequences (skipped without qemu-system-riscv64)', async () => {
  const result = await differential({ seed: 1, sequences: 6144, time: 20_000, mismatches: 2 })
  expect(result.mismatches.map(({ report }) => report).join('\n\n')).toBe('')
  expect(result.sequences).toBeGreaterThan(500)
  expect(result.endless.length).toBeLessThan(4)
})
