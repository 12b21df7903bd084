import { writeFileSync } from 'node:fs'
import { translatePage as translateRiscv } from '@machinist/cpu-riscv'
import { translatePage as translateX86 } from '@machinist/cpu-x86'
import { fileError, readWhole } from '@machinist/host-node'
import { LIMITS, type PageTranslation, type PageTranslationOptions } from '@machinist/translator'
import type { GuestArchitecture } from '../guest/index.ts'
import type { TranslateOptions } from './arguments.ts'
import { listing, loops } from './listing.ts'
import { FILE, findAddress, hex, pageBytes, readProgram } from './program.ts'

const PAGE_MASK = 4095n
/** Columns of WebAssembly text. */
const WIDTH = 84

function translatePage(architecture: GuestArchitecture, code: Uint8Array, entry: number, options: PageTranslationOptions): PageTranslation {
  if (architecture === 'riscv64') return translateRiscv(code, [entry], options)
  return translateX86(code, [entry], { mode: architecture === 'amd64' ? 64 : 32, ...options })
}

const count = (number: number, one: string, many: string = `${one}s`): string => `${number} ${number === 1 ? one : many}`

/**
 * Shows how guest code becomes WebAssembly: what `machinist translate` prints.
 *
 * @throws typed errors
 */
export function translate({ file, at, arch, base, instructions, wasm }: TranslateOptions): string {
  const program = readProgram(readWhole(file, FILE), base, arch)
  const address = findAddress(program, at)
  const page = address & ~PAGE_MASK
  const translation = translatePage(program.architecture, pageBytes(program, page), Number(address - page), { address: page, width: WIDTH, ...(instructions !== undefined && { instructions }) })
  if (wasm !== undefined) {
    try {
      writeFileSync(wasm, translation.wasm)
    } catch (error) {
      throw fileError(error, '--wasm', wasm)
    }
  }
  const { blocks, nesting } = translation
  const total = new Set(blocks.flatMap((block) => block.instructions.map((instruction) => instruction.address))).size
  const figures = [
    `${count(total, 'instruction')}${total >= (instructions ?? LIMITS.enough) ? ', which is the limit' : ''}`,
    count(blocks.length, 'block'),
    count(blocks.filter(({ entry }) => entry !== null).length, 'entry', 'entries'),
    count(loops(nesting).length, 'loop'),
    `a module of ${count(translation.wasm.length, 'byte')}`,
  ]
  return `Page ${hex(page)}, from ${hex(address)}: ${figures.join('; ')}\n\n${listing(translation)}`
}
