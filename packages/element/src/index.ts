import { defineMachineElement } from './element.ts'

export { defineMachineElement, type MachineElement, type MachineElementEvents } from './element.ts'
export type { MachineDescription, MachineNews, OpenMachineOptions, PageMachine, SnapshotDescription } from '@machinist/host-browser'
export { exportDisk, importDisk, keptDisks, removeDisk } from '@machinist/host-browser'

defineMachineElement()
