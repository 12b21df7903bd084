export { peekSv } from './peek.ts'
export { emitRam, type RamFunctions } from './ram.ts'
export { Access, emitSvWalker, type SvWalker, View, type WalkerEnvironment, WalkFault } from './sv.ts'
export { dataEntry, emitTlb, fetchEntry, lastPage, noteFilled, type TlbFunctions, tlbLayout } from './tlb.ts'
