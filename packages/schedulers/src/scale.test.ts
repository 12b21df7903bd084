import { expect, it } from 'vitest'
import { expectLogarithm, policies } from '../test/scale.ts'

it.each(Object.keys(policies))('%s: what a decision costs grows no faster than the logarithm', (policy) => {
  const many = expectLogarithm(policy, 16_000)
  if (policy === 'round robin') expect(many.wasted).toBe(0)
})
