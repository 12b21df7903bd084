import { machinistError } from '@machinist/api'
import { PAGE_SIZE } from '@machinist/memory'
import { listRegion, type PageTranslation, type PageTranslationOptions } from '@machinist/translator'
import { decode, MAX_LENGTH } from '../decode/decoder.ts'
import { floatLayout } from '../emit/float-state.ts'
import { FLOAT_AT, x86Layout } from '../emit/layout.ts'
import { DenseKey } from '../emit/op-format.ts'
import { disassemble } from '../isa/disassembler.ts'
import { registerName } from '../isa/names.ts'
import { lackedBy } from '../model/forms.ts'
import { models } from '../model/models.ts'
import { Regions } from './regions.ts'
import { Kept } from './registers.ts'

/** What {@link translatePage} may be told. */
export interface X86PageOptions extends PageTranslationOptions {
  /** Bits of the code: 64 unless given, or 32, whose segments are flat. */
  readonly mode?: 32 | 64
}

/**
 * Translates a page of code without a machine, as an engine does once the page is hot, and shows what comes out. An
 * engine leaves out what was never executed; here all code that can be reached counts as executed, for a processor that has all instructions.
 *
 * @param code - the page's bytes, 4096 or fewer; what is missing is no code
 * @param entries - offsets where control arrives
 * @throws typed `no-instruction` when none begins at an entry, `code-length` for a longer page
 */
export function translatePage(code: Uint8Array, entries: readonly number[], options: X86PageOptions = {}): PageTranslation {
  if (code.length > PAGE_SIZE) throw machinistError({ code: 'code-length', part: 'translatePage', value: code.length, remedy: `Give at most ${PAGE_SIZE} bytes` }, 'more than a page')
  const { address = 0n, mode = 64 } = options
  const bytes = new Uint8Array(PAGE_SIZE)
  bytes.set(code)
  const lacks = lackedBy(models.max)
  const reached = (offset: number): boolean => {
    const found = offset < 0 || offset >= code.length ? 'none' : decode(bytes.subarray(offset, offset + MAX_LENGTH), mode, lacks)
    return typeof found !== 'string' && offset + found.length <= code.length
  }
  for (const entry of entries) {
    if (reached(entry)) continue
    const value = `0x${BigInt.asUintN(mode, address + BigInt(entry)).toString(16)}`
    throw machinistError({ code: 'no-instruction', part: 'page', value, remedy: 'Give the address of an instruction that lies wholly in one page' }, 'no instruction that can be translated begins there')
  }
  const regions = new Regions(0, false, lacks)
  const source = { roots: entries, arrivals: [], ...regions.page(() => new DataView(bytes.buffer), reached, x86Layout.size, mode === 64 ? DenseKey.long : DenseKey.flat) }
  return listRegion(source, regions, {
    instruction: (offset, length) => ({
      code: [...bytes.subarray(offset, offset + length)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
      text: disassemble(bytes.subarray(offset, offset + MAX_LENGTH), mode, address + BigInt(offset)).text,
    }),
    register: (number) => nameOf(number, mode),
    field: fieldAt,
  }, options)
}

const flagNames: ReadonlyMap<number, string> = new Map(Object.entries(Kept).filter(([name]) => name !== 'vectors').map(([name, number]) => [number, `flags.${name}`]))

/** What a local is called that has one of the translator's registers, or is of the flags: see `Kept`. */
function nameOf(number: number, mode: 32 | 64): string {
  if (number >= Kept.vectors) return `xmm${number - Kept.vectors}`
  return flagNames.get(number) ?? registerName(number, mode === 64 ? 8 : 4, true)
}

/** Fields of the processor's record in the order of their offsets, those of the FPU among them. */
const fields: readonly (readonly [offset: number, name: string])[] = [
  ...Object.entries(x86Layout.offset).map(([name, offset]) => [offset, name] as const),
  ...Object.entries(floatLayout.offset).map(([name, offset]) => [FLOAT_AT + offset, `float.${name}`] as const),
].sort(([a], [b]) => a - b)
/** Registers have locals with their names. */
const known: ReadonlySet<string> = new Set(['registers', 'float.vectors'])

function fieldAt(offset: number): string | undefined {
  const name = fields.findLast(([at]) => at <= offset)?.[1]
  return name === undefined || known.has(name) ? undefined : name
}
