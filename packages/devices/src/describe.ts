import type { AcpiResource, FdtNode, Resolved, ResolvedIrq } from '@machinist/api'

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

/** What ACPI calls the interrupt of a device that has one; undefined where it goes to no I/O APIC. */
export function systemInterrupt(irqs: readonly ResolvedIrq[]): number | undefined {
  return irqs.find((each) => each.systemInterrupt !== undefined)?.systemInterrupt
}

/** The resources of a device as ISA has them: ports, and an edge. */
export function isaResources({ regions, irqs }: Resolved): readonly AcpiResource[] {
  const interrupt = systemInterrupt(irqs)
  return [...regions.map(({ base, size }) => ({ ports: base, size })), ...(interrupt === undefined ? [] : [{ interrupt, level: false }])]
}
