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

/**
 * Gives backends back what others like them kept.
 *
 * @param input - what {@link saveBackends} gave, perhaps long ago and elsewhere
 * @throws a typed error `'state'`
 */
export function restoreBackends(connected: ReadonlyMap<string, Backend<unknown>>, input: unknown): void {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) throw badBackendState('machine', 'the saved backends are none')
  for (const [part, states] of Object.entries(input)) {
    if (!Array.isArray(states) || states.length > MOST_STATES) throw badBackendState(part, 'the saved states are none')
    // What is not connected any more, or to something else, loses what it had: as when a cable is pulled out.
    const backend = connected.get(part)
    for (const each of states as readonly unknown[]) {
      const state = checked(part, each)
      if (backend?.restore?.(state, part) === true || state.vital !== true) continue
      throw badBackendState(part, 'the guest relies on what this backend kept, and the one that it is given has no use for it', state.kind)
    }
  }
}

function checked(part: string, input: unknown): BackendState {
  if (typeof input !== 'object' || input === null) throw badBackendState(part, 'a saved state is none')
  const { kind, version, state, vital = false } = input as Partial<BackendState>
  if (typeof kind !== 'string' || typeof version !== 'number' || typeof vital !== 'boolean') throw badBackendState(part, 'a saved state is none', String(kind).slice(0, 80))
  return { kind, version, state, vital }
}
