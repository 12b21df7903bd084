import { type Hardware, hardwareError, registersAt } from './hardware.ts'
import type { HardwareNode } from './probe.ts'

/** `compatible` of what is driven: bindings `syscon-poweroff` and `syscon-reboot`. */
const POWEROFF = 'syscon-poweroff'
const REBOOT = 'syscon-reboot'
/** SiFive's test finisher, which takes a status above the code for a failure. */
const FINISHER = 'sifive,test0'
const FINISHER_FAIL = 0x3333
const ALL = 0xffff_ffff

/** Ends or restarts the hardware. Both return when it does not obey. */
export interface HardwarePower {
  /** @param status - 0 for success; told where the hardware has a place for it */
  off(status?: number): void
  reset(): void
}

/** The write that a node stands for. @throws a typed error `'hardware-unsupported'` */
function switchOf(hardware: Hardware, nodes: readonly HardwareNode[], compatible: string): (status: number) => void {
  const node = nodes.find((each) => each.compatible.includes(compatible))
  if (node === undefined) return () => {}
  const regmap = nodes.find(({ phandle }) => phandle !== 0 && phandle === node.cell('regmap', 0))
  const [range] = regmap?.ranges ?? []
  if (regmap === undefined || range === undefined) throw hardwareError('hardware-unsupported', node.path, 'names no registers')
  const offset = node.cell('offset', 0)
  if (offset % 4 !== 0 || offset + 4 > range.length) throw hardwareError('hardware-unsupported', node.path, 'has a register that does not exist', offset)
  const [givenValue] = node.cells('value')
  const [givenMask] = node.cells('mask')
  // `mask` alone is the older binding.
  const value = givenValue ?? givenMask
  const mask = givenValue === undefined ? ALL : givenMask ?? ALL
  if (value === undefined) throw hardwareError('hardware-unsupported', node.path, 'does not say what to write')
  const registers = registersAt(hardware, range)
  const finisher = regmap.compatible.includes(FINISHER) && compatible === POWEROFF
  return (status) => {
    if (finisher && status !== 0) return registers.write(offset, (FINISHER_FAIL | (status & 0xffff) << 16) >>> 0)
    const kept = mask === ALL ? 0 : registers.read(offset) & ~mask
    registers.write(offset, (kept | (value & mask)) >>> 0)
  }
}

/**
 * The switches that a device tree names.
 *
 * @throws a typed error `'hardware-unsupported'` for one that makes no sense; where there is none, the methods do nothing
 */
export function sysconPower(hardware: Hardware, nodes: readonly HardwareNode[]): HardwarePower {
  const [off, reset] = [switchOf(hardware, nodes, POWEROFF), switchOf(hardware, nodes, REBOOT)]
  return { off(status = 0) { off(status) }, reset() { reset(0) } }
}
