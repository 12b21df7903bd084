import { machinistError, type MachinistError } from './errors.ts'

/** Something that a backend keeps in a snapshot of its machine. */
export interface BackendState {
  /** What it is, such as `'limits'`: a backend that knows the kind takes it back. */
  readonly kind: string
  /** Version of {@link state} for this kind, from 1. */
  readonly version: number
  /**
   * Plain data: JSON's, bigints and `Uint8Array`s. Nobody changes the bytes any more, neither who saved nor who restores them: they may be shared with both.
   */
  readonly state: unknown
  /** The guest relies on it as on what it wrote to a disk: a backend without a use for it cannot take the place of the one that was saved. */
  readonly vital?: boolean
}

/** An error about the saved state of a backend. */
export function badBackendState(part: string, problem: string, value?: string | number): MachinistError {
  return machinistError({ code: 'state', part, value, remedy: 'Save the machine again, and give it backends of the same kinds.' }, problem)
}

/**
 * The fields of a state, for a backend that reads version `version` and older ones.
 *
 * @throws a typed error `'state'` for one that is newer, or no object
 */
export function backendStateFields({ kind, version, state }: BackendState, newest: number, part: string): Readonly<Record<string, unknown>> {
  if (!Number.isInteger(version) || version < 1 || version > newest) throw badBackendState(part, `the saved state '${kind}' has a version that this one cannot read; it reads ${String(newest)}`, String(version))
  if (typeof state !== 'object' || state === null || Array.isArray(state) || state instanceof Uint8Array) throw badBackendState(part, `the saved state '${kind}' is none`)
  return state as Readonly<Record<string, unknown>>
}
