import { machinistError } from '@machinist/api'
import { type ElfFile, isElf, parseElf } from '@machinist/boot'

/** A piece of code with a name. */
export interface CodeSymbol {
  readonly name: string
  /** Where it is from: the name of the file, or that of a kernel module in it. */
  readonly source: string
  readonly address: bigint
}

interface Entry extends CodeSymbol {
  /** 0n when the file does not say. */
  readonly size: bigint
  /** Data ends the code before it, and is not code itself. */
  readonly code: boolean
}

/** ELF's `st_info` types of what may be code: of no type (assembly), functions. */
const ELF_NO_TYPE = 0
const ELF_FUNCTION = 2
/** What nm(1) calls symbols in code sections and weak ones, and absolute ones, which are not addresses. */
const TEXT_TYPES = 'tTwW'
const ABSOLUTE_TYPES = 'aA'
/** A line of System.map, of nm's output or of /proc/kallsyms: address, type, name, and the module in brackets. */
const LINE = /^([0-9a-f]{8,16}) ([A-Za-z?]) (\S+)(?:\s+\[(\w+)\])?$/
/** Code of unknown size does not go on for longer: behind it may be code that no file names. */
const LONGEST = 0x1_0000n

/** Marks of code and data among the code (RISC-V and Arm ELF; Linux gives some a prefix), and labels that compilers make. */
const isMark = (name: string): boolean => /^(?:$|\.L|(?:__pi_)?\$)/.test(name)

/** Of symbols with one address: functions with a size before others, and names for people before those for linkers. */
function rank({ code, size, name }: Entry): number {
  return (code ? 4 : 0) + (size > 0n ? 2 : 0) + (name.startsWith('_') ? 0 : 1)
}

function error(part: string, problem: string, remedy: string): Error {
  return machinistError({ code: 'symbols', part, remedy }, problem)
}

function* elfEntries(elf: ElfFile, source: string, offset: bigint): Generator<Entry> {
  for (const { name, value, size, type } of elf.symbols()) {
    if ((type !== ELF_NO_TYPE && type !== ELF_FUNCTION) || value === 0n && size === 0n || isMark(name)) continue
    yield { name, source, address: BigInt.asUintN(64, value + offset), size, code: true }
  }
}

function* textEntries(text: string, source: string, offset: bigint, path: string): Generator<Entry> {
  let named = 0
  for (const line of text.split(/\r?\n/)) {
    const [, digits, type = '', name = '', module = source] = LINE.exec(line) ?? []
    if (digits === undefined) {
      if (named > 0 || line === '') continue
      throw error(path, 'holds no symbols', 'Give an ELF file, System.map, or what the guest has in /proc/kallsyms.')
    }
    named++
    const address = BigInt(`0x${digits}`)
    if (address === 0n || ABSOLUTE_TYPES.includes(type) || isMark(name)) continue
    yield { name, source: module, address: BigInt.asUintN(64, address + offset), size: 0n, code: TEXT_TYPES.includes(type) }
  }
}

/** Names of a guest's code, from any number of files. */
export class SymbolTable {
  #entries: Entry[] = []
  /** The addresses of the entries, sorted; null when some came since. */
  #sorted: BigUint64Array | null = null

  /**
   * Takes in a file: an ELF file with a symbol table, or text with an address, a type and a name in each line.
   *
   * @param path - what to call it; the last part becomes the `source` of its symbols
   * @param offset - added to every address, for what runs elsewhere than the file says
   * @throws a typed error `'symbols'` when it names no code, or one of `parseElf`
   */
  add(path: string, bytes: Uint8Array, offset: bigint = 0n): void {
    const source = path.replace(/^.*[/\\]/, '')
    const entries = isElf(bytes)
      ? elfEntries(parseElf(bytes, path), source, offset)
      : textEntries(new TextDecoder('latin1').decode(bytes), source, offset, path)
    const before = this.#entries.length
    for (const entry of entries) this.#entries.push(entry)
    if (this.#entries.length === before) {
      throw error(path, 'names no addresses', isElf(bytes) ? 'Give a file that was not stripped.' : 'The guest shows them to root only, with /proc/sys/kernel/kptr_restrict at 0 or 1.')
    }
    this.#sorted = null
  }

  #sort(): BigUint64Array {
    const sorted: Entry[] = []
    for (const entry of this.#entries.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : rank(b) - rank(a)))) {
      if (sorted.at(-1)?.address !== entry.address) sorted.push(entry)
    }
    this.#entries = sorted
    this.#sorted = BigUint64Array.from(sorted, ({ address }) => address)
    return this.#sorted
  }

  /** The code that holds `address`; null when no file names it. */
  find(address: bigint): CodeSymbol | null {
    const addresses = this.#sorted ?? this.#sort()
    let low = 0
    let high = addresses.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((addresses[middle] ?? 0n) <= address) low = middle + 1
      else high = middle
    }
    const entry = this.#entries[low - 1]
    return entry?.code === true && address - entry.address < (entry.size || LONGEST) ? entry : null
  }
}
