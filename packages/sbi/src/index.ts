export { HsmState, SbiError, SbiExtension } from './numbers.ts'
export { FirmwareEvent, HartPmu, type HardwareCounters, type PmuState } from './pmu.ts'
export { type ResumePoint, Sbi, type SbiHart, type SbiPlatform } from './sbi.ts'
