export { type CodePurpose, Exit, type Flow, type Frontend, type Instruction, type RegionObserver, type RegionStage, type RegionValues, type RegisterSpec, type RegisterType, type WayOut } from './code.ts'
export { type CompilerOptions, LIMITS, RegionCompiler, type RegionModule, type RegionRequest, type RegionSource, writeRegions } from './compiler.ts'
export { REGION_PARAMS, RegionEmitter, type RegionPlace } from './emit.ts'
export { emitExits, type ExitPlace, type RegionExits } from './exits.ts'
export { type Block, buildGraph, type Graph, type Limits } from './graph.ts'
export {
  listRegion, type ListedBlock, type ListedCode, type ListedInstruction, type ListedWayOut, type ListingNames, type PageTranslation, type PageTranslationOptions,
} from './listing.ts'
export { type Item, type Loop, structure } from './structure.ts'
export { type Uses, usesOf } from './uses.ts'
