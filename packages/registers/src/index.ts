export { RegisterBlock, type RegisterBlockOptions, type RegisterState } from './block.ts'
export { type ReadHook, type WriteHook } from './hooks.ts'
export { plainData, type PlainData } from './plain-data.ts'
export {
  extract, fieldMask, insert,
  type Access, type BankName, type Field, type FieldName, type RegisterName, type RegisterSpec, type RegisterTable,
} from './table.ts'
