import { call, type FuncRef, i32, type ModuleBuilder, memoryCopy } from '@machinist/wasm'
import { emitFlags } from '../flags.ts'
import { emitHelpers } from '../helpers.ts'
import { KEPT, SAVE_AT, State } from '../layout.ts'
import { importMemoryCalls } from '../devices.ts'
import { emitMemory } from '../memory.ts'
import { emitChunks } from '../chunks.ts'
import { emitPlaceIn } from '../place-in.ts'
import { emitBasics } from './code.ts'
import { emitCalls } from './calls.ts'
import { emitControl } from './control.ts'
import { emitDebug } from './debug.ts'
import { Activity, emitEvents } from './events.ts'
import { emitInterrupts } from './interrupts.ts'
import { emitMsr } from './msr.ts'
import { importOutside, type OutsideFunctions } from './outside.ts'
import { emitSegments } from './segments.ts'
import { emitTables } from './tables.ts'
import { emitTasks } from './tasks.ts'
import { emitTransfers } from './transfers.ts'

/** What handlers call, by name: parameters and result. */
const signatures = {
  carry: [[], 'i32'],
  status: [[], 'i32'],
  carryOf: [['i32', 'i32', 'i64', 'i64'], 'i32'],
  statusOf: [['i32', 'i32', 'i64', 'i64'], 'i32'],
  signZeroParity: [['i64', 'i32'], 'i32'],
  mulhu: [['i64', 'i64'], 'i64'],
  mulhs: [['i64', 'i64'], 'i64'],
  overflows: [['i64', 'i64'], 'i32'],
  divu: [['i64', 'i64', 'i64'], 'i64'],
  reverse: [['i64'], 'i64'],
  crc32c: [['i32', 'i64', 'i32'], 'i32'],
  place: [['i64', 'i32', 'i32', 'i32'], 'i32'],
  rest: [['i64'], 'i32'],
  commit: [[], 'void'],
  unusual: [['i64'], 'i32'],
  updateView: [[], 'void'],
  flushAll: [[], 'void'],
  flushPrivate: [[], 'void'],
  flushContext: [['i32'], 'void'],
  flushAddress: [['i64', 'i32'], 'void'],
  startBanks: [['i32'], 'void'],
  flushBank: [['i32'], 'void'],
  updateMode: [[], 'void'],
  placeIn: [['i32', 'i64', 'i32', 'i32'], 'i32'],
  codeOps: [['i64'], 'i32'],
  linear: [['i32', 'i64'], 'i64'],
  checkTarget: [['i64'], 'i32'],
  moveChunk: [['i32', 'i32', 'i64'], 'i32'],
  fillChunk: [['i64', 'i32', 'i64'], 'i32'],
  /** `(number, selector)`: a program loads a segment register. */
  loadSegment: [['i32', 'i32'], 'i32'],
  /** `(number, size)`: and takes it off the stack. */
  popSegment: [['i32', 'i32'], 'i32'],
  far: [['i32', 'i32', 'i64', 'i32', 'i64'], 'i32'],
  farReturn: [['i32', 'i64'], 'i32'],
  interruptReturn: [['i32', 'i64'], 'i32'],
  resume: [[], 'i32'],
  poll: [[], 'i32'],
  take: [[], 'i32'],
  loadLocalTable: [['i32'], 'i32'],
  loadTask: [['i32'], 'i32'],
  look: [['i32', 'i32'], 'i32'],
  /** What LAR or LSL has found. */
  lookedAt: [[], 'i64'],
  checkPort: [['i32', 'i32'], 'i32'],
  hasControl: [['i32'], 'i32'],
  readControl: [['i32'], 'i64'],
  writeControl: [['i32', 'i64'], 'i32'],
  readDebug: [['i32'], 'i64'],
  writeDebug: [['i32', 'i64'], 'i32'],
  guardDebug: [[], 'i32'],
  readMsr: [['i32'], 'i32'],
  writeMsr: [['i32', 'i64'], 'i32'],
  timestamp: [[], 'i64'],
  systemCall: [['i64'], 'i32'],
  systemReturn: [['i32'], 'i32'],
  sysenter: [[], 'i32'],
  sysexit: [['i32'], 'i32'],
} as const

type References<Signatures extends Readonly<Record<string, readonly [readonly ('i32' | 'i64')[], 'i32' | 'i64' | 'void']>>> = { readonly [Name in keyof Signatures]: FuncRef<Signatures[Name][0], Signatures[Name][1]> }

/** The functions that all handlers share. Those that return i32 as the last of an instruction return 1 after a fault. */
export type SharedFunctions = References<typeof signatures> & OutsideFunctions

/** Emits and exports them, and imports those that are given. */
export function emitShared(m: ModuleBuilder, state: State, { physicalBits }: { physicalBits: number }): SharedFunctions {
  const outside = importOutside(m)
  const memoryCalls = importMemoryCalls(m, outside)
  const flags = emitFlags(m, state)
  const helpers = emitHelpers(m)
  const debug = emitDebug(m, state)
  const memory = emitMemory(m, state, memoryCalls, debug, { physicalBits })
  const basics = emitBasics(m, state, memory)
  const segments = emitSegments(m, state, basics, memory)
  const tasks = emitTasks(m, state, basics, memory, segments, flags, debug)
  const transfers = emitTransfers(m, state, basics, memory, segments, tasks)
  const interrupts = emitInterrupts(m, state, basics, segments, transfers, tasks, flags)

  /** Code within which a fault leaves everything as it was, but for memory. */
  const atomic = <const Params extends readonly ('i32' | 'i64')[]>(name: string, inner: FuncRef<Params, 'i32'>): FuncRef<Params, 'i32'> => m.func(name, inner.params, 'i32', (f, ...args) => {
    f.do(memoryCopy(state.at + SAVE_AT, state.at, KEPT))
    f.do(state.set32('saved', 1))
    f.if(call(inner, ...args as never), () => {
      f.if(state.get32('saved'), () => f.do(memoryCopy(state.at, state.at + SAVE_AT, KEPT)))
      f.return(1)
    })
    f.return(0)
  })
  const loadSegment = m.func('loadByProgram', ['i32', 'i32'], 'i32', (f, number, selector) => {
    f.return(call(segments.load, number, selector, 13, state.get32('cpl')))
  })
  const popSegment = m.func('popByProgram', ['i32', 'i32'], 'i32', (f, number, size) => {
    f.if(call(basics.pop, size), () => f.return(1))
    f.return(call(loadSegment, number, i32.and(i32.wrap(basics.value), 0xffff)))
  })
  // Whatever becomes of it, IRET lets NMI come again (SDM volume 3, 7.7.1).
  const atomicReturn = atomic('interruptReturnByProgram', interrupts.interruptReturn)
  const interruptReturn = m.func('interruptReturn', ['i32', 'i64'], 'i32', (f, size, next) => {
    f.do(state.set32('nmiBlocked', 0))
    f.do(state.set32('attention', 1))
    f.return(call(atomicReturn, size, next))
  })
  const tables = emitTables(m, state, basics, segments)
  const checkPort = m.func('checkPort', ['i32', 'i32'], 'i32', (f, port, size) => {
    f.if(call(tables.checkPort, port, size), () => f.return(1))
    f.do(call(debug.reaches, port, size))
    f.return(0)
  })
  const control = emitControl(m, state, basics, memory, segments, debug, outside, { physicalBits })
  const msr = emitMsr(m, state, basics, memory, outside, { physicalBits })
  const calls = emitCalls(m, state, basics, memory, tables, flags)
  // Watched data is in no TLB.
  const writeDebug = m.func('writeDebugRegister', ['i32', 'i64'], 'i32', (f, number, value) => {
    f.if(i32.eq(number, 7), () => f.do(call(memory.flushAll)))
    f.return(call(debug.writeDebug, number, value))
  })
  const restart = m.func('restartMemory', [], 'void', (f) => {
    f.do(call(memory.flushAll))
    f.do(call(memory.updateView))
    f.do(call(segments.updateMode))
  })
  // RSM: what was saved is looked at by `leaveManagement`, and `next` is where it goes on.
  const resume = m.func('resume', [], 'i32', (f) => {
    f.do(state.set32('attention', 1))
    const shutDown = (): void => {
      f.do(state.set32('waiting', Activity.shutdown))
      f.return(0)
    }
    f.if(call(outside.leaveManagement), shutDown)
    f.do(call(restart))
    f.do(call(debug.updateWatching))
    // A PDPTE with reserved bits makes a state that is not possible.
    f.if(i32.eq(i32.and(state.get32('view'), 7), 2), () => f.if(call(memory.loadPdptes, state.get64('cr3')), shutDown))
    f.return(0)
  })
  const places = emitPlaceIn(m, state, memory)
  const shared: References<typeof signatures> = {
    ...flags, ...helpers,
    ...memory, updateMode: segments.updateMode,
    loadSegment, popSegment: atomic('popSegment', popSegment),
    far: atomic('farByProgram', transfers.far), farReturn: atomic('farReturnByProgram', transfers.farReturn),
    resume, interruptReturn, ...emitEvents(m, state, atomic('deliverEvent', interrupts.deliver), debug, restart, outside),
    loadLocalTable: tables.loadLocalTable, loadTask: tables.loadTask, look: tables.look, checkPort,
    lookedAt: m.func('lookedAt', [], 'i64', (f) => f.return(basics.value)),
    ...control, ...msr, ...calls, readDebug: debug.readDebug, writeDebug, guardDebug: debug.guardDebug, ...places, ...emitChunks(m, state, places),
  }
  for (const name of Object.keys(signatures) as (keyof typeof signatures)[]) m.export(name, shared[name])
  return { ...shared, ...outside }
}
