import type { FdtNode, Resolved } from '@machinist/api'
import type { AplicConfig } from './spec.ts'

/** Adds the APLIC's node, after the device-tree binding `riscv,aplic`, labelled with the part's name. */
export function describeAplic(config: AplicConfig, at: Resolved, out: { readonly fdt?: FdtNode }): void {
  const region = at.regions[0]
  if (region === undefined) return
  out.fdt?.child('soc').child(`interrupt-controller@${region.base.toString(16)}`)
    .label(at.name)
    .set('compatible', 'riscv,aplic')
    .set('reg', [{ u64: region.base }, { u64: region.size }])
    .set('#address-cells', 0)
    .set('interrupt-controller', true)
    .set('#interrupt-cells', 2)
    .set('msi-parent', [{ ref: config.imsic }])
    .set('riscv,num-sources', config.sources)
}
