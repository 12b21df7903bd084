import type { DiskFormat } from './format.ts'
import { qcow2 } from './qcow2/index.ts'
import { rawFormat } from './raw-format.ts'

/** Every format of this package, for `OpenOptions.formats`; raw, which nothing shows, is the last. */
export const diskFormats: readonly DiskFormat[] = [
  qcow2,
  rawFormat,
]
