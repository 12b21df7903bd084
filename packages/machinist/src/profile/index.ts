export { type CallFrame, type CpuProfile, ProfileBuilder, type ProfileNode } from './cpu-profile.ts'
export { profile } from './profile.ts'
export { type CodeSymbol, SymbolTable } from './symbols.ts'
