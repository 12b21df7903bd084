export { fromBase64, toBase64 } from './base64.ts'
export { readDevice, writeDevice } from './device-access.ts'
export { ModuleCache, type WrittenModule } from './module-cache.ts'
export { Structure } from './structure.ts'
