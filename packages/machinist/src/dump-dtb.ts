import { writeFileSync } from 'node:fs'
import { fdtText } from '@machinist/boot'
import { fileError } from '@machinist/host-node'

/** The path that stands for standard output. */
const STDOUT = '-'

/**
 * Writes a device tree: a blob, or source where the path ends with `.dts` or is `-`, which is standard output.
 *
 * @throws typed errors `'file-…'`
 */
export function dumpDtb(blob: Uint8Array, path: string): void {
  if (path === STDOUT) {
    process.stdout.write(fdtText(blob))
    return
  }
  try {
    writeFileSync(path, path.toLowerCase().endsWith('.dts') ? fdtText(blob) : blob)
  } catch (error) {
    throw fileError(error, '--dump-dtb', path)
  }
}
