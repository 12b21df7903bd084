/**
 * What comes later, without the price of a promise: who listens is called by whoever knows the value, before that goes on. Everybody else may treat it as a promise: `await` it, or call `then`.
 * One value, or one error; what comes after it is dropped.
 */
export class Later<T> implements PromiseLike<T> {
  #onValue: ((value: T) => void) | null = null
  #onError: ((error: unknown) => void) | null = null
  #state: 'waiting' | 'value' | 'error' = 'waiting'
  #value: T | undefined
  #error: unknown
  #promise: Promise<T> | null = null

  /** It is there. */
  resolve(value: T): void {
    if (this.#state !== 'waiting') return
    this.#state = 'value'
    this.#value = value
    if (this.#onValue !== null) called(this.#onValue, value)
  }

  /** It will not be there. */
  reject(error: unknown): void {
    if (this.#state !== 'waiting') return
    this.#state = 'error'
    this.#error = error
    if (this.#onError !== null) called(this.#onError, error)
  }

  /** Calls back once, at once if it is known. For one listener. */
  listen(onValue: (value: T) => void, onError: (error: unknown) => void): void {
    if (this.#state === 'waiting') {
      this.#onValue = onValue
      this.#onError = onError
    } else if (this.#state === 'value') called(onValue, this.#value as T)
    else called(onError, this.#error)
  }

  then<Next = T, Failed = never>(onValue?: ((value: T) => Next | PromiseLike<Next>) | null, onError?: ((error: unknown) => Failed | PromiseLike<Failed>) | null): Promise<Next | Failed> {
    this.#promise ??= new Promise<T>((resolve, reject) => { this.listen(resolve, reject) })
    return this.#promise.then(onValue, onError)
  }
}

/** What a listener throws is its own, as with a promise: whoever knows the value goes on. */
function called<T>(listener: (value: T) => void, value: T): void {
  try {
    listener(value)
  } catch (error) {
    void Promise.reject(error as Error)
  }
}
