/** A record as it is here and as QEMU 7.2 has it, in 32-bit words, and what was told of it. */
export interface Pair {
  readonly here: readonly number[]
  readonly there: readonly number[]
  /** What the case was, as its generator says. */
  readonly name: string
}

/** Where a record has what the rules look at, in words. */
export interface Places {
  readonly vector: number
  readonly error: number
  readonly ip: number
  readonly cs: number
  readonly cr0: number
  /** In 64-bit mode: the upper half of RIP, and what tells of the stack that the record's handler has, of which SS is the first. */
  readonly long: { readonly upperIp: number; readonly stack: readonly number[] } | null
  /** The upper halves of descriptors that cases make, by the index of their selector. */
  readonly descriptors: ReadonlyMap<number, number>
}

const [TS, NP, SS, GP, PF] = [10, 11, 12, 13, 14]
const CONFORMING_CODE = 0x1c00
const PRESENT = 1 << 15
/** Of CR0. */
const TASK_SWITCHED = 8

const levelOf = (half: number): number => half >>> 13 & 3

/**
 * The words of a record that may differ since QEMU 7.2 is known to do otherwise than the manual, where it does just that:
 *
 * - a stack segment that is not present when RET or IRET load it is #SS (SDM volume 2, RET and IRET; APM volume 3, RETF and IRET), and #NP in QEMU;
 * - CS of conforming code that a call gate leads to gets CPL as its RPL (SDM volume 2, CALL: `CS(RPL) := CPL`), and the DPL of the code in QEMU, which so goes to an inner level;
 * - whether a vector's code in 64-bit mode that is neither of 64 bits nor present is #GP or #NP, no manual says for INT; both have #GP first for call gates (SDM volume 2, CALL), as here, and QEMU has #NP;
 * - a jump by a call gate to code that is not present is #NP (SDM volume 2, JMP), and #GP in QEMU;
 * - in 64-bit mode a call gate to level 1 or 2 leads there (SDM volume 3, 6.8.5.1), and to level 0 in QEMU, which takes the level from the null SS: so the next interrupt changes no stack;
 * - an address that is not canonical is #GP where it is gone to (SDM volume 2, CALL), and in QEMU there;
 * - what faults in the new task, once a task was switched to, has pushed EIP of that task (SDM volume 3, 8.3); QEMU puts the instruction's place in its page into it.
 */
export function knownWords({ here, there, name }: Pair, places: Places): readonly number[] {
  const word = (record: readonly number[], at: number): number => record[at] ?? 0
  const both = (at: number): readonly [number, number] => [word(here, at), word(there, at)]
  const [vector, otherVector] = both(places.vector)
  const [error, otherError] = both(places.error)
  const sameSelector = (error ^ otherError) >>> 1 === 0 && error >>> 2 !== 0
  const found: number[] = []
  if (vector === SS && otherVector === NP && sameSelector && /^(iret|retf)/.test(name)) found.push(places.vector)
  const half = word(here, places.descriptors.get(error >>> 3) ?? -1)
  if (vector === GP && otherVector === NP && sameSelector && name.startsWith('int ') && (half & PRESENT) === 0 && (half >>> 20 & 6) !== 2) found.push(places.vector)
  const [cs, otherCs] = both(places.cs)
  const code = word(here, places.descriptors.get(cs >>> 3) ?? -1)
  if (name.startsWith('call') && cs >>> 2 === otherCs >>> 2 && (code & CONFORMING_CODE) === CONFORMING_CODE && (otherCs & 3) === levelOf(code) && (cs & 3) > levelOf(code)) found.push(places.cs)
  const isCode = (half & 0x1800) === 0x1800
  if (vector === NP && otherVector === GP && sameSelector && name.startsWith('jmp') && isCode && (half & PRESENT) === 0) found.push(places.vector)
  if (places.long) {
    const [, upper] = both(places.long.upperIp)
    const [ss, otherSs] = both(places.long.stack[0] ?? -1)
    if (vector === GP && error === 0 && name.startsWith('call') && upper !== 0 && upper !== 0xffff_ffff) return here.map((_, at) => at)
    const level = cs & 3
    if (name.startsWith('call') && level === levelOf(code) && (level === 1 || level === 2) && ss === 0 && otherSs === level) found.push(...places.long.stack)
  }
  const [ip, otherIp] = both(places.ip)
  if (/^(jmp|call|iret|int)/.test(name) && vector === otherVector && vector >= TS && vector <= PF && (word(here, places.cr0) & TASK_SWITCHED) !== 0 && (ip ^ otherIp) >>> 12 === 0) found.push(places.ip)
  return found
}
