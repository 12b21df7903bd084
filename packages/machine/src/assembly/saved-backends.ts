import { type Backend, badBackendState, type BackendState } from '@machinist/api'

/** What backends keep, by part and port. */
export type SavedBackends = Readonly<Record<string, readonly BackendState[]>>

/** Most states of one backend: one for each backend that stands on another. */
const MOST_STATES = 64

/**
 * Takes what backends keep.
 *
 * @param wanted - of which
 */
export function saveBackends(connected: ReadonlyMap<string, Backend<unknown>>, wanted: (part: string, backend: Backend<unknown>) => boolean): SavedBackends {
  const saved: Record<string, readonly BackendState[]> = {}
  for (const [part, backend] of connected) {
    const states = wanted(part, backend) ? backend.save?.() ?? [] : []
    if (states.length > 0) saved[part] = states
  }
  return saved
}

/** What backends of a machine that goes on are to have back. */
export class RestoredBackends {
  readonly #saved: ReadonlyMap<string, unknown> | null
  readonly #taken = new Set<string>()

  /** @param input - what {@link saveBackends} gave, perhaps long ago and elsewhere; undefined when there is none */
  constructor(input: unknown = {}) {
    this.#saved = typeof input !== 'object' || input === null || Array.isArray(input) || ArrayBuffer.isView(input) ? null : new Map<string, unknown>(Object.entries(input))
  }

  /** Gives a backend, which is not connected yet, what it or another in its place kept. @throws a typed error `'state'` */
  give(part: string, backend: Backend<unknown> | null): void {
    const states = this.#all.get(part) ?? []
    this.#taken.add(part)
    if (!Array.isArray(states) || states.length > MOST_STATES) throw badBackendState(part, 'the saved states are none')
    for (const each of states as readonly unknown[]) {
      const state = checked(part, each)
      if (backend?.restore?.(state, part) === true || state.vital !== true) continue
      throw badBackendState(part, 'the guest relies on what this backend kept, and the one that it is given has no use for it', state.kind)
    }
  }

  /** When all are connected: what is not connected any more loses what it had, as when a cable is pulled out. @throws a typed error `'state'` */
  end(): void {
    for (const part of this.#all.keys()) if (!this.#taken.has(part)) this.give(part, null)
  }

  get #all(): ReadonlyMap<string, unknown> {
    if (this.#saved === null) throw badBackendState('machine', 'the saved backends are none')
    return this.#saved
  }
}

function checked(part: string, input: unknown): BackendState {
  if (typeof input !== 'object' || input === null) throw badBackendState(part, 'a saved state is none')
  const { kind, version, state, vital = false } = input as Partial<BackendState>
  if (typeof kind !== 'string' || typeof version !== 'number' || typeof vital !== 'boolean') throw badBackendState(part, 'a saved state is none', String(kind).slice(0, 80))
  return { kind, version, state, vital }
}
