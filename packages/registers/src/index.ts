export { RegisterBlock, type ReadHook, type RegisterBlockOptions, type RegisterState, type WriteHook } from './block.ts'
export { plainData, type PlainData } from './plain-data.ts'
export {
  extract, fieldMask, insert,
  type Access, type BankName, type Field, type FieldName, type RegisterName, type RegisterSpec, type RegisterTable,
} from './table.ts'
