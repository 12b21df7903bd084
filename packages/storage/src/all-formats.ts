import type { DiskFormat } from './format.ts'
import { qcow2 } from './qcow2/index.ts'
import { rawFormat } from './raw-format.ts'
import { vdi } from './vdi/vdi.ts'
import { vhd } from './vhd/vhd.ts'
import { vhdx } from './vhdx/vhdx.ts'
import { vmdk } from './vmdk/vmdk.ts'

/** Every format of this package, for `OpenOptions.formats`; raw, which nothing shows, is the last. */
export const diskFormats: readonly DiskFormat[] = [
  qcow2,
  vmdk,
  vdi,
  vhdx,
  vhd,
  rawFormat,
]
