import { readFileSync } from 'node:fs'
import { isMachinistError } from '@machinist/api'
import { systemCode } from '@machinist/host-node'
import { parseCommand } from './arguments.ts'
import { debian } from './debian/index.ts'
import { runDisk } from './disk/disk.ts'
import { DISK_HELP } from './disk/help.ts'
import { HELP } from './help.ts'
import { profile } from './profile/index.ts'
import { run } from './run.ts'
import { translate } from './translate/translate.ts'
import { USAGE_ERROR } from './usage.ts'

/** Errors that the command line caused, although another part found them. */
const USAGE_CODES: readonly string[] = [USAGE_ERROR, 'virt-option', 'nat-option']

/** The version of this package. */
export function version(): string {
  const about = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string }
  return about.version
}

/**
 * The `machinist` command.
 *
 * @param args - without the program's own name
 * @returns the exit status
 */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const command = parseCommand(args)
    switch (command.kind) {
      case 'help':
        process.stdout.write(HELP)
        return 0
      case 'version':
        process.stdout.write(`machinist ${version()}\n`)
        return 0
      case 'run':
        return await run(command.options)
      case 'translate':
        // Whoever reads it may have seen enough.
        process.stdout.on('error', (error) => {
          if (systemCode(error) !== 'EPIPE') throw error
        })
        process.stdout.write(translate(command.options))
        return 0
      case 'disk':
        return await runDisk(command.options)
      case 'disk-help':
        process.stdout.write(DISK_HELP)
        return 0
      case 'debian':
        return await debian(command.options)
      case 'profile':
        return await profile(command.options, command.profile)
    }
  } catch (error) {
    if (!isMachinistError(error)) {
      process.stderr.write(`machinist: ${error instanceof Error ? error.stack ?? error.message : String(error)}\n`)
      return 1
    }
    process.stderr.write(`machinist: ${error.message}\n`)
    return USAGE_CODES.includes(error.code) ? 2 : 1
  }
}
