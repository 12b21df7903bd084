/** Listeners by event name, typed by a map of names to payloads. */
export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, ((payload: never) => void)[]>()
  readonly #onListenerError: (error: unknown) => void

  /** @param onListenerError - told what a listener threw; the other listeners still run */
  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError
  }

  /** Adds a listener; returns the function that removes it. */
  on<Name extends keyof Events>(name: Name, listener: (payload: Events[Name]) => void): () => void {
    const list = this.#listeners.get(name) ?? []
    list.push(listener)
    this.#listeners.set(name, list)
    return () => {
      const index = list.indexOf(listener)
      if (index >= 0) list.splice(index, 1)
    }
  }

  emit<Name extends keyof Events>(name: Name, payload: Events[Name]): void {
    // A copy, because a listener may remove itself or others.
    for (const listener of [...(this.#listeners.get(name) ?? [])] as ((payload: Events[Name]) => void)[]) {
      try {
        listener(payload)
      } catch (error) {
        this.#onListenerError(error)
      }
    }
  }

  clear(): void {
    this.#listeners.clear()
  }
}
