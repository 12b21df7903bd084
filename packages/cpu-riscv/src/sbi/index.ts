export { HsmState, SbiError, SbiExtension } from './numbers.ts'
export { Sbi, type SbiHart, type SbiPlatform } from './sbi.ts'
