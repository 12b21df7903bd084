/** A guest that fills a page with what only it knows, and looks at it for ever. */
import type { Machine } from '@machinist/machine'
import { asm } from './encode.ts'
import { BASE } from './program.ts'

const [T0, T1, T2, S0] = [5, 6, 7, 8]
const PAGES = 0x10_0000
const LENGTH = 0x2_0000

/** s0 counts rounds, which stand in the word before; a word that is not what it was ends it. */
export const bystander: Uint8Array = new Uint8Array(Uint32Array.from([
  asm.auipc(T0, PAGES / 4096), asm.lui(T1, LENGTH / 4096), asm.sd(T0, T0, 0), asm.addi(T0, T0, 8), asm.addi(T1, T1, -8), asm.bnez(T1, -12),
  asm.addi(S0, S0, 1), asm.auipc(T2, PAGES / 4096), asm.sd(S0, T2, -4 * 7 - 8),
  asm.auipc(T0, PAGES / 4096), asm.addi(T0, T0, -4 * 9), asm.lui(T1, LENGTH / 4096), asm.ld(T2, T0, 0), asm.sub(T2, T2, T0), asm.bnez(T2, 20), asm.addi(T0, T0, 8), asm.addi(T1, T1, -8), asm.bnez(T1, -20), asm.j(-4 * 12), asm.j(0),
]).buffer)

/** How often it has looked, so far; it stays there once something was not as it had been. */
export function watch(machine: Machine): number {
  const bytes = new Uint8Array(8)
  return machine.memory.read(BASE + PAGES - 8, bytes) ? Number(new DataView(bytes.buffer).getBigUint64(0, true)) : -1
}
