export { type AnySpec, type Catalogue, cpuSpec, deviceSpec, isCpuSpec } from './catalogue.ts'
export { parseDefinition, parseNumber } from './check.ts'
export {
  type BackendChoices, type CpuOptions, type CpuPart, defineMachine, type DeviceOptions, type DevicePart, type MachineBlueprint, type MachineOptions, part,
} from './define.ts'
export {
  type BackendDescriptor, type BootDefinition, CPU_PART, type CpuDefinition, type DeviceDefinition, type ImageSource, type IrqChoice,
  type IrqConnection, type MachineDefinition, type MemoryRange, type RawImage, type SlotChoice, type TimeMode,
} from './definition.ts'
export type { MachineEvents, MachineState, MachineStats } from './events.ts'
export type { GateRecord } from './gate.ts'
export type { HostLoop, MachineHost } from './host.ts'
export { createMachine, instantiate, type InstantiateOptions } from './instantiate.ts'
export type { Machine, StartOptions } from './machine.ts'
export { printMachine, resolve, type ResolvedDevice, type ResolvedMachine } from './resolve.ts'
export type { Wire } from './routing.ts'
export type { ResolvedSlot } from './slots.ts'
export type { SliceResult } from './run-loop.ts'
export type { MachineSample, SampleOptions } from './sampler.ts'
export type { DevicesState } from './state.ts'
export type { TraceListener } from './trace.ts'
export { seededEntropy } from './randomness.ts'
export { buildTree, type TreeOptions } from './tree.ts'
