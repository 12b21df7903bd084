import { LinkingBuilder } from '@machinist/cpu-core'
import type { RegionModule, RegionSource, RegisterSpec } from '@machinist/translator'
import { ModuleBuilder } from '@machinist/wasm'
import type { CoreParts } from '../emit/core.ts'
import { emitRegionFunctions, type RegionFunctions } from '../emit/exits.ts'
import { emitFloat } from '../emit/float/functions.ts'
import { State } from '../emit/layout.ts'
import { DenseKey } from '../emit/op-format.ts'
import { emitShared } from '../emit/system/functions.ts'
import { currentBank } from '../emit/tlb.ts'
import type { Form } from '../isa/form.ts'
import { KnownInstructions, X86Frontend } from './frontend.ts'
import { registerSpecs } from './registers.ts'

/** Bytes of an entry map: 16 bits for each byte of a page. */
export const ENTRY_MAP_BYTES = 8192

/** What regions are written from, for processors whose record is at a fixed address. */
export class Regions implements RegionModule {
  readonly prepare: RegionModule['prepare']
  readonly #state: State
  readonly #parts: CoreParts & { readonly region: RegionFunctions }
  readonly #registers: readonly RegisterSpec[]
  readonly #known: KnownInstructions

  /**
   * @param window - address of the running processor's record
   * @param shared - whether linear memory is
   * @param lacks - encodings that the processor has not
   */
  constructor(window: number, shared: boolean, lacks: ReadonlySet<Form>) {
    const state = new State(window)
    const linking = new LinkingBuilder()
    const functions = emitShared(linking, state, { physicalBits: 0 })
    const region = { ...emitRegionFunctions(linking, state, functions), outside: linking.declare('outside', ['i64', 'i32'], 'i32') }
    this.#state = state
    this.#parts = { state, shared: functions, float: emitFloat(linking, state.float), region }
    this.#registers = registerSpecs(state)
    this.#known = new KnownInstructions(this.#parts, this.#registers, lacks, () => { linking.begin(new ModuleBuilder()) })
    this.prepare = (m) => {
      m.importMemory({ module: 'host', name: 'memory', initial: 1, maximum: 65536, shared })
      linking.begin(m)
      return region.exits
    }
  }

  /**
   * What a region of one page is written from, but for where to begin.
   *
   * @param code - the page's bytes, asked for at the first use
   * @param reached - whether the instruction at an offset was ever executed
   * @param entryMap - address of the region's entry map, of `ENTRY_MAP_BYTES`
   * @param key - what code it is, of DenseKey
   */
  page(code: () => DataView, reached: (offset: number) => boolean, entryMap: number, key: number): Pick<RegionSource, 'frontend' | 'place' | 'constants'> {
    return {
      frontend: new X86Frontend(code, reached, key === DenseKey.long ? 64 : 32, { registers: this.#registers, parts: this.#parts, known: this.#known }),
      place: { entryMap },
      constants: { tlb: currentBank(this.#state) },
    }
  }
}
