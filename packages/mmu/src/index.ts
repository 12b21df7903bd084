export { peekSv } from './peek.ts'
export { emitRam, type RamFaults, type RamFunctions } from './ram.ts'
export { Access, emitSvWalker, type SvWalker, View, type WalkerEnvironment, WalkFault } from './sv.ts'
export { dataEntry, emitTlb, fetchEntry, lastTag, noteFilled, tagOf, type TlbFunctions, tlbLayout } from './tlb.ts'
