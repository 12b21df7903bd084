export { Arena, type ArenaViews, type LinearMemory, PAGE_SIZE } from './arena.ts'
export {
  type CodeWriteListener,
  GuestMemory,
  MAX_RAM_REGIONS,
  PAGE_CODE,
  PAGE_DIRTY,
  type RamRegion,
  ramTable,
} from './guest-memory.ts'
export { type Field, type FieldType, layout, type Layout } from './layout.ts'
