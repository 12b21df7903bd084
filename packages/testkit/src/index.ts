export { fuzzDevice, type FuzzFailure, type FuzzOptions } from './fuzz.ts'
export { compareShortcuts, type ShortcutComparison, type ShortcutOptions, type ShortcutSide } from './shortcuts.ts'
export { Random } from './random.ts'
export { type AnyDriver, hostileVirtioDriver } from './virtio-driver.ts'
