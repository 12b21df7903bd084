/** Sequence numbers are 32 bits and wrap (RFC 9293, 3.4): their order is the sign of their difference. */
export function diff(one: number, other: number): number {
  return (one - other) | 0
}

/** A sequence number some way on. */
export function plus(sequence: number, count: number): number {
  return (sequence + count) >>> 0
}
