import type { FdtNode, Resolved } from '@machinist/api'

/** The node `/soc/<name>@<base>` with its `reg`, and its interrupt where a device tree can name that. */
export function socNode(fdt: FdtNode, name: string, at: Resolved): FdtNode {
  const base = at.regions[0]?.base ?? 0
  const node = fdt.child('soc').child(`${name}@${base.toString(16)}`)
    .label(at.name)
    .set('reg', at.regions.flatMap((region) => [{ u64: region.base }, { u64: region.size }]))
  const irq = at.irqs[0]
  if (irq !== undefined && irq.cells.length > 0) {
    node.set('interrupt-parent', [{ ref: irq.ref }]).set('interrupts', irq.cells)
  }
  return node
}
