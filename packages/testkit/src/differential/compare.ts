import { floatRegisterNames, registerNames } from '@machinist/cpu-riscv/isa'
import { EDGE, EDGE_BYTES, finalCsrs, inRecord, MAX_TRAPS, PTE_SLOTS, RECORD_SIZE, SCRATCH, TRAP_WORDS } from './memory-map.ts'

/** One 64-bit word of a record on which the sides disagree. */
export interface Difference {
  readonly field: string
  readonly qemu: bigint
  readonly core: bigint
}

const ALL = 2n ** 64n - 1n
const trapFields = ['mcause', 'mepc', 'mtval', 'mstatus', 'scause', 'sepc', 'stval', 'sstatus']

/** Name and mask of each word of a record. */
const words: readonly { readonly field: string; readonly mask: bigint }[] = Array.from({ length: RECORD_SIZE / 8 }, (_, word) => describe(8 * word))

function describe(offset: number): { field: string; mask: bigint } {
  const within = (start: number, count: number): number => (offset >= start && offset < start + 8 * count ? (offset - start) / 8 : -1)
  let i = within(inRecord.x, 32)
  if (i >= 0) return { field: `x${i} ${registerNames[i] ?? ''}`, mask: ALL }
  i = within(inRecord.f, 32)
  if (i >= 0) return { field: `f${i} ${floatRegisterNames[i] ?? ''}`, mask: ALL }
  i = within(inRecord.csrs, finalCsrs.length)
  const csr = finalCsrs[i]
  // QEMU 7.2 has no ADUE (bit 61) and always updates.
  if (csr) return { field: csr, mask: csr === 'menvcfg' ? ALL ^ 1n << 61n : ALL }
  i = within(inRecord.ptes, PTE_SLOTS.length)
  const slot = PTE_SLOTS[i]
  if (slot) return { field: `table ${slot[0]} entry ${slot[1]}`, mask: ALL }
  i = within(inRecord.edges, EDGE_BYTES / 8)
  if (i >= 0) {
    const perEdge = EDGE / 8
    const edge = Math.floor(i / perEdge)
    const address = SCRATCH + (edge >> 1) * 4096 + (edge & 1) * (4096 - EDGE) + (i % perEdge) * 8
    return { field: `memory at 0x${address.toString(16)}`, mask: ALL }
  }
  i = within(inRecord.log, MAX_TRAPS * TRAP_WORDS)
  if (i >= 0) return { field: `trap ${Math.floor(i / TRAP_WORDS)} ${trapFields[i % TRAP_WORDS] ?? ''}`, mask: ALL }
  return { field: offset === inRecord.done ? 'done' : offset === inRecord.traps ? 'number of traps' : 'padding', mask: ALL }
}

/** Where two records differ, but for what a side may choose. Empty when they agree. */
export function compareRecords(qemu: Uint8Array, core: Uint8Array, place: number): Difference[] {
  const start = place * RECORD_SIZE
  const a = Buffer.from(qemu.buffer, qemu.byteOffset + start, RECORD_SIZE)
  const b = Buffer.from(core.buffer, core.byteOffset + start, RECORD_SIZE)
  if (a.equals(b)) return []
  const differences: Difference[] = []
  words.forEach(({ field, mask }, i) => {
    const left = a.readBigUInt64LE(8 * i)
    const right = b.readBigUInt64LE(8 * i)
    if (((left ^ right) & mask) !== 0n) differences.push({ field, qemu: left, core: right })
  })
  return differences
}
