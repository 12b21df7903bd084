import { parseFlags, SEE_HELP, usageError, type Values } from '../usage.ts'
import { COMMON_OPTIONS } from '../command-line/table.ts'
import { parseArchitecture } from '../architecture.ts'
import type { GuestArchitecture } from '../guest/index.ts'
import { TRANSLATE_OPTIONS } from './options.ts'

/** What `machinist translate` was asked for. */
export interface TranslateOptions {
  readonly file: string
  /** A guest-virtual address, or the name of a symbol. */
  readonly at: string
  /** What it is for: what an ELF file is for, or RISC-V, unless given. */
  readonly arch?: GuestArchitecture
  /** Where a flat file lies. */
  readonly base?: bigint
  /** Most instructions. */
  readonly instructions?: number
  /** Where to write the module. */
  readonly wasm?: string
}

/** The name of the command. */
export const TRANSLATE = 'translate'

/** A page has no more. */
const MOST_INSTRUCTIONS = 2048

const FLAGS = { ...TRANSLATE_OPTIONS, ...COMMON_OPTIONS } as const

/** A hexadecimal address of 64 bits, with or without `0x`; null for anything else. */
export function parseAddress(text: string): bigint | null {
  const digits = /^(?:0x)?([0-9a-f]+(?:_[0-9a-f]+)*)$/i.exec(text)?.[1]?.replaceAll('_', '').replace(/^0+(?=.)/, '')
  return digits === undefined || digits.length > 16 ? null : BigInt(`0x${digits}`)
}

/**
 * Understands the command line behind `translate`.
 *
 * @returns null when help is wanted
 * @throws a typed error `usage`
 */
export function parseTranslate(args: readonly string[]): TranslateOptions | null {
  const { values, positionals }: { values: Values<typeof FLAGS>; positionals: string[] } = parseFlags(args, FLAGS, TRANSLATE)
  if (values.help === true) return null
  const [file, more] = positionals
  if (file === undefined || file === '') throw usageError(TRANSLATE, 'no file is given', 'Use machinist translate FILE --at ADDRESS.')
  if (more !== undefined) throw usageError(TRANSLATE, 'more than one file', SEE_HELP, more)
  const { at, arch, base, instructions, wasm } = values
  if (at === undefined || at === '') throw usageError('--at', 'it is not said where to begin', 'Give an address, such as --at 0x80000000, or a symbol of an ELF file.')
  const address = base === undefined ? undefined : parseAddress(base)
  if (address === null) throw usageError('--base', 'not an address', 'Use a hexadecimal number of up to 64 bits, such as 0x80000000.', base)
  const limit = instructions === undefined ? undefined : /^[0-9]{1,9}$/.test(instructions) ? Number(instructions) : 0
  if (limit !== undefined && (limit < 1 || limit > MOST_INSTRUCTIONS)) {
    throw usageError('--instructions', 'not a number of instructions', `Use 1 to ${MOST_INSTRUCTIONS}, which is what a page holds at most.`, instructions)
  }
  if (wasm === '') throw usageError('--wasm', 'no path is given', SEE_HELP)
  return {
    file,
    at,
    ...(arch !== undefined && { arch: parseArchitecture(arch) }),
    ...(address !== undefined && { base: address }),
    ...(limit !== undefined && { instructions: limit }),
    ...(wasm !== undefined && { wasm }),
  }
}
