import type { FdtNode, Resolved } from '@machinist/api'
import { hartInterrupts, type HartsConfig } from '../harts.ts'

/** What tells the devices of the family apart in a device tree. */
export interface AclintNode {
  readonly name: string
  readonly compatible: readonly string[]
  /** Causes of the harts' local interrupts that it drives (RISC-V privileged specification, table of `mcause` values). */
  readonly causes: readonly number[]
  /** Whether the binding makes the node an interrupt controller: MSWI and SSWI, for inter-processor interrupts. */
  readonly controller: boolean
}

/** Adds the device's node, after the bindings `riscv,aclint-*` and `sifive,clint0`. */
export function describeAclint(node: AclintNode, config: HartsConfig, at: Resolved, out: { readonly fdt?: FdtNode }): void {
  const first = at.regions[0]
  if (first === undefined || out.fdt === undefined) return
  const fdt = out.fdt.child('soc').child(`${node.name}@${first.base.toString(16)}`)
    .set('compatible', node.compatible)
    .set('reg', at.regions.flatMap(({ base, size }) => [{ u64: base }, { u64: size }]))
    .set('interrupts-extended', hartInterrupts(config.harts, node.causes))
  if (node.controller) fdt.set('interrupt-controller', true).set('#interrupt-cells', 0)
}
