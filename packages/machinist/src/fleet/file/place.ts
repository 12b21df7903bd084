import { isMachinistError, machinistError } from '@machinist/api'

/** What an error shows of a value. */
function shown(value: unknown): string | number | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string' || typeof value === 'number') return value
  return Array.isArray(value) ? 'a list' : typeof value === 'function' ? 'a function' : JSON.stringify(value)?.slice(0, 60) ?? typeof value
}

/** A place in a machine file that names several machines: what errors name, with the file. */
export interface Place {
  readonly file: string
  /** `'machines.web.resources.cpu'`; `''` for the whole file. */
  readonly path: string
  at(key: string): Place
  /** Refuses what stands here. @throws a typed error `'machine-file'` */
  refuse(value: unknown, problem: string, remedy: string): never
}

/** The place of the whole file. */
export function placeIn(file: string, path = ''): Place {
  return {
    file, path,
    at: (key) => placeIn(file, path === '' ? key : `${path}.${key}`),
    refuse(value, problem, remedy) {
      throw machinistError({ code: 'machine-file', part: path === '' ? file : `${file} ${path}`, value: shown(value), remedy }, problem)
    },
  }
}

/** An object's fields, all of which are known. */
export function fieldsAt(input: unknown, place: Place, known: readonly string[] | null): Readonly<Record<string, unknown>> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return place.refuse(input, 'is not an object', 'Give an object, as { … }.')
  const strange = known === null ? undefined : Object.keys(input).find((key) => !known.includes(key))
  if (strange !== undefined) place.at(strange).refuse(undefined, 'is not known here', `Use ${(known ?? []).join(', ')}.`)
  return input as Readonly<Record<string, unknown>>
}

/** What `work` returns; what it refuses is refused at this place, by its own words. */
export function refusedAt<Result>(place: Place, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    if (!isMachinistError(error)) throw error
    throw placed(error, place)
  }
}

/** An error of another part, at a place of a file. */
export function placed(error: Error, place: Place): Error {
  if (!isMachinistError(error)) return error
  const { value, remedy, part, message } = error
  const head = `${part}: `
  const tail = `${value === undefined ? '' : ` (${String(value)})`}. ${remedy}`
  const problem = message.slice(message.startsWith(head) ? head.length : 0, message.endsWith(tail) ? -tail.length : undefined)
  return machinistError({ code: 'machine-file', part: `${place.file} ${place.path}`, value, remedy }, problem)
}
