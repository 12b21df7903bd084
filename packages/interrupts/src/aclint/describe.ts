import type { FdtNode, Resolved } from '@machinist/api'
import { describeOutputs } from '../harts.ts'

/** What tells the devices of the family apart in a device tree. */
export interface AclintNode {
  readonly name: string
  readonly compatible: readonly string[]
  /** Whether the binding makes the node an interrupt controller: MSWI and SSWI, for inter-processor interrupts. */
  readonly controller: boolean
}

/** Adds the device's node, after the bindings `riscv,aclint-*` and `sifive,clint0`. */
export function describeAclint(node: AclintNode, outputs: readonly string[], at: Resolved, out: { readonly fdt?: FdtNode }): void {
  const first = at.regions[0]
  if (first === undefined || out.fdt === undefined) return
  const fdt = out.fdt.child('soc').child(`${node.name}@${first.base.toString(16)}`)
    .set('compatible', node.compatible)
    .set('reg', at.regions.flatMap(({ base, size }) => [{ u64: base }, { u64: size }]))
  describeOutputs(fdt, at, outputs)
  if (node.controller) fdt.set('interrupt-controller', true).set('#interrupt-cells', 0)
}
