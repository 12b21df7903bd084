/**
 * Called for a guest's read; what it returns (cut to the register's width) is what the guest gets. Without one the
 * guest gets the stored value.
 *
 * @param stored - the stored value (of this half)
 * @param index - element of an array, otherwise 0
 * @param half - 1 for the upper half of a register of 8 bytes, otherwise 0
 */
export type ReadHook = (stored: number, index: number, half: 0 | 1) => number

/**
 * Called after a guest's write has been stored.
 *
 * @param value - the value now stored; for a write-only register, what was written
 * @param old - the value stored before
 * @param index - element of an array, otherwise 0
 * @param half - 1 for the upper half of a register of 8 bytes, otherwise 0
 */
export type WriteHook = (value: number, old: number, index: number, half: 0 | 1) => void
