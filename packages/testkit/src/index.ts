export { fuzzDevice, type FuzzFailure, type FuzzOptions } from './fuzz.ts'
export { Random } from './random.ts'
export { type AnyDriver, hostileVirtioDriver } from './virtio-driver.ts'
