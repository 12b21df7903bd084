import type { RegionModule, RegionSource } from '@machinist/translator'
import { i32 } from '@machinist/wasm'
import { HartState } from '../emit/state.ts'
import { registerSpecs, RiscvFrontend } from './frontend.ts'
import { createImports, type Imports } from './imports.ts'

/** What regions are written from, for harts whose record is at a fixed address. */
export class Regions implements RegionModule {
  readonly prepare: RegionModule['prepare']
  readonly #state: HartState
  readonly #imports: Imports

  /**
   * @param window - address of the running hart's record
   * @param shared - whether linear memory is
   */
  constructor(window: number, shared: boolean) {
    this.#state = new HartState(window)
    const imports = createImports(this.#state)
    this.#imports = imports
    this.prepare = (m) => {
      m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 65536, shared })
      imports.begin(m)
      return imports.exits
    }
  }

  /**
   * What a region of one page is written from, but for where to begin.
   *
   * @param code - the page's bytes, asked for at the first use
   * @param reached - whether the instruction at an offset was ever executed
   * @param entryMap - address of the region's entry map
   */
  page(code: () => DataView, reached: (offset: number) => boolean, entryMap: number): Pick<RegionSource, 'frontend' | 'place' | 'constants'> {
    const s = this.#state
    return {
      frontend: new RiscvFrontend(code, reached, registerSpecs(s), s, this.#imports),
      place: { entryMap },
      constants: { tlb: i32.add(s.get('dataBank'), 0) },
    }
  }
}
