export type { Native, PhysicalRange } from './native.ts'
export { Answer, VcpuAccess, VcpuExit, vcpuRecord } from './vcpu-record.ts'
