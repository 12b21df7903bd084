import { type AddressRange, type Hardware, hardwareError, type InterruptController, registersAt } from '../hardware.ts'
import type { HardwareNode } from '../probe.ts'

/** AIA 1.0, table 4.1. Arrays begin with source 1. */
export const APLIC_REGISTER = { domaincfg: 0, sourcecfg: 0x0004, setipnum: 0x1cdc, inClrip: 0x1d00, setienum: 0x1edc, clrie: 0x1f00, clrienum: 0x1fdc, target: 0x3004 } as const
/** 4.5.1 */
export const DOMAINCFG = { interruptEnable: 0x100, msiMode: 4 } as const
/** 4.5.2 */
const SOURCE_MODE = { inactive: 0, risingEdge: 4, fallingEdge: 5, high: 6, low: 7 } as const
export const HART_SHIFT = 18
export const MOST_SOURCES = 1023

/** Modes of levels are these and above. */
export const LEVELS: number = SOURCE_MODE.high

/** Senses of a device-tree interrupt (binding `riscv,aplic`), and the modes for them. */
const MODES: ReadonlyMap<number, number> = new Map([[1, SOURCE_MODE.risingEdge], [2, SOURCE_MODE.fallingEdge], [4, SOURCE_MODE.high], [8, SOURCE_MODE.low]])

/** `compatible` of what {@link aplicDriver} drives, and of the controller that its messages go to. */
export const APLIC_COMPATIBLE = 'riscv,aplic'
export const IMSIC_COMPATIBLE = 'riscv,imsics'

/** The interrupt file of this hart for supervisor mode, of which the registers are CSRs (AIA 1.0, chapter 3). */
export interface InterruptFile {
  /** Identities that it has, `riscv,num-ids`. */
  readonly identities: number
  /** Claims the pending identity of the highest priority, `stopei`; 0 for none. */
  claim(): number
  /** Sets or clears a bit of `eie`. */
  enable(identity: number, on: boolean): void
}

/** Sources that have a sense in the device tree, and the modes that follow. */
export function sourceModes(nodes: readonly HardwareNode[], aplic: HardwareNode): ReadonlyMap<number, number> {
  const modes = new Map<number, number>()
  for (const { interrupts } of nodes) for (const { controller, cells: [source = 0, sense = 0] } of interrupts) {
    if (controller === aplic.phandle) modes.set(source, MODES.get(sense) ?? SOURCE_MODE.high)
  }
  return modes
}

/**
 * Drives an APLIC domain of supervisor level in MSI delivery mode, and the interrupt file of this hart, to which its messages go. A source has its own number as identity.
 *
 * @param file - of this hart
 * @param index - of this hart among those that the IMSIC lists
 * @param modes - by {@link sourceModes}; a source without one is a level that is high
 * @throws a typed error `'hardware-unsupported'` for a domain without messages
 */
export function aplicDriver(hardware: Hardware, range: AddressRange, file: InterruptFile, index: number, sources: number, modes: ReadonlyMap<number, number>): InterruptController {
  const registers = registersAt(hardware, range)
  const highest = Math.min(sources, MOST_SOURCES, file.identities)
  const mode = (source: number): number => modes.get(source) ?? LEVELS
  for (let word = 0; 32 * word <= Math.min(sources, MOST_SOURCES); word++) registers.write(APLIC_REGISTER.clrie + 4 * word, 0xffff_ffff)
  registers.write(APLIC_REGISTER.domaincfg, DOMAINCFG.interruptEnable | DOMAINCFG.msiMode)
  if ((registers.read(APLIC_REGISTER.domaincfg) & DOMAINCFG.msiMode) === 0) throw hardwareError('hardware-unsupported', 'aplic', 'has direct delivery alone, and no messages')
  return {
    claim() {
      const source = file.claim()
      if (source > highest) throw hardwareError('hardware-broken', 'imsic', 'claims an identity that no source has', source)
      return source
    },
    complete(source) {
      // The message of a level is sent once: while it is there it has to become pending again (4.9.3), and only then, though a domain should look itself (4.7; QEMU 7.2 does not).
      if (mode(source) >= LEVELS && (registers.read(APLIC_REGISTER.inClrip + 4 * (source >>> 5)) >>> (source & 31) & 1) === 1) registers.write(APLIC_REGISTER.setipnum, source)
    },
    enable(source, on) {
      if (source < 1 || source > highest) throw hardwareError('hardware-unsupported', 'aplic', 'has no such source, or the interrupt file no such identity', source)
      if (!on) {
        registers.write(APLIC_REGISTER.clrienum, source)
        file.enable(source, false)
        return
      }
      file.enable(source, true)
      registers.write(APLIC_REGISTER.sourcecfg + 4 * (source - 1), mode(source))
      registers.write(APLIC_REGISTER.target + 4 * (source - 1), index * 2 ** HART_SHIFT + source)
      registers.write(APLIC_REGISTER.setienum, source)
    },
  }
}
