import { expect, it } from 'vitest'
import { counterState, counterView } from './counter.ts'

const SECOND = 1_000_000_000n

it('tells when the count comes to a value, whatever its size', () => {
  const values = [0n, 1n, 99n, 1000n, 2n ** 31n, 2n ** 53n - 2n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]
  for (const frequency of [10_000_000, 1_000_000_000, 32_768]) {
    for (const base of values) {
      const now = 5000
      const state = counterState(frequency, 'time')
      const counter = counterView(state, () => now)
      counter.write(base)
      for (const ticks of values) {
        // Counted from now on: what was reached before is past, unless the counter comes round to it.
        const first = state.base + BigInt(counter.elapsed())
        const wrapped = first >= 2n ** 64n ? first - 2n ** 64n : first
        const elapsed = BigInt(counter.elapsed()) + ticks - wrapped
        const at = elapsed <= 0n ? 0n : (elapsed * SECOND + BigInt(frequency) - 1n) / BigInt(frequency)
        expect(counter.timeOf(ticks), `${ticks} at ${frequency} from ${base}`).toBe(at > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(at))
      }
    }
  }
})
