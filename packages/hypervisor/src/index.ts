export { RESOURCE_KINDS, type Allotment, type Capacity, type ResourceKind, type Resources, type Terms, type Usage } from './contract/resources.ts'
export type { MachineReport, MachineSpec, MemoryMeans, PoolSpec } from './contract/machines.ts'
export type { AllocationRow, AllocationTable, ConsoleConnection, ConsoleListener, Hypervisor, HypervisorEvent } from './contract/hypervisor.ts'
export type { Grant, ResourceController } from './contract/controller.ts'
