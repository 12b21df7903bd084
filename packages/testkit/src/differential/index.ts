export type { Difference } from './compare.ts'
export { differential, type DifferentialOptions, type DifferentialResult, type Mismatch, repeat } from './differential.ts'
export type { CaseKey } from './image.ts'
export { qemuVersion } from './qemu.ts'
