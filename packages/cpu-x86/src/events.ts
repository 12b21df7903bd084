import { Vector } from './vector.ts'

const contributory: readonly number[] = [Vector.divideError, Vector.invalidTss, Vector.segmentNotPresent, Vector.stackSegment, Vector.generalProtection]

/**
 * What is delivered when a fault came on the way to an exception's handler (SDM volume 3, table 7-5). `first` is null for what is not a fault: interrupts
 * and traps. Null after a double fault: the processor shuts down.
 */
export function second(first: number | null, vector: number): number | null {
  if (first === Vector.doubleFault) return null
  const pageFirst = first === Vector.pageFault && (vector === Vector.pageFault || contributory.includes(vector))
  const both = first !== null && contributory.includes(first) && contributory.includes(vector)
  return pageFirst || both ? Vector.doubleFault : vector
}
