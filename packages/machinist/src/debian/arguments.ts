import { readFileSync } from 'node:fs'
import { fileError } from '@machinist/host-node'
import { parseNumber } from '@machinist/machine'
import { parseArchitecture } from '../architecture.ts'
import { unknownCommand } from '../command-line/help.ts'
import { parseFlags, SEE_HELP, usageError, type Values } from '../usage.ts'
import type { DebianDiskOptions } from './build.ts'
import { COMMON_OPTIONS } from '../command-line/table.ts'
import { DEBIAN_OPTIONS } from './options.ts'

/** The subcommand. */
export const DEBIAN = 'debian'
const DEFAULT_OUTPUT = 'debian.qcow2'
/** Less, and the system does not fit. */
const MIN_SIZE = 2 ** 30
const MAX_SIZE = 2 ** 44

const FLAGS = { ...DEBIAN_OPTIONS, ...COMMON_OPTIONS } as const

/** What `machinist debian build` was asked for. */
export interface DebianOptions extends DebianDiskOptions {
  readonly quiet: boolean
}

function parseSize(value: string): number {
  let bytes = 0
  try {
    bytes = parseNumber(value, '--size')
  } catch {
    // Refused below.
  }
  if (bytes < MIN_SIZE || bytes > MAX_SIZE) throw usageError('--size', 'not a size of a disk', 'Use a number with a unit, such as 4G; 1G at least.', value)
  return bytes
}

/** A public key's line, or a file of such lines. */
function parseKeys(value: string): readonly string[] {
  const lines = (text: string): string[] => text.split('\n').map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'))
  const isKey = (line: string): boolean => /^(?:ssh|ecdsa|sk)-[\w@.-]+ [\w+/=]+/.test(line)
  if (isKey(value)) return [value.trim()]
  let text: string
  try {
    text = readFileSync(value, 'utf8')
  } catch (error) {
    throw fileError(error, '--ssh-key', value)
  }
  const keys = lines(text)
  if (keys.length === 0 || !keys.every(isKey)) throw usageError('--ssh-key', 'not a file of public keys', 'Name one such as ~/.ssh/id_ed25519.pub.', value)
  return keys
}

/**
 * Understands what follows `machinist debian`; null asks for help.
 *
 * @throws a typed error `'usage'`
 */
export function parseDebian(args: readonly string[]): DebianOptions | null {
  const { values, positionals }: { values: Values<typeof FLAGS>; positionals: string[] } = parseFlags(args, FLAGS, DEBIAN)
  if (values.help === true) return null
  if (positionals[0] !== undefined && positionals[0] !== 'build') throw unknownCommand(`${DEBIAN} ${positionals[0]}`)
  if (positionals.length !== 1) throw usageError(DEBIAN, 'needs to know what to do', 'Use machinist debian build.', positionals.join(' '))
  const output = values.output ?? DEFAULT_OUTPUT
  if (output === '') throw usageError('--output', 'no path is given', SEE_HELP)
  const { hostname } = values
  if (hostname !== undefined && !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(hostname)) {
    throw usageError('--hostname', 'not a name of a host', 'Use up to 63 letters, digits and hyphens.', hostname)
  }
  const packages = (values.packages ?? []).flatMap((list) => list.split(',')).map((name) => name.trim()).filter((name) => name !== '')
  const strange = packages.find((name) => !/^[a-z0-9][a-z0-9+.-]+$/.test(name))
  if (strange !== undefined) throw usageError('--packages', 'not the name of a package', 'Use names with commas between them, such as git,vim.', strange)
  const rootPassword = values['root-password']
  if (rootPassword !== undefined && (rootPassword === '' || /[\n\0]/.test(rootPassword))) {
    throw usageError('--root-password', 'not a password', 'Leave it out for a root without a password.')
  }
  return {
    output, packages,
    ...(values.arch !== undefined && { architecture: parseArchitecture(values.arch) }),
    ...(values.size !== undefined && { size: parseSize(values.size) }),
    ...(hostname !== undefined && { hostname }),
    ...(rootPassword !== undefined && { rootPassword }),
    sshKeys: (values['ssh-key'] ?? []).flatMap(parseKeys),
    fresh: values.fresh ?? false,
    quiet: values.quiet ?? false,
  }
}
