import { type AddressRange, type Hardware, hardwareError, type InterruptController, registersAt } from '../hardware.ts'
import { APLIC_REGISTER, DOMAINCFG, HART_SHIFT, LEVELS, MOST_SOURCES } from './aplic.ts'

/** Interrupt delivery control of a hart (AIA 1.0, 4.8.1). */
const IDC = { base: 0x4000, stride: 32, idelivery: 0, iforce: 4, ithreshold: 8, claimi: 0x1c } as const
const CLAIMED_SHIFT = 16
/** The highest, of all that there are. */
const PRIORITY = 1

/**
 * Drives an APLIC domain of supervisor level that interrupts harts itself, without messages (AIA 1.0, 4.8).
 *
 * @param index - of this hart among those that the domain interrupts
 * @param modes - by {@link sourceModes}; a source without one is a level that is high
 * @throws a typed error `'hardware-unsupported'` for a domain with messages alone
 */
export function aplicDirectDriver(hardware: Hardware, range: AddressRange, index: number, sources: number, modes: ReadonlyMap<number, number>): InterruptController {
  const registers = registersAt(hardware, range)
  const highest = Math.min(sources, MOST_SOURCES)
  const own = IDC.base + IDC.stride * index
  for (let word = 0; 32 * word <= highest; word++) registers.write(APLIC_REGISTER.clrie + 4 * word, 0xffff_ffff)
  registers.write(APLIC_REGISTER.domaincfg, DOMAINCFG.interruptEnable)
  if ((registers.read(APLIC_REGISTER.domaincfg) & DOMAINCFG.msiMode) !== 0) throw hardwareError('hardware-unsupported', 'aplic', 'has messages alone, and no direct delivery')
  registers.write(own + IDC.iforce, 0)
  registers.write(own + IDC.ithreshold, 0)
  registers.write(own + IDC.idelivery, 1)
  return {
    claim() {
      const source = registers.read(own + IDC.claimi) >>> CLAIMED_SHIFT
      if (source > highest) throw hardwareError('hardware-broken', 'aplic', 'claims a source that does not exist', source)
      return source
    },
    // A level stays pending as long as it is there, and an edge was over when it was claimed (4.7).
    complete: () => undefined,
    enable(source, on) {
      if (source < 1 || source > highest) throw hardwareError('hardware-unsupported', 'aplic', 'has no such source', source)
      if (!on) {
        registers.write(APLIC_REGISTER.clrienum, source)
        return
      }
      registers.write(APLIC_REGISTER.sourcecfg + 4 * (source - 1), modes.get(source) ?? LEVELS)
      registers.write(APLIC_REGISTER.target + 4 * (source - 1), index * 2 ** HART_SHIFT + PRIORITY)
      registers.write(APLIC_REGISTER.setienum, source)
    },
  }
}
