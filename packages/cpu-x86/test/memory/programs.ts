import { Cr0, Cr4, Efer } from '../../src/emit/control-bits.ts'
import type { Random } from '../host/random.ts'
import { Paged } from './paged.ts'

export const kinds = ['none', 'twoLevel', 'pae', 'fourLevel', 'fiveLevel'] as const
type Kind = typeof kinds[number]

const LOW = 0x10_0000
const HIGH = 0x1_0000_0000
const HIGH_SIZE = 0x1_0000
export const regions: readonly (readonly [base: number, size: number])[] = [[0, LOW], [HIGH, HIGH_SIZE]]
const PAGE = 4096
/** Where tables are, and pages of data. */
const TABLES = 0x1_0000
const DATA = 0x8_0000
const DATA_PAGES = 24
const CONTEXTS = 3
const [P, RW, US, ACCESSED, DIRTY, PS, G] = [1n, 2n, 4n, 0x20n, 0x40n, 0x80n, 0x100n]
const NX = 1n << 63n
/** Entries of a last table that are used. */
const LEAVES = 5

/** An entry that programs change: where it is, the linear pages below it, and whose it is: of one context, or of all. */
interface Entry {
  readonly at: number
  readonly pages: readonly bigint[]
  readonly context: number | null
  readonly leaf: boolean
  readonly largeAllowed: boolean
}

interface Space {
  /** CR3 of each context, but for PCID. */
  readonly roots: readonly number[]
  readonly entries: readonly Entry[]
  /** Linear pages that there are. */
  readonly pages: readonly bigint[]
}

/** Entries from the root of the part of each context, and of what all share: a table of leaves, and an entry that may be a large page beside it. */
const paths: Readonly<Record<Exclude<Kind, 'none'>, { readonly bits: readonly number[]; readonly own: readonly number[]; readonly shared: readonly number[] }>> = {
  twoLevel: { bits: [22], own: [0], shared: [0x300] },
  pae: { bits: [30, 21], own: [0, 0], shared: [3, 0x1f0] },
  fourLevel: { bits: [39, 30, 21], own: [0, 0, 3], shared: [0x1ff, 0x1fe, 5] },
  fiveLevel: { bits: [48, 39, 30, 21], own: [1, 0, 0, 3], shared: [0x1ff, 0x1ff, 0x1fe, 5] },
}

/** One program: its machine's memory, and what it does there; the same for the same numbers. */
export class Program {
  readonly log: string[] = []
  readonly #random: Random
  readonly #kind: Kind
  readonly #paged: Paged
  readonly #forgets: boolean
  readonly #space: Space
  #context = 0
  /** The one of the last access, which the next is likely to be to as well. */
  #page: bigint
  #level = 0
  #lifted = false
  #cr0 = 0n
  #cr4 = 0n
  #efer = 0n
  #next = TABLES

  /** @param forgets - the TLB is emptied before each access */
  constructor(paged: Paged, random: Random, kind: Kind, forgets: boolean) {
    this.#paged = paged
    this.#random = random
    this.#kind = kind
    this.#forgets = forgets
    paged.guest.clear()
    paged.reset()
    for (let page = 0; page < DATA_PAGES; page++) this.#put(DATA + page * PAGE, BigInt(page) * 0x0101_0101_0101_0101n, 8)
    this.#space = this.#build()
    this.#page = this.#space.pages[0] ?? 0n
    this.#start()
  }

  run(steps: number): void {
    for (let i = 0; i < steps; i++) {
      const what = this.#random.below(40)
      if (what < 34) this.#access()
      else if (what < 37) this.#change()
      else if (what < 39) this.#enter()
      else this.#mode()
    }
  }

  #put(address: number, value: bigint, bytes: 4 | 8): void {
    const data = new Uint8Array(8)
    new DataView(data.buffer).setBigUint64(0, BigInt.asUintN(64, value), true)
    this.#paged.guest.write(address, data.subarray(0, bytes))
  }

  get #entryBytes(): 4 | 8 {
    return this.#kind === 'twoLevel' ? 4 : 8
  }

  #table(): number {
    const at = this.#next
    this.#next += PAGE
    return at
  }

  #build(): Space {
    if (this.#kind === 'none') return { roots: [0], entries: [], pages: Array.from({ length: 6 }, (_, i) => BigInt(DATA + i * PAGE)) }
    const { bits, own, shared } = paths[this.#kind]
    const size = this.#entryBytes
    const entries: Entry[] = []
    const pages = new Set<bigint>()
    const canonical = (linear: bigint): bigint => this.#kind === 'fourLevel' ? BigInt.asUintN(64, BigInt.asIntN(48, linear)) : this.#kind === 'fiveLevel' ? BigInt.asUintN(64, BigInt.asIntN(57, linear)) : linear
    const upper = (level: number): bigint => this.#kind === 'pae' && level === 0 ? P : P | RW | US
    /** Tables below an entry of a root; the last has leaves, and its neighbour in the one above may be a large page. */
    const hang = (table: number, path: readonly number[], context: number | null, from = 0): void => {
      const last = path.length - 1
      const linear = path.reduce((sum, index, level) => sum | BigInt(index) << BigInt(bits[level] ?? 0), 0n)
      const wide = linear + (1n << BigInt(bits[last] ?? 0))
      const small = Array.from({ length: LEAVES }, (_, i) => canonical(linear | BigInt(i * PAGE)))
      const large = [canonical(wide), canonical(wide + 0x5000n)]
      for (const page of [...small, ...large]) pages.add(page)
      let at = table
      for (let level = from; level <= last; level++) {
        const index = path[level] ?? 0
        const below = this.#table()
        this.#put(at + index * size, BigInt(below) | upper(level), size)
        if (level > 0 || this.#kind !== 'pae') entries.push({ at: at + index * size, pages: level < last ? [...small, ...large] : small, context, leaf: false, largeAllowed: false })
        if (level === last) entries.push({ at: at + (index + 1) * size, pages: large, context, leaf: true, largeAllowed: true })
        at = below
      }
      small.forEach((page, i) => entries.push({ at: at + i * size, pages: [page], context, leaf: true, largeAllowed: false }))
    }
    const roots = Array.from({ length: CONTEXTS }, () => this.#table())
    roots.forEach((root, context) => hang(root, own, context))
    const common = this.#table()
    // What is global is found without a walk of the next context's root, so A is there before.
    for (const root of roots) this.#put(root + (shared[0] ?? 0) * size, BigInt(common) | upper(0) | (this.#kind === 'pae' ? 0n : ACCESSED), size)
    if (this.#kind === 'twoLevel') {
      // The table itself is shared.
      for (let i = 0; i < LEAVES; i++) {
        const page = BigInt((shared[0] ?? 0) << 22) & 0xffff_ffffn | BigInt(i * PAGE)
        pages.add(page)
        entries.push({ at: common + i * size, pages: [page], context: null, leaf: true, largeAllowed: false })
      }
    } else hang(common, shared, null, 1)
    for (const entry of entries) if (entry.leaf) this.#put(entry.at, this.#leaf(entry), size)
    return { roots, entries, pages: [...pages] }
  }

  /** A random leaf that leads to data, or sometimes to nothing. */
  #leaf({ context, largeAllowed }: Entry): bigint {
    const random = this.#random
    const often = (bit: bigint): bigint => random.below(10) > 0 ? bit : 0n
    const seldom = (bit: bigint): bigint => random.below(6) === 0 ? bit : 0n
    const to = random.below(8) === 0 && !largeAllowed ? this.#entryBytes === 8 && random.below(2) === 0 ? HIGH + random.below(HIGH_SIZE / PAGE) * PAGE : LOW + random.below(4) * PAGE : DATA + random.below(DATA_PAGES) * PAGE
    const bits = often(P) | often(RW) | often(US) | seldom(ACCESSED) | seldom(DIRTY) | (context === null ? often(G) : 0n) | (this.#entryBytes === 8 ? seldom(NX) : 0n)
    return largeAllowed ? bits | PS : bits | BigInt(to)
  }

  #start(): void {
    const random = this.#random
    const long = this.#kind === 'fourLevel' || this.#kind === 'fiveLevel'
    this.#cr4 = BigInt((this.#kind === 'twoLevel' ? Cr4.pse : this.#kind === 'none' ? 0 : Cr4.pae) | (this.#kind === 'fiveLevel' ? Cr4.la57 : 0) | (random.below(3) > 0 ? Cr4.pge : 0))
    this.#efer = BigInt((long ? Efer.lme : 0) | Efer.nxe)
    this.#cr0 = BigInt(Cr0.et | Cr0.pe)
    this.#paged.control('efer', this.#efer)
    this.#paged.control(4, this.#cr4)
    this.#paged.control(3, BigInt(this.#space.roots[0] ?? 0))
    this.#paged.control(0, this.#cr0)
    this.#cr0 |= this.#kind === 'none' ? 0n : BigInt(Cr0.pg)
    this.#paged.control(0, this.#cr0)
    if (long && random.below(2) === 0) this.#set4(this.#cr4 | BigInt(Cr4.pcide))
  }

  #set4(value: bigint): void {
    this.#cr4 = value
    if (!this.#paged.control(4, value)) throw new Error(`CR4 does not take ${value.toString(16)}`)
  }

  get #tagged(): boolean {
    return (this.#cr4 & BigInt(Cr4.pcide)) !== 0n
  }

  #pcidOf(context: number): number {
    return this.#tagged ? context : 0
  }

  #access(): void {
    const random = this.#random
    if (random.below(4) === 0) this.#level = random.of([0, 0, 3])
    if (random.below(4) === 0) this.#lifted = random.below(2) === 0
    this.#paged.level(this.#level, this.#lifted)
    const bytes = random.of([1, 2, 4, 8, 16])
    // Mostly inside a page, sometimes across its end.
    const inPage = random.below(5) === 0 ? PAGE - 1 - random.below(bytes + 1) : random.below(4) * 8
    if (random.below(2) === 0) this.#page = random.of(this.#space.pages)
    const linear = this.#page + BigInt(inPage)
    const what = random.of(['read', 'read', 'write', 'write', 'fetch'] as const)
    const system = what !== 'fetch' && random.below(8) === 0
    const value = Uint8Array.from({ length: 16 }, () => random.below(256))
    if (this.#forgets) this.#paged.flush.flushAll()
    const result = this.#paged.access(linear, bytes, what, system, what === 'write' ? value : undefined)
    this.log.push(`${what} ${bytes} at ${linear.toString(16)} from ${this.#level}${this.#lifted ? ' with AC' : ''}${system ? ' system' : ''} in ${this.#context}: ${result}`)
  }

  /** Changes an entry, and forgets what follows from it. */
  #change(): void {
    const random = this.#random
    if (this.#space.entries.length === 0) return
    const entry = random.of(this.#space.entries)
    if (entry.leaf) this.#put(entry.at, this.#leaf(entry), this.#entryBytes)
    else {
      // Rights, A and presence of what leads to a table.
      const bytes = new Uint8Array(8)
      this.#paged.guest.read(entry.at, bytes.subarray(0, this.#entryBytes))
      const before = new DataView(bytes.buffer).getBigUint64(0, true)
      const clear = random.below(3) === 0 ? random.of([P, RW, US, ACCESSED]) : 0n
      this.#put(entry.at, (before | P | RW | US) & ~clear, this.#entryBytes)
    }
    this.log.push(`change ${entry.at.toString(16)}`)
    this.#forget(entry)
  }

  #forget({ context, pages, largeAllowed }: Entry): void {
    const { flush } = this.#paged
    // Of a large page any address will do.
    const named = largeAllowed ? [this.#random.of(pages)] : pages
    const one = (pcid: number): void => { for (const page of named) flush.flushAddress(page, pcid) }
    const ways: (() => void)[] = [
      () => { flush.flushAll() },
      () => {
        this.#set4(this.#cr4 ^ BigInt(Cr4.pge))
        this.#set4(this.#cr4 ^ BigInt(Cr4.pge))
      },
    ]
    const global = context === null && (this.#cr4 & BigInt(Cr4.pge)) !== 0n
    if (context === null) {
      if (!this.#tagged) ways.push(() => { one(-1) })
      if (!this.#tagged && !global) ways.push(() => { this.#load(false) })
      if (!global) ways.push(() => { flush.flushPrivate() })
    } else if (context === this.#context) {
      ways.push(() => { one(-1) }, () => { one(this.#pcidOf(context)) }, () => { this.#load(false) }, () => { flush.flushContext(this.#pcidOf(context)) }, () => { flush.flushPrivate() })
    } else if (this.#tagged) ways.push(() => { one(context) }, () => { flush.flushContext(context) }, () => { flush.flushPrivate() })
    else ways.push(() => undefined)
    this.#random.of(ways)()
  }

  /** MOV to CR3. */
  #load(keep: boolean): void {
    const root = BigInt(this.#space.roots[this.#context] ?? 0) | BigInt(this.#pcidOf(this.#context)) | (keep && this.#tagged ? 1n << 63n : 0n)
    if (!this.#paged.control(3, root)) throw new Error(`CR3 does not take ${root.toString(16)}`)
  }

  #enter(): void {
    if (this.#kind === 'none') return
    this.#context = this.#random.below(CONTEXTS)
    this.#load(this.#random.below(3) > 0)
    this.log.push(`enter ${this.#context}`)
  }

  /** What changes the rights of what is mapped. */
  #mode(): void {
    const random = this.#random
    const what = random.below(6)
    const flip4 = (bit: number): void => { this.#set4(this.#cr4 ^ BigInt(bit)) }
    if (what === 0) {
      this.#cr0 ^= BigInt(Cr0.wp)
      this.#paged.control(0, this.#cr0)
    } else if (what === 1) flip4(Cr4.smep)
    else if (what === 2) flip4(Cr4.smap)
    else if (what === 3) flip4(Cr4.pge)
    else if (what === 4 && this.#kind !== 'none') {
      this.#efer ^= BigInt(Efer.nxe)
      this.#paged.control('efer', this.#efer)
    }
    this.log.push(`mode ${what}: cr0 ${this.#cr0.toString(16)} cr4 ${this.#cr4.toString(16)} efer ${this.#efer.toString(16)}`)
  }
}
