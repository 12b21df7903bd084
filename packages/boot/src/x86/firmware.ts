import { machinistError } from '@machinist/api'
import type { BootSegment } from '../riscv-boot.ts'

/** Firmware ends here, where processors begin 16 bytes before (SDM volume 3, 10.1.4); and its last part ends at 1 MiB, too, as in PCs. */
const TOP = 2 ** 32
const LOW_TOP = 2 ** 20
const LOW_SIZE = 128 * 1024
const PAGE = 4096
const MOST = 16 * 2 ** 20

/** Where firmware of a PC lies: below 4 GiB, and its last 128 KiB below 1 MiB as well. @throws a typed error for a size that no such chip has */
export function planFirmware(image: Uint8Array): Pick<BootSegment, 'part' | 'address' | 'bytes'>[] {
  if (image.length === 0 || image.length % PAGE !== 0 || image.length > MOST) {
    throw machinistError({ code: 'boot-image', part: 'firmware', value: image.length, remedy: 'Use an image for PCs: whole pages of 4096 bytes, 16 MiB at most.' }, 'firmware of such a size cannot be')
  }
  const low = image.subarray(Math.max(0, image.length - LOW_SIZE))
  return [
    { part: 'firmware', address: TOP - image.length, bytes: image },
    { part: 'firmware below 1 MiB', address: LOW_TOP - low.length, bytes: low },
  ]
}
