import { type MachinistError, machinistError } from '@machinist/api'

/** A mistake of whoever calls the tables or the assembler. */
export function machineError(part: string, value: string | number, problem: string, remedy: string): MachinistError {
  return machinistError({ code: 'encoding', part, value, remedy }, problem)
}
