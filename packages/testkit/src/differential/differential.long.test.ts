import { expect, it } from 'vitest'
import { differential } from './differential.ts'
import { qemuVersion } from './qemu.ts'

/** Sequences to run, and where to begin: other seeds are other sequences. */
const sequences = Number(process.env['MACHINIST_SEQUENCES'] ?? 200_000)
const seed = Number(process.env['MACHINIST_SEED'] ?? 1_000)
const time = process.env['MACHINIST_SEQUENCES'] === undefined ? 4 * 60_000 : Infinity

const engines = process.env['MACHINIST_ENGINE'] === undefined ? (['default', 'translated'] as const) : ([process.env['MACHINIST_ENGINE'] === 'translated' ? 'translated' : 'default'] as const)

it.skipIf(qemuVersion() === null).each(engines)('agrees with QEMU on random sequences (%s engine; skipped without qemu-system-riscv64)', async (engine) => {
  const began = performance.now()
  let told = 0
  const result = await differential({
    engine,
    seed,
    sequences,
    time,
    mismatches: 5,
    progress: (done, mismatches) => {
      for (const { report } of mismatches.slice(told)) console.log(report)
      told = mismatches.length
      if (done % (2048 * 16) === 0) console.log(`${done} sequences, ${told} mismatches, ${Math.round(done / (performance.now() - began) * 1000)} a second`)
    },
  })
  console.log(`${result.sequences} sequences, ${result.endless.length} of them endless`)
  expect(result.mismatches.map(({ report }) => report).join('\n\n')).toBe('')
}, 4 * 60 * 60_000)
