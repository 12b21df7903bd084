import type { VcpuDebug } from '@machinist/api'

/** What instruction sets call it. */
const NAMES: readonly string[] = ['pc', 'rip', 'eip']

/** The number of the register with the address of the next instruction. */
export const programCounter = ({ registers }: Pick<VcpuDebug, 'registers'>): number => registers.find(({ name }) => NAMES.includes(name))?.number ?? -1
