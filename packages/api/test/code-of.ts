import { isMachinistError } from '../src/index.ts'

/** The code of the typed error that something throws; `'none'` when it throws nothing. Other errors go through. */
export function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return 'none'
}

/** The same of something that takes time: a promise, or what gives one or throws at once. */
export async function codeOfAsync(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    if (isMachinistError(error)) return error.code
    throw error
  }
  return 'none'
}
