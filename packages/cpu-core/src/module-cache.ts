import { compileNow, type WasmModule } from '@machinist/wasm'
import { fromBase64 } from './base64.ts'

/** A module that was written beforehand, by the build say. */
export interface WrittenModule {
  /** What it is for: see {@link ModuleCache}. */
  readonly key: string
  /** The module in base 64. */
  readonly base64: string
}

/** A custom section with a name of one letter, and nothing in it (WebAssembly core specification, 5.5.3). */
const SECTION = [0, 2, 1, 0x6e]

/** The same module in other bytes: of those that it has met, the engine of a host may have code. */
function withSection(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const others = new Uint8Array(bytes.length + SECTION.length)
  others.set(bytes)
  others.set(SECTION, bytes.length)
  return others
}

/** Modules compiled in this thread, by what tells them apart: once for all machines for which one is the same, and not even written when that was done beforehand. */
export class ModuleCache {
  readonly #modules = new Map<string, WasmModule>()
  readonly #written: WrittenModule | null
  readonly #most: number

  /** @param most - how many are kept: those that come first */
  constructor(written: WrittenModule | null, most: number) {
    this.#written = written
    this.#most = most
  }

  /**
   * @param write - makes the module
   * @param anew - compile it even so, and let those that come have that
   */
  get(key: string, write: () => Uint8Array<ArrayBuffer>, anew: boolean = false): WasmModule {
    const known = this.#modules.get(key)
    if (known !== undefined && !anew) return known
    const bytes = this.#written?.key === key ? fromBase64(this.#written.base64) : write()
    const module = compileNow(anew ? withSection(bytes) : bytes)
    if (this.#modules.size < this.#most || this.#modules.has(key)) this.#modules.set(key, module)
    return module
  }
}
