export { AddressSpace, type BusTarget } from './address-space.ts'
