import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Eager, eagerly, type Soon, wait } from './eager.ts'

/** A promise that is no instance of ours, as those of another realm or library are not. */
class Foreign<T> {
  readonly #promise: Promise<T>
  constructor(promise: Promise<T>) { this.#promise = promise }
  then(...callbacks: Parameters<Promise<T>['then']>): Promise<unknown> { return this.#promise.then(...callbacks) }
}

const kinds = ['at once', 'throws', 'later', 'rejects', 'foreign', 'foreign rejects'] as const
type Kind = typeof kinds[number]

function answer(kind: Kind, value: number): Soon<number> {
  switch (kind) {
    case 'at once': return value
    case 'throws': throw new Error(String(value))
    case 'later': return Promise.resolve(value)
    case 'rejects': return Promise.reject(new Error(String(value)))
    case 'foreign': return new Foreign(Promise.resolve(value)) as unknown as Promise<number>
    case 'foreign rejects': return new Foreign(Promise.reject(new Error(String(value)))) as unknown as Promise<number>
  }
}

interface Step { readonly kind: Kind, readonly caught: boolean, readonly inner: boolean }

it('does what an async function does, and at once as far as nothing has to be waited for', async () => {
  const step = fc.record({ kind: fc.oneof({ weight: 4, arbitrary: fc.constant<Kind>('at once') }, fc.constantFrom(...kinds)), caught: fc.boolean(), inner: fc.boolean() })
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
    const log: unknown[] = []
    const one = function* ({ kind, inner }: Step, index: number): Eager<number> {
      return inner ? yield* one({ kind, inner: false, caught: false }, index) : yield* wait(answer(kind, index))
    }
    const work = function* (list: readonly Step[]): Eager<string> {
      for (const [index, each] of list.entries()) {
        try {
          log.push(yield* one(each, index))
        } catch (error) {
          log.push(String(error))
          if (!each.caught) throw error
        }
      }
      return 'end'
    }
    const expected: unknown[] = []
    let result = 'end'
    for (const [index, { kind, caught }] of steps.entries()) {
      const fails = kind === 'throws' || kind.endsWith('rejects')
      expected.push(fails ? `Error: ${String(index)}` : index)
      if (!fails || caught) continue
      result = `Error: ${String(index)}`
      break
    }
    const waits = steps.slice(0, expected.length).findIndex(({ kind }) => kind !== 'at once' && kind !== 'throws')
    let outcome: Soon<string>
    try {
      outcome = eagerly(work(steps))
    } catch (error) {
      outcome = String(error)
    }
    expect(log).toEqual(expected.slice(0, waits < 0 ? undefined : waits))
    expect(typeof outcome).toBe(waits < 0 ? 'string' : 'object')
    expect(await Promise.resolve(outcome).catch(String)).toBe(result)
    expect(log).toEqual(expected)
  }), { numRuns: 300 })
})
