import { parseFdt } from '@machinist/boot'
import type { Native } from '../../native.ts'
import type { InterruptController } from '../hardware.ts'
import { type HardwareNode, hardwareNodes } from '../probe.ts'
import { aplicDirectDriver } from './aplic-direct.ts'
import { APLIC_COMPATIBLE, aplicDriver, IMSIC_COMPATIBLE, type InterruptFile, sourceModes } from './aplic.ts'
import { findSupervisorInput } from './plic.ts'

/** The kernel's hart, whose claims and enables are those of its interrupt file where there is no PLIC. */
const fileOf = (native: Native): InterruptFile => ({ identities: native.identities, claim: () => native.claim(), enable: (identity, on) => { native.enable(identity, on) } })

/**
 * What says which devices of this hardware interrupt: the PLIC, which the microkernel drives; or an APLIC of supervisor level with this hart's interrupt file, or without.
 *
 * @throws a typed error `'hardware-unsupported'` for an APLIC that does not do what its node says
 */
export function interruptController(native: Native): InterruptController {
  const nodes = hardwareNodes(parseFdt(new Uint8Array(native.fdt), 'the device tree of the hardware'))
  const sourcesOf = (aplic: HardwareNode): number => aplic.cell('riscv,num-sources', 0)
  for (const aplic of nodes) {
    const [range] = aplic.ranges
    if (!aplic.compatible.includes(APLIC_COMPATIBLE) || range === undefined) continue
    const parent = aplic.cell('msi-parent', 0)
    const imsic = parent === 0 ? undefined : nodes.find(({ phandle, compatible }) => phandle === parent && compatible.includes(IMSIC_COMPATIBLE))
    const index = findSupervisorInput(nodes, imsic ?? aplic, native.bootHart)
    if (index < 0 || (parent !== 0 && (imsic === undefined || native.identities === 0))) continue
    return imsic === undefined
      ? aplicDirectDriver(native, range, index, sourcesOf(aplic), sourceModes(nodes, aplic))
      : aplicDriver(native, range, fileOf(native), index, sourcesOf(aplic), sourceModes(nodes, aplic))
  }
  return native
}
