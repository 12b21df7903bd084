import { resolve } from 'node:path'
import { unknownCommand } from '../command-line/help.ts'
import { COMMON_OPTIONS } from '../command-line/table.ts'
import { parseFlags, usageError, type Values } from '../usage.ts'
import { METAL_OPTIONS } from './options.ts'

/** The name of the command. */
export const METAL = 'metal'

/** The only one that there is a kernel for. */
const ARCHITECTURE = 'riscv64'
const SEE_HELP = 'See machinist metal build --help.'
const FLAGS = { ...METAL_OPTIONS, ...COMMON_OPTIONS } as const

/** What `machinist metal build` was asked for. */
export interface MetalOptions {
  /** The machine file. */
  readonly file: string
  /** The image to write. */
  readonly output: string
  /** The disk to make for the hardware, with the machines' disks as its images. */
  readonly datastore?: string
  readonly quiet: boolean
}

/**
 * Understands what follows `machinist metal`; null asks for help.
 *
 * @throws a typed error `'usage'`
 */
export function parseMetal(args: readonly string[]): MetalOptions | null {
  const { values, positionals }: { values: Values<typeof FLAGS>; positionals: string[] } = parseFlags(args, FLAGS, `${METAL} build`)
  if (values.help === true) return null
  const [action, file, more] = positionals
  if (action === undefined) throw usageError(METAL, 'it is not said what to do', 'Use machinist metal build FILE -o IMAGE.')
  if (action !== 'build') throw unknownCommand(`${METAL} ${action}`)
  const { output, datastore, arch = ARCHITECTURE, quiet = false } = values
  if (arch !== ARCHITECTURE) throw usageError('--arch', 'there is no kernel for this architecture', `Use ${ARCHITECTURE}.`, arch)
  if (file === undefined || file === '') throw usageError('metal build', 'the machine file is missing', SEE_HELP)
  if (more !== undefined) throw usageError('metal build', 'more than one machine file', 'Name all machines in one.', more)
  if (output === undefined || output === '') throw usageError('--output', 'it is not said where the image goes', 'Give -o IMAGE.')
  if ([output, `${output}.elf`].some((path) => resolve(path) === resolve(file))) throw usageError('--output', 'is the machine file', 'Choose another name.', output)
  if (datastore === '') throw usageError('--datastore', 'it is not said where the disk goes', 'Give --datastore DISK.')
  if (datastore !== undefined && [file, output, `${output}.elf`].some((path) => resolve(path) === resolve(datastore))) throw usageError('--datastore', 'is another file of this command', 'Choose another name.', datastore)
  return { file, output, quiet, ...(datastore !== undefined && { datastore }) }
}
