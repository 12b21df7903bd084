import { Later } from './later.ts'

/** At once, or later. */
export type Soon<T> = T | PromiseLike<T>

/** Whether it comes later. Any promise counts, also one of another realm or library: neither is an instance of our `Promise`. */
function isLater<T>(value: Soon<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** Work that waits only for what is not there yet: each promise that it yields is waited for, and the work goes on with what that brings. */
export type Eager<T> = Generator<PromiseLike<unknown>, T, unknown>

/** The value, waited for if need be. For use in {@link Eager} work: `const count = yield* wait(file.read(offset, bytes))`. */
export function* wait<T>(value: Soon<T>): Eager<T> {
  // What comes back is what the promise resolved to.
  return isLater(value) ? (yield value) as T : value
}

/**
 * Does work now, as far as it need not wait. When it never does, its result is there at once, and its errors are thrown; otherwise a promise
 * is.
 *
 * A machine's disk is read and written while the guest runs, and a promise, even one that is settled, is not looked at before the guest stops.
 */
export function eagerly<T>(work: Eager<T>): Soon<T> {
  const step = work.next()
  return step.done === true ? step.value : later(work, step.value)
}

/** Calls back when it is there: at once from a {@link Later}. */
export function whenThere<T>(value: PromiseLike<T>, onValue: (value: T) => void, onError: (error: unknown) => void): void {
  if (value instanceof Later) (value as Later<T>).listen(onValue, onError)
  else value.then(onValue, onError)
}

function later<T>(work: Eager<T>, first: PromiseLike<unknown>): Later<T> {
  const result = new Later<T>()
  const on = (next: () => IteratorResult<PromiseLike<unknown>, T>): void => {
    let step: IteratorResult<PromiseLike<unknown>, T>
    try {
      step = next()
    } catch (error) {
      result.reject(error)
      return
    }
    if (step.done === true) result.resolve(step.value)
    else whenThere(step.value, onValue, onError)
  }
  const onValue = (value: unknown): void => { on(() => work.next(value)) }
  const onError = (error: unknown): void => { on(() => work.throw(error)) }
  whenThere(first, onValue, onError)
  return result
}

/** What a function hands to its callback, once: here at once if it calls it before it returns. */
export function answered<T extends string>(call: (done: (value: T) => void) => void): Soon<T> {
  const answers: T[] = []
  let tell = (value: T): void => { answers.push(value) }
  call((value) => { tell(value) })
  if (answers[0] !== undefined) return answers[0]
  const later = new Later<T>()
  tell = (value) => { later.resolve(value) }
  return later
}

/** Does work, now or later, and hands what came of it to a callback: `failed` when it throws or rejects. */
export function settle<T extends string>(work: () => Soon<T>, failed: T, finish: (value: T) => void): void {
  let outcome: Soon<T>
  try {
    outcome = work()
  } catch {
    outcome = failed
  }
  if (typeof outcome === 'string') finish(outcome)
  else whenThere(outcome, finish, () => { finish(failed) })
}
