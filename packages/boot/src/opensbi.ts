/**
 * What OpenSBI's fw_dynamic firmware finds through a2 (OpenSBI, docs/firmware/fw_dynamic.md and
 * include/sbi/fw_dynamic.h): six machine words.
 */
const DYNAMIC_MAGIC = 0x4942_534fn
const DYNAMIC_VERSION = 2n
const NEXT_MODE_SUPERVISOR = 1n
/** `boot_hart`: whichever hart wins. */
const ANY_HART = 0xffff_ffff_ffff_ffffn

/** Bytes of the structure on a 64-bit hart. */
export const FW_DYNAMIC_INFO_SIZE = 48

/** `struct fw_dynamic_info`, version 2, for RV64: go on at `next` in S-mode. */
export function fwDynamicInfo(next: number): Uint8Array {
  const bytes = new Uint8Array(FW_DYNAMIC_INFO_SIZE)
  const view = new DataView(bytes.buffer)
  const options = 0n
  const words = [DYNAMIC_MAGIC, DYNAMIC_VERSION, BigInt(next), NEXT_MODE_SUPERVISOR, options, ANY_HART]
  words.forEach((word, index) => view.setBigUint64(index * 8, word, true))
  return bytes
}
