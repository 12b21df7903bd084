export { type AnySpec, type Catalogue, cpuSpec, deviceSpec, isCpuSpec } from './definition/catalogue.ts'
export { parseDefinition, parseNumber } from './definition/check.ts'
export {
  type BackendChoices, type CpuOptions, type CpuPart, defineMachine, type DeviceOptions, type DevicePart, type MachineBlueprint, type MachineOptions, part,
} from './definition/define.ts'
export {
  type BackendDescriptor, type BootDefinition, CPU_PART, type CpuDefinition, type DeviceDefinition, type ImageSource, type IrqChoice,
  type IrqConnection, type MachineDefinition, type MemoryRange, type RawImage, type SlotChoice, type TimeMode,
} from './definition/definition.ts'
export type { MachineEvents, MachineState, MachineStats } from './life/events.ts'
export type { ForkOptions } from './life/fork.ts'
export type { GateRecord } from './running/gate.ts'
export type { HostLoop, MachineHost } from './assembly/host.ts'
export { createMachine, instantiate, type InstantiateOptions } from './life/instantiate.ts'
export { instantiateStored, type RestoreOptions } from './life/restore.ts'
export type { MachineSnapshot, StoredMachine } from './life/snapshot.ts'
export type { Machine, StartOptions } from './life/machine.ts'
export { printMachine, resolve, type ResolvedDevice, type ResolvedMachine } from './resolving/resolve.ts'
export type { Wire } from './resolving/routing.ts'
export type { ResolvedSlot } from './resolving/slots.ts'
export type { SliceResult, StopAt } from './running/run-loop.ts'
export type { MachineSample, SampleOptions } from './running/sampler.ts'
export type { DevicesState } from './life/state.ts'
export type { TraceListener } from './assembly/trace.ts'
export { type SeededEntropy, seededEntropy } from './assembly/randomness.ts'
export { deviceTree } from './booting/plan.ts'
export { buildTree, type TreeOptions } from './booting/tree.ts'
