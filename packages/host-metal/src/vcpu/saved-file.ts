import type { VcpuRegisters } from './registers.ts'

/** An interrupt file as the software core saves it (`InterruptFileState` of `cpu-riscv`). */
export interface SavedFile {
  readonly select: number
  readonly delivery: number
  readonly threshold: number
  /** Bit n of the words: identity n. */
  readonly pending: readonly number[]
  readonly enabled: readonly number[]
}

/** What `siselect` holds. */
const MAX_SELECT = 0x1ff
const WORD = 0xffff_ffffn

/** Words of 32 bits. */
const wordsOf = (identities: number): number => (identities + 1) / 32
const isWhole = (value: unknown, most: number): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most
const isArray = (value: unknown, identities: number): value is readonly number[] => Array.isArray(value) && value.length === wordsOf(identities) && value.every((word) => isWhole(word, 0xffff_ffff))

function words(registers: VcpuRegisters, field: 'eip' | 'eie', identities: number): number[] {
  return Array.from({ length: wordsOf(identities) }, (_, index) => Number((registers.get(field, index >> 1) >> BigInt(32 * (index & 1))) & WORD))
}

/** The file of a hart that does not run. */
export function saveFile(registers: VcpuRegisters): SavedFile {
  const identities = registers.low('identities')
  return {
    select: registers.low('vsiselect'), delivery: registers.low('eidelivery'), threshold: registers.low('eithreshold'),
    pending: words(registers, 'eip', identities), enabled: words(registers, 'eie', identities),
  }
}

/** A copy of a state, or undefined when it is not one of a file with so many identities. */
export function checkFile(state: unknown, identities: number): SavedFile | undefined {
  if (typeof state !== 'object' || state === null) return undefined
  const { select, delivery, threshold, pending, enabled } = { ...state } as Partial<Record<keyof SavedFile, unknown>>
  if (!isWhole(select, MAX_SELECT) || !isWhole(delivery, 1) || !isWhole(threshold, 2 ** (32 - Math.clz32(identities)) - 1)) return undefined
  if (!isArray(pending, identities) || !isArray(enabled, identities)) return undefined
  return { select, delivery, threshold, pending: [...pending], enabled: [...enabled] }
}

/** Gives a hart the file of a state that was checked. What follows from it is for `Native.message` to say. */
export function restoreFile(registers: VcpuRegisters, { select, delivery, threshold, pending, enabled }: SavedFile): void {
  registers.set('vsiselect', BigInt(select))
  registers.setLow('eidelivery', delivery)
  registers.setLow('eithreshold', threshold)
  for (const [field, array] of [['eip', pending], ['eie', enabled]] as const) {
    for (let index = 0; index < array.length; index += 2) {
      const word = BigInt(array[index] ?? 0) | (BigInt(array[index + 1] ?? 0) << 32n)
      // Identity 0 does not exist.
      registers.set(field, index === 0 ? word & ~1n : word, index >> 1)
    }
  }
}
