import { isMachinistError } from '@machinist/api'
import { systemCode } from '@machinist/host-node'
import { parseCommand } from './arguments.ts'
import { completion } from './command-line/completion.ts'
import { helpText } from './command-line/help.ts'
import { manualPage } from './command-line/manual.ts'
import { styled } from './command-line/style.ts'
import { runDaemonCommand } from './daemon/daemon.ts'
import { runDatastore } from './datastore/datastore.ts'
import { debian } from './debian/index.ts'
import { runDisk } from './disk/disk.ts'
import { errorText } from './hints.ts'
import { metal } from './metal/build.ts'
import { profile } from './profile/index.ts'
import { replay } from './recording/replay.ts'
import { run } from './run.ts'
import { restore } from './snapshot/restore.ts'
import { runTree } from './snapshot/run-tree.ts'
import { runSnapshot } from './snapshot/snapshot.ts'
import { translate } from './translate/translate.ts'
import { USAGE_ERROR } from './usage.ts'
import { version } from './version.ts'

/** Errors that the command line caused, although another part found them. */
const USAGE_CODES: readonly string[] = [USAGE_ERROR, 'virt-option', 'nat-option']

/** The day of a manual page: that of the sources where a build says it (SOURCE_DATE_EPOCH), else today. */
function today(): string {
  const epoch = Number(process.env['SOURCE_DATE_EPOCH'])
  return new Date(epoch > 0 ? epoch * 1000 : Date.now()).toISOString().slice(0, 10)
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
        process.stdout.write(helpText(command.topic, (text) => styled(process.stdout, 'bold', text)))
        return 0
      case 'manual':
        process.stdout.write(manualPage(version(), today()))
        return 0
      case 'completion':
        process.stdout.write(completion(command.shell))
        return 0
      case 'version':
        process.stdout.write(`machinist ${version()}\n`)
        return 0
      case 'run':
        return await (command.options.snapshots === undefined ? run(command.options) : runTree(command.options, command.options.snapshots))
      case 'restore':
        return await restore(command.file, command.words)
      case 'replay':
        return await replay(command.choice)
      case 'relay':
        return await (await import('./relay/run.ts')).runRelay(command.options)
      case 'translate':
        // Whoever reads it may have seen enough.
        process.stdout.on('error', (error) => {
          if (systemCode(error) !== 'EPIPE') throw error
        })
        process.stdout.write(translate(command.options))
        return 0
      case 'snapshot':
        return await runSnapshot(command.options)
      case 'fleet':
        // Loaded only where it is needed: other commands start sooner.
        return await (await import('./fleet/run.ts')).runFleet(command.command)
      case 'disk':
        return await runDisk(command.options)
      case 'daemon':
        return await runDaemonCommand(command.options, version())
      case 'datastore':
        return await runDatastore(command.options)
      case 'debian':
        return await debian(command.options)
      case 'metal':
        return await metal(command.options)
      case 'profile':
        return await profile(command.options, command.profile)
    }
  } catch (error) {
    const name = styled(process.stderr, 'red', 'machinist:')
    if (!isMachinistError(error)) {
      process.stderr.write(`${name} ${error instanceof Error ? error.stack ?? error.message : String(error)}\n`)
      return 1
    }
    process.stderr.write(`${name} ${errorText(error)}\n`)
    return USAGE_CODES.includes(error.code) ? 2 : 1
  }
}
