/**
 * Where everything is in the RAM image that both sides run. Nothing in it but the scratch pages can be reached by
 * the addresses that sequences are given.
 */
export const RAM_BASE = 0x8000_0000
export const RAM_SIZE = 0x400_0000

/** The harness; at the start of RAM, an address that sequences may well come across, is only a jump to it. */
export const HARNESS = 0x8000_2000

/**
 * The harness's save area. Its address is also what the trap handler writes into mstatus, in one instruction and
 * before it touches memory: as a value of mstatus it says MPRV = 0, MIE = 0 and FS = 3.
 */
export const SAVE_AREA = 0x8000_6000
/** Tables of the page-table tree, leaf level first. */
export const PAGE_TABLES: readonly number[] = [0x8001_0000, 0x8001_1000, 0x8001_2000, 0x8001_3000, 0x8001_4000]
/** The page of the S-mode trap handler. */
export const SUPERVISOR_HANDLER = 0x8001_8000
/** Its ECALL, to which all entries of the vector table lead. */
export const SUPERVISOR_ECALL = 64

/** Scratch pages, alone in their 2 MiB so that superpages reach nothing else. */
export const SCRATCH = 0x8020_0000
export const SCRATCH_PAGES = 4
/** Bytes at each end of each scratch page that every sequence starts with anew and that are compared after each. */
export const EDGE = 64

export const CASES = 0x8040_0000
export const CASE_SIZE = 2048
export const RECORDS = 0x8080_0000
export const RECORD_SIZE = 4096
export const CODE = 0x8100_0000
/** Bytes for each sequence's code: two pages, so that it can lie across their boundary. */
export const CODE_SIZE = 8192
export const MAX_CASES = 2048

/** The virtual addresses of the pool: pages of table 0. As physical addresses they are nothing on either side. */
export const POOL = 0x1800_0000
export const POOL_PAGES = 16
/** After a page that is never mapped: what runs over the end of the pool must not change code, which without FENCE.I has no defined effect. */
export const CODE_VA: number = POOL + (POOL_PAGES + 1) * 4096
export const HANDLER_VA: number = CODE_VA + 2 * 4096
/** Table 1 entries after the pool's are 2 MiB pages; likewise in the tables above, from entry 1. */
export const MEGAPAGES = 4
export const GIGAPAGES = 2
/** The first of them is where RAM is, so that one mapping may be the identity. */
export const FIRST_GIGAPAGE = 2
export const TERAPAGES = 2
export const PETAPAGES = 1

/** Entries that every case gives anew: `[level, index]`. The same tree serves Sv39, Sv48 and Sv57. */
export const PTE_SLOTS: readonly (readonly [number, number])[] = [
  ...range(POOL_PAGES + 4).map((i) => [0, i] as const),
  ...range(MEGAPAGES + 1).map((i) => [1, ((POOL >> 21) & 511) + i] as const),
  [2, 0],
  ...range(GIGAPAGES).map((i) => [2, FIRST_GIGAPAGE + i] as const),
  [2, 511],
  ...range(TERAPAGES + 1).map((i) => [3, i] as const),
  [3, 511],
  ...range(PETAPAGES + 1).map((i) => [4, i] as const),
  [4, 511],
]

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i)
}

/** CSRs that a case sets, in the order in which the harness writes them. */
export const initialCsrs = [
  'menvcfg', 'stimecmp', 'mcounteren', 'scounteren', 'senvcfg', 'medeleg', 'mideleg', 'mie', 'mip', 'stvec', 'sscratch', 'sepc', 'scause',
  'stval', 'satp', 'pmpaddr0', 'pmpaddr1', 'pmpaddr2', 'pmpaddr3', 'pmpaddr4', 'pmpaddr5', 'pmpaddr6', 'pmpaddr7', 'pmpcfg0', 'fcsr', 'mepc', 'mstatus',
] as const
export type InitialCsr = (typeof initialCsrs)[number]

/** CSRs read after each sequence. mstatus, mepc, mcause and mtval are in the log of traps. */
export const finalCsrs = [
  'fcsr', 'menvcfg', 'mcounteren', 'scounteren', 'senvcfg', 'medeleg', 'mideleg', 'mie', 'mip', 'sie', 'sip', 'sstatus', 'stvec', 'sscratch', 'sepc', 'scause',
  'stval', 'satp', 'pmpaddr0', 'pmpaddr1', 'pmpaddr2', 'pmpaddr3', 'pmpaddr4', 'pmpaddr5', 'pmpaddr6', 'pmpaddr7', 'pmpcfg0',
] as const

export const EDGE_BYTES: number = SCRATCH_PAGES * 2 * EDGE

/** Bytes from the start of a structure. */
export type Offsets<K extends string> = Readonly<Record<K, number>>

/** Offsets in a case. */
export const inCase: Offsets<'x' | 'f' | 'csrs' | 'ptes' | 'edges' | 'codeVa' | 'codeHighVa' | 'codePa' | 'end' | 'endVa' | 'endHighVa' | 'endPa'> = layOut({
  x: 32,
  f: 32,
  csrs: initialCsrs.length,
  ptes: PTE_SLOTS.length,
  edges: EDGE_BYTES / 8,
  /** Where the code is, as virtual address, as the same with the upper half's sign, and as physical address. */
  codeVa: 1,
  codeHighVa: 1,
  codePa: 1,
  /** Where its last instruction is, seen as the sequence starts. */
  end: 1,
  endVa: 1,
  endHighVa: 1,
  endPa: 1,
}, CASE_SIZE)

export const MAX_TRAPS = 14
/** 64-bit words for each trap in the log. */
export const TRAP_WORDS = 8

/** Offsets in a record. */
export const inRecord: Offsets<'done' | 'traps' | 'x' | 'f' | 'csrs' | 'ptes' | 'edges' | 'log'> = layOut({
  /** 1 once the record is whole. */
  done: 1,
  traps: 1,
  x: 32,
  f: 32,
  csrs: finalCsrs.length,
  ptes: PTE_SLOTS.length,
  edges: EDGE_BYTES / 8,
  log: MAX_TRAPS * TRAP_WORDS,
}, RECORD_SIZE)

/** Offsets in the save area. */
export const inSave: Offsets<'x' | 'mstatus' | 'index' | 'count' | 'case' | 'record' | 'traps'> = layOut({ x: 32, mstatus: 1, index: 1, count: 1, case: 1, record: 1, traps: 1 }, 2048)

function layOut<K extends string>(words: Record<K, number>, limit: number): Offsets<K> {
  let at = 0
  const offsets: Partial<Record<K, number>> = {}
  for (const name of Object.keys(words) as K[]) {
    offsets[name] = at
    at += words[name] * 8
  }
  if (at > limit) throw new RangeError(`${at} bytes do not fit into ${limit}`)
  return offsets as Record<K, number>
}

/** Address of entry `index` of the table of `level`. */
export function pteAddress(level: number, index: number): number {
  return (PAGE_TABLES[level] ?? 0) + 8 * index
}
