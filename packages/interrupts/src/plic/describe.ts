import type { FdtNode, Resolved } from '@machinist/api'
import { describeOutputs } from '../harts.ts'
import { plicIrqs, type PlicConfig } from './spec.ts'

/** Adds the PLIC's node, after the device-tree binding `sifive,plic-1.0.0`, labelled with the part's name. */
export function describePlic(config: PlicConfig, at: Resolved, out: { readonly fdt?: FdtNode }): void {
  const region = at.regions[0]
  if (region === undefined || out.fdt === undefined) return
  const node = out.fdt.child('soc').child(`plic@${region.base.toString(16)}`)
    .label(at.name)
    .set('compatible', ['sifive,plic-1.0.0', 'riscv,plic0'])
    .set('reg', [{ u64: region.base }, { u64: region.size }])
    .set('#address-cells', 0)
    .set('#interrupt-cells', 1)
    .set('interrupt-controller', true)
    .set('riscv,ndev', config.sources)
  describeOutputs(node, at, plicIrqs(config))
}
