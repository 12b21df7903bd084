import { Access } from '@machinist/mmu'
import { call, type FuncRef } from '@machinist/wasm'
import { createEmit, type Emit } from './context.ts'
import { emitCsrs } from './csr/index.ts'
import { emitDecoder } from './decoder.ts'
import { emitRegionExits } from './exits.ts'
import { emitInterpreter } from './interpreter.ts'
import { emitMemory } from './memory.ts'
import { emitPmp } from './protection.ts'
import { emitTranslation } from './translation.ts'
import { emitTraps } from './trap.ts'

/** What the engine's module exports. */
export interface HartExports {
  readonly run: () => void
  readonly crawl: () => void
  /** Decodes from the second operand, an op of the page whose ops begin at the first, to the end of the block. */
  readonly decode: (ops: number, op: number) => void
  readonly updateView: () => void
  readonly updateFloat: () => void
  readonly flushAll: () => void
  /** Empties the TLB bank at this address. */
  readonly flushBank: (bank: number) => void
  readonly fence: (address: bigint, byAddress: number, asid: bigint, byAsid: number) => void
  /** For debuggers: the register at this index, whether or not an instruction could; see `csrIndex`. */
  readonly csrRead: (index: number) => bigint
  readonly csrWrite: (index: number, value: bigint) => void
  /** Guest-physical address of `va` for a read as the hart stands, or −1; sets no state. */
  readonly probe: (va: bigint) => bigint
}

/** Emits the module that executes harts whose record is at `window`. */
export function emitHartModule(options: {
  readonly window: number
  readonly enters: number
  readonly crossings: number
  readonly jumps: number
  readonly rules: number
  readonly memory: { readonly initial: number; readonly maximum: number; readonly shared: boolean }
}): Uint8Array<ArrayBuffer> {
  const e: Emit = createEmit(options)
  const pmp = emitPmp(e)
  const memory = emitMemory(e, pmp)
  const translation = emitTranslation(e)
  const traps = emitTraps(e, translation)
  const csrs = emitCsrs(e, translation, traps)
  const decode = emitDecoder(e)
  const { run, crawl, outside } = emitInterpreter({ e, memory, csrs, traps, translation }, decode)
  // Translated code imports these, by name.
  const before = e.m.functionCount
  emitRegionExits(e.m, e.s, e.jumps)
  e.m.exportSince(before)
  e.m.export('writeSstatus', csrs.writeSstatus)
  const probe = emitProbe(e, memory.translate)
  e.m.export('run', run)
  e.m.export('crawl', crawl)
  e.m.export('decode', decode)
  e.m.export('outside', outside)
  e.m.export('updateView', translation.updateView)
  e.m.export('updateFloat', csrs.updateFloat)
  e.m.export('flushAll', translation.flushAll)
  e.m.export('flushBank', e.tlb.flushBank)
  e.m.export('fence', translation.fence)
  e.m.export('probe', probe)
  e.m.export('csrRead', csrs.read)
  e.m.export('csrWrite', csrs.write)
  return e.m.toBytes()
}

function emitProbe(e: Emit, translate: FuncRef<readonly ['i64', 'i32'], 'i64'>): FuncRef<readonly ['i64'], 'i64'> {
  return e.m.func('probe', ['i64'], 'i64', (f, va) => {
    const pa = f.let(call(translate, va, Access.read))
    f.if(e.pendingCause, () => {
      f.setGlobal(e.pendingCause, 0)
      f.return(-1)
    })
    f.return(pa)
  })
}
