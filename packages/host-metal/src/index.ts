export type { Native, PhysicalRange } from './native.ts'
