import type { FdtNode, Resolved } from '@machinist/api'
import { describeOutputs } from '../harts.ts'
import { type ImsicConfig, imsicIrqs } from './spec.ts'

/** Adds the node of the IMSICs, after the device-tree binding `riscv,imsics`, labelled with the part's name. */
export function describeImsic(config: ImsicConfig, at: Resolved, out: { readonly fdt?: FdtNode }): void {
  const region = at.regions[0]
  if (region === undefined || out.fdt === undefined) return
  const node = out.fdt.child('soc').child(`interrupt-controller@${region.base.toString(16)}`)
    .label(at.name)
    .set('compatible', 'riscv,imsics')
    .set('reg', [{ u64: region.base }, { u64: region.size }])
    .set('interrupt-controller', true)
    .set('#interrupt-cells', 0)
    .set('msi-controller', true)
    .set('#msi-cells', 0)
    .set('riscv,num-ids', config.identities)
  describeOutputs(node, at, imsicIrqs(config))
}
