import { machinistError } from '@machinist/api'

/** A front end does what it must not. */
export function regionError(text: string): Error {
  return machinistError({ code: 'translator', part: 'region', remedy: 'Correct the front end' }, text)
}
