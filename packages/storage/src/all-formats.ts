import type { DiskFormat } from './format.ts'
import { bochs } from './bochs/bochs.ts'
import { cloop } from './cloop/cloop.ts'
import { dmg } from './dmg/dmg.ts'
import { parallels } from './parallels/parallels.ts'
import { qcow } from './qcow/qcow.ts'
import { qcow2 } from './qcow2/index.ts'
import { rawFormat } from './raw-format.ts'
import { vdi } from './vdi/vdi.ts'
import { vhd } from './vhd/vhd.ts'
import { vhdx } from './vhdx/vhdx.ts'
import { vmdk } from './vmdk/vmdk.ts'

/** Every format of this package, for `OpenOptions.formats`; raw, which nothing shows, is the last. */
export const diskFormats: readonly DiskFormat[] = [
  // Before qcow2, whose signature it has, with another version.
  qcow,
  qcow2,
  vmdk,
  vdi,
  vhdx,
  vhd,
  parallels,
  bochs,
  cloop,
  dmg,
  rawFormat,
]
