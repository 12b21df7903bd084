import type { DmaSpace, VcpuDebug } from '@machinist/api'

const PAGE = 4096
const SPACE = 1n << 64n

/** Physical addresses beyond what a number holds are of no memory. */
const physical = (address: bigint): number => address <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(address) : -1

/** Goes through the pages of `length` bytes at `address`; `visit` is given each part's guest-physical address, −1 for none, until it says no. */
function parts(translate: (address: bigint) => number, address: bigint, length: number, visit: (at: number, from: number, to: number) => boolean): number {
  for (let done = 0; done < length;) {
    const at = address + BigInt(done)
    if (at >= SPACE) return done
    const step = Math.min(length - done, PAGE - Number(at & BigInt(PAGE - 1)))
    if (!visit(translate(at), done, done + step)) return done
    done += step
  }
  return length
}

/** Guest memory for a debugger: RAM alone, since devices do things when they are read. */
export class DebugMemory {
  readonly #memory: Pick<DmaSpace, 'read' | 'write'>
  /** Whether addresses are guest-physical. */
  physical = false

  constructor(memory: Pick<DmaSpace, 'read' | 'write'>) {
    this.#memory = memory
  }

  #translator(view: VcpuDebug): (address: bigint) => number {
    return this.physical ? physical : (address) => view.translate(address)
  }

  /** As many of `length` bytes as there are, page by page. */
  read(view: VcpuDebug, address: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    const read = parts(this.#translator(view), address, length, (at, from, to) => at >= 0 && this.#memory.read(at, bytes.subarray(from, to)))
    return bytes.subarray(0, read)
  }

  /** All of the bytes, or none. */
  write(view: VcpuDebug, address: bigint, bytes: Uint8Array): boolean {
    const translate = this.#translator(view)
    const there = parts(translate, address, bytes.length, (at, from, to) => at >= 0 && this.#memory.read(at, new Uint8Array(to - from)))
    if (there < bytes.length) return false
    return parts(translate, address, bytes.length, (at, from, to) => this.#memory.write(at, bytes.subarray(from, to))) === bytes.length
  }
}
