import fc, { type Parameters } from 'fast-check'

/** The engine executes a program some fifty times slower than that for which tests say how often they run: the fifth part, and no fewer than this. */
const LEAST = 60
/** As fast-check has it. */
const UNTOLD = 100

const few = (parameters: Parameters<never> = {}): Parameters<never> => {
  const runs = parameters.numRuns ?? UNTOLD
  return { ...parameters, numRuns: Math.min(runs, Math.max(LEAST, Math.ceil(runs / 5))) }
}

type Run = (property: never, parameters?: Parameters<never>) => never
const fewer = (run: unknown): never => ((property, parameters) => (run as Run)(property, few(parameters))) satisfies Run as never

const changed: typeof fc = { ...fc, assert: fewer(fc.assert), check: fewer(fc.check) }
export default changed
export * from 'fast-check'
