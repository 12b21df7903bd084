import { vdi } from '../src/vdi/vdi.ts'
import { vhd } from '../src/vhd/vhd.ts'
import { vhdx } from '../src/vhdx/vhdx.ts'
import { vmdk } from '../src/vmdk/vmdk.ts'
import type { Variant } from './against-qemu.ts'

/** Every kind of image that QEMU and we both make. */
export const variants: Readonly<Record<string, Variant>> = {
  'vdi, dynamic': { format: vdi, driver: 'vdi', parameters: {}, checks: true },
  'vdi, fixed': { format: vdi, driver: 'vdi', parameters: { subformat: 'fixed' }, checks: true, qemuOptions: 'static=on' },
  'vhd, dynamic': { format: vhd, driver: 'vpc', parameters: { subformat: 'dynamic' }, checks: false },
  'vhd, fixed': { format: vhd, driver: 'vpc', parameters: { subformat: 'fixed' }, checks: false },
  'vhdx, dynamic': { format: vhdx, driver: 'vhdx', parameters: { subformat: 'dynamic' }, checks: true },
  'vhdx, large blocks': { format: vhdx, driver: 'vhdx', parameters: { block_size: '8M' }, checks: true },
  'vhdx, fixed': { format: vhdx, driver: 'vhdx', parameters: { subformat: 'fixed' }, checks: true },
  'vmdk, monolithicSparse': { format: vmdk, driver: 'vmdk', parameters: { subformat: 'monolithicSparse' }, checks: true },
  'vmdk, monolithicFlat': { format: vmdk, driver: 'vmdk', parameters: { subformat: 'monolithicFlat' }, checks: true },
  'vmdk, twoGbMaxExtentSparse': { format: vmdk, driver: 'vmdk', parameters: { subformat: 'twoGbMaxExtentSparse' }, checks: true },
  'vmdk, twoGbMaxExtentFlat': { format: vmdk, driver: 'vmdk', parameters: { subformat: 'twoGbMaxExtentFlat' }, checks: true },
}
