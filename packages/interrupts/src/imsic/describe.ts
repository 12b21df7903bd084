import type { FdtNode, Resolved } from '@machinist/api'
import { hartInterrupts } from '../harts.ts'
import type { ImsicConfig } from './spec.ts'

/** Cause of supervisor external interrupts (RISC-V privileged specification, table of `mcause` values). */
const supervisorExternal = 9

/** Adds the node of the IMSICs, after the device-tree binding `riscv,imsics`, labelled with the part's name. */
export function describeImsic(config: ImsicConfig, at: Resolved, out: { readonly fdt?: FdtNode }): void {
  const region = at.regions[0]
  if (region === undefined) return
  out.fdt?.child('soc').child(`interrupt-controller@${region.base.toString(16)}`)
    .label(at.name)
    .set('compatible', 'riscv,imsics')
    .set('reg', [{ u64: region.base }, { u64: region.size }])
    .set('interrupt-controller', true)
    .set('#interrupt-cells', 0)
    .set('msi-controller', true)
    .set('#msi-cells', 0)
    .set('interrupts-extended', hartInterrupts(config.harts, [supervisorExternal]))
    .set('riscv,num-ids', config.identities)
}
