import { type AddressRange, type Hardware, hardwareError, type InterruptController, registersAt } from '../hardware.ts'
import type { HardwareNode } from '../probe.ts'

/** PLIC 1.0.0, memory map. */
const REGISTER = { priority: 0, enable: 0x2000, threshold: 0x20_0000, claim: 0x20_0004 } as const
const ENABLE_STRIDE = 0x80
const CONTEXT_STRIDE = 0x1000
const MOST_SOURCES = 1023
/** The least that interrupts with a threshold of 0. */
const PRIORITY = 1
/** Of a hart: interrupts of the platform for supervisor mode (`scause` 9). */
const SUPERVISOR_EXTERNAL = 9

/** `compatible` of what {@link plicDriver} drives. */
export const PLIC_COMPATIBLE: readonly string[] = ['sifive,plic-1.0.0', 'riscv,plic0', 'thead,c900-plic']

/** The same as {@link supervisorInput}, or -1 when there is none. */
export function findSupervisorInput(nodes: readonly HardwareNode[], controller: HardwareNode, hart: number): number {
  const cpu = nodes.find((node) => /^\/cpus\/[^/]+$/.test(node.path) && node.cells('reg').at(-1) === hart)
  const own = nodes.find((node) => cpu !== undefined && node.path.startsWith(`${cpu.path}/`) && node.compatible.includes('riscv,cpu-intc'))
  return own === undefined ? -1 : controller.interrupts.findIndex(({ controller: to, cells }) => to === own.phandle && cells[0] === SUPERVISOR_EXTERNAL)
}

/**
 * The input of a controller that interrupts a hart in supervisor mode: of a PLIC its context, of an IMSIC its file.
 *
 * @param hart - as `mhartid` has it
 * @throws a typed error `'hardware-unsupported'` when there is none
 */
export function supervisorInput(nodes: readonly HardwareNode[], controller: HardwareNode, hart: number): number {
  const found = findSupervisorInput(nodes, controller, hart)
  if (found < 0) throw hardwareError('hardware-unsupported', controller.path, 'does not interrupt this hart in supervisor mode', hart)
  return found
}

/**
 * Drives a PLIC for one context. All its sources are switched off at first.
 *
 * @param sources - the highest source, `riscv,ndev`
 */
export function plicDriver(hardware: Hardware, range: AddressRange, context: number, sources: number): InterruptController {
  const registers = registersAt(hardware, range)
  const highest = Math.min(sources, MOST_SOURCES)
  const enableAt = (source: number): number => REGISTER.enable + ENABLE_STRIDE * context + 4 * (source >>> 5)
  const claimAt = REGISTER.claim + CONTEXT_STRIDE * context
  for (let source = 0; source <= highest; source += 32) registers.write(enableAt(source), 0)
  registers.write(REGISTER.threshold + CONTEXT_STRIDE * context, 0)
  /** What is switched on, by word: nobody else changes it. */
  const enabled = new Uint32Array(32)
  return {
    claim() {
      const source = registers.read(claimAt)
      if (source > highest) throw hardwareError('hardware-broken', 'plic', 'claims a source that does not exist', source)
      return source
    },
    complete(source) { registers.write(claimAt, source) },
    enable(source, on) {
      if (source < 1 || source > highest) throw hardwareError('hardware-unsupported', 'plic', 'has no such source', source)
      const word = source >>> 5
      const bit = 1 << (source & 31)
      enabled[word] = on ? (enabled[word] ?? 0) | bit : (enabled[word] ?? 0) & ~bit
      if (on) registers.write(REGISTER.priority + 4 * source, PRIORITY)
      registers.write(enableAt(source), enabled[word] ?? 0)
    },
  }
}
