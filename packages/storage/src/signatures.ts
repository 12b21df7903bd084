import type { ImageSample } from './format.ts'

interface Signature {
  readonly format: string
  /** Byte of the file; from the end of it when negative. */
  readonly at: number
  /** A character for each byte. */
  readonly bytes: string
}

/** What images of other programs are known by, whether or not anything here can open them. */
const signatures: readonly Signature[] = [
  { format: 'qcow', at: 0, bytes: 'QFI\xfb' },
  { format: 'qed', at: 0, bytes: 'QED\0' },
  { format: 'luks', at: 0, bytes: 'LUKS\xba\xbe' },
  { format: 'parallels', at: 0, bytes: 'WithoutFreeSpace' },
  { format: 'parallels', at: 0, bytes: 'WithouFreSpacExt' },
  { format: 'bochs', at: 0, bytes: 'Bochs Virtual HD Image' },
  { format: 'cloop', at: 0, bytes: '#!/bin/sh\n#V2.0 Format\n' },
  { format: 'cloop', at: 0, bytes: '#!/bin/sh\n#V3.0 Format\n' },
  { format: 'cloop', at: 0, bytes: '#!/bin/sh\n#V4.0 Format\n' },
  { format: 'sparseimage', at: 0, bytes: 'sprs' },
  { format: 'vmdk', at: 0, bytes: 'KDMV' },
  { format: 'vmdk (COWD)', at: 0, bytes: 'COWD' },
  { format: 'vmdk (SESparse)', at: 0, bytes: '\xbe\xba\xfe\xca\0\0\0\0' },
  { format: 'vdi', at: 64, bytes: '\x7f\x10\xda\xbe' },
  { format: 'vhdx', at: 0, bytes: 'vhdxfile' },
  { format: 'vhd', at: 0, bytes: 'conectix' },
  { format: 'ewf', at: 0, bytes: 'EVF\t\r\n\xff\0' },
  { format: 'ewf2', at: 0, bytes: 'EVF2\r\n\x81\0' },
  { format: 'aff', at: 0, bytes: 'AFF10\r\n\0' },
  { format: 'wim', at: 0, bytes: 'MSWIM\0\0\0' },
  { format: 'chd', at: 0, bytes: 'MComprHD' },
  { format: 'partclone', at: 0, bytes: 'partclone-image' },
  { format: 'Android sparse image', at: 0, bytes: '\x3a\xff\x26\xed' },
  { format: 'rbd export', at: 0, bytes: 'rbd image v' },
  { format: 'overlay of Machinist', at: 0, bytes: 'MCHNOVL1' },
  // At the end, and so behind all that may be at the beginning of the disk in such an image.
  { format: 'dmg', at: -512, bytes: 'koly\0\0\0\x04\0\0\x02\0' },
  { format: 'fixed vhd', at: -512, bytes: 'conectix' },
  // Of Virtual PC before 2004.
  { format: 'fixed vhd', at: -511, bytes: 'conectix' },
]

/** The format of images whose signature a file has; null for none that is known, as a raw image has. */
export function signatureOf({ header, trailer }: ImageSample): string | null {
  const has = ({ at, bytes }: Signature): boolean => {
    const [part, from] = at < 0 ? [trailer, trailer.length + at] : [header, at]
    if (from < 0 || from + bytes.length > part.length) return false
    for (let index = 0; index < bytes.length; index++) if (part[from + index] !== bytes.charCodeAt(index)) return false
    return true
  }
  return signatures.find(has)?.format ?? null
}
