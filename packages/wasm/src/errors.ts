import { type MachinistError, machinistError } from '@machinist/api'

/** A module is put together in a way that cannot be. */
export function builderError(part: string, problem: string, remedy: string): MachinistError {
  return machinistError({ code: 'wasm-builder', part, remedy }, problem)
}

/** Bytes that no {@link ModuleBuilder} wrote. */
export function moduleError(problem: string): MachinistError {
  return machinistError({ code: 'wasm-module', part: 'module', remedy: 'Give what ModuleBuilder wrote' }, problem)
}
