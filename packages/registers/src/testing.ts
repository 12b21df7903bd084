/**
 * A machine for one device, for its tests: virtual time that moves when told to, interrupt lines that remember, a
 * little RAM, and backends that a script drives. Nothing here needs a host.
 */
export { fakeContext, testDevice } from './testing/context.ts'
export type { FakeClock, FakeContext, FakeContextOptions, FakeLine, FakeMemory, TestDevice, TestDeviceOptions } from './testing/context.ts'
export { ServedDevice } from './testing/shortcuts.ts'
export { fakeBlock, fakeChar, fakeEntropy, fakeNet, fakePower, fakeWallClock } from './testing/backends.ts'
export type { FakeBlock, FakeChar, FakeNet } from './testing/backends.ts'
