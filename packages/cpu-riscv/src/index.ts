export { Cause, Interrupt, Mode } from './cause.ts'
export { MAX_HARTS, riscv, type RiscvConfig, RiscvCpu } from './cpu.ts'
export { isaString } from './describe.ts'
export { Hart } from './hart.ts'
export { hartLayout } from './hart-layout.ts'
export {
  type ListedBlock, type ListedCode, type ListedInstruction, type PageTranslation, type PageTranslationOptions, translatePage, type WayOut,
} from './translate/listing.ts'
