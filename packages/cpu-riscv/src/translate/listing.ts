import { machinistError } from '@machinist/api'
import { PAGE_SIZE } from '@machinist/memory'
import { listRegion, type PageTranslation, type PageTranslationOptions } from '@machinist/translator'
import { hartLayout } from '../hart-layout.ts'
import { decode, emptyDecoded } from '../isa/decoder.ts'
import { disassemble } from '../isa/disassembler.ts'
import { floatRegisterNames, registerNames } from '../isa/names.ts'
import { floatRegister } from './region-stage.ts'
import { Regions } from './regions.ts'

/**
 * Translates a page of code without a machine, as an engine does once the page is hot, and shows what comes out. An
 * engine leaves out what was never executed; here all code that can be reached counts as executed.
 *
 * @param code - the page's bytes, 4096 or fewer; what is missing is no code
 * @param entries - offsets where control arrives
 * @throws typed `no-instruction` when none that can be translated begins at an entry, `code-length` for a longer page
 */
export function translatePage(code: Uint8Array, entries: readonly number[], options: PageTranslationOptions = {}): PageTranslation {
  if (code.length > PAGE_SIZE) throw machinistError({ code: 'code-length', part: 'translatePage', value: code.length, remedy: `Give at most ${PAGE_SIZE} bytes` }, 'more than a page')
  const { address = 0n } = options
  const page = new DataView(new ArrayBuffer(PAGE_SIZE))
  new Uint8Array(page.buffer).set(code)
  const bitsAt = (offset: number): number => {
    const half = page.getUint16(offset, true)
    return (half & 3) !== 3 || offset + 4 > PAGE_SIZE ? half : page.getUint32(offset, true)
  }
  const decoded = emptyDecoded()
  const reached = (offset: number): boolean =>
    offset % 2 === 0 && offset + 2 <= code.length && decode(bitsAt(offset), decoded).number !== 0 && offset + decoded.length <= code.length
  for (const entry of entries) {
    if (reached(entry)) continue
    const value = `0x${BigInt.asUintN(64, address + BigInt(entry)).toString(16)}`
    throw machinistError({ code: 'no-instruction', part: 'page', value, remedy: 'Give the address of an instruction that lies wholly in one page' }, 'no instruction that can be translated begins there')
  }
  const regions = new Regions(0, false)
  return listRegion({ roots: entries, arrivals: [], ...regions.page(() => page, reached, hartLayout.size) }, regions, {
    instruction: (offset, length) => {
      const bits = bitsAt(offset)
      return { code: bits.toString(16).padStart(length * 2, '0'), text: disassemble(bits, address + BigInt(offset)).text }
    },
    register: registerName,
    field: (offset) => fieldAt.get(offset),
  }, options)
}

/** The ABI name of one of the translator's registers. */
function registerName(register: number): string {
  const first = floatRegister(0)
  return (register < first ? registerNames[register + 1] : floatRegisterNames[register - first]) ?? `r${register}`
}

/** Fields of the hart's record but for registers, whose locals have their names. */
const fieldAt: ReadonlyMap<number, string> = new Map(Object.entries(hartLayout.offset).filter(([name]) => name !== 'x' && name !== 'f').map(([name, offset]) => [offset, name]))
