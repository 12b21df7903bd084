import type { DmaSpace, VcpuSample } from '@machinist/api'
import { peekSv } from '@machinist/mmu'
import { Mode } from './cause.ts'
import { decode, emptyDecoded, instructions } from './isa/decoder.ts'
import type { HartRecord } from './record.ts'

const modeNames: Readonly<Record<number, string>> = { [Mode.user]: 'user', [Mode.supervisor]: 'supervisor', [Mode.machine]: 'machine' }

const RA = 1
const SP = 2
/** Also called fp. It holds what sp was when the function began (psABI, frame pointer convention). */
const S0 = 8
/** Below it lie the return address, and the caller's s0. */
const SAVED_RA = 8n
const SAVED_S0 = 16n
const PAGE_OFFSET = 4095n

type PhysicalRam = Pick<DmaSpace, 'read'>

/** A hart's virtual memory as it is now, looked at from outside. */
class View {
  readonly #record: HartRecord
  readonly #memory: PhysicalRam
  /** Physical addresses of the pages that were looked at, −1 for those that are not there. */
  readonly #pages = new Map<bigint, number>()
  readonly #data = new DataView(new ArrayBuffer(8))

  constructor(record: HartRecord, memory: PhysicalRam) {
    this.#record = record
    this.#memory = memory
  }

  #page(page: bigint): number {
    let at = this.#pages.get(page)
    if (at === undefined) {
      at = peekSv(this.#memory, page, this.#record.get('mode') === Mode.machine ? 0n : this.#record.get64('satp'))
      this.#pages.set(page, at)
    }
    return at
  }

  /** Whether `bytes` at `address`, aligned to their number, could be read; they are in `#data` then. */
  #read(address: bigint, bytes: number): boolean {
    const page = this.#page(address & ~PAGE_OFFSET)
    return page >= 0 && this.#memory.read(page + Number(address & PAGE_OFFSET), new Uint8Array(this.#data.buffer, 0, bytes))
  }

  /** 64 bits at an address that is a multiple of 8. */
  word(address: bigint): bigint | null {
    return this.#read(BigInt.asUintN(64, address), 8) ? this.#data.getBigUint64(0, true) : null
  }

  /** 16 bits at an even address. */
  half(address: bigint): number | null {
    return this.#read(BigInt.asUintN(64, address), 2) ? this.#data.getUint16(0, true) : null
  }
}

/** Whether a call stands before `address`: whether that can be where a function returns to. */
function followsCall(view: View, address: bigint): boolean {
  if ((address & 1n) !== 0n) return false
  const last = view.half(address - 2n)
  const first = view.half(address - 4n)
  const isCall = (word: number, length: number): boolean => {
    const { number, rd, length: is } = decode(word, emptyDecoded())
    const name = instructions[number]?.name
    return is === length && rd === RA && (name === 'jal' || name === 'jalr')
  }
  return last !== null && (isCall(last, 2) || (first !== null && isCall(first | last << 16, 4)))
}

/**
 * Where a hart is. The stack is what the frame pointers lead to, as long as each lies above the one before and leads to
 * an address behind a call; so code that uses s0 otherwise ends it. When it ends at once, `ra` stands for the caller.
 * Pages of the guest are read as the hart would see them, RAM only.
 */
export function sampleHart(record: HartRecord, memory: PhysicalRam, depth: number): VcpuSample {
  const view = new View(record, memory)
  const x = (index: number): bigint => record.get64('x', index)
  const stack = [record.get64('pc')]
  const returns = (address: bigint | null): address is bigint => address !== null && followsCall(view, address)
  let below = x(SP)
  let frame = x(S0)
  while (stack.length < depth && frame > below && (frame & 7n) === 0n) {
    let caller = view.word(frame - SAVED_RA)
    let next = view.word(frame - SAVED_S0)
    if (!returns(caller)) {
      // A function that calls none may leave ra where it is, and saves s0 in the first place.
      if (stack.length > 1) break
      next = caller
      caller = x(RA)
      if (!returns(caller)) break
    }
    stack.push(caller)
    if (next === null) break
    below = frame
    frame = next
  }
  if (stack.length === 1 && depth > 1 && returns(x(RA))) stack.push(x(RA))
  return { mode: modeNames[record.get('mode')] ?? 'unknown', stack }
}
