import { DAEMON_COMMANDS } from '../daemon/options.ts'
import { DATASTORE_COMMANDS } from '../datastore/options.ts'
import { DEBIAN_COMMAND } from '../debian/options.ts'
import { DISK_COMMANDS } from '../disk/options.ts'
import { METAL_COMMAND } from '../metal/options.ts'
import { REPLAY_COMMAND } from '../recording/options.ts'
import { RELAY_COMMAND } from '../relay/options.ts'
import { FLEET_COMMANDS } from '../fleet/options.ts'
import { PROFILE_COMMAND, RESTORE_COMMAND, RUN_COMMAND } from '../run-options.ts'
import { SNAPSHOT_COMMANDS } from '../snapshot/options.ts'
import { TRANSLATE_COMMAND } from '../translate/options.ts'
import { COMMON_OPTIONS, type CommandInfo } from './table.ts'

/** The shells for which there is a completion. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const

/** Options of `machinist help`, besides those of every command. */
export const HELP_OPTIONS = {
  man: { type: 'boolean', forms: [['', 'the manual page machinist(1), for man: machinist help --man | man -l -']] },
} as const

const HELP_COMMAND: CommandInfo = {
  name: 'help',
  summary: 'show what a command does, and its options',
  usage: [['[COMMAND]']],
  groups: [{ title: 'Options', options: { ...HELP_OPTIONS, ...COMMON_OPTIONS } }],
  examples: ['disk convert'],
}

const COMPLETION_COMMAND: CommandInfo = {
  name: 'completion',
  summary: 'write what a shell needs to complete the words of machinist',
  usage: [['bash|zsh|fish']],
  groups: [{ title: 'Options', options: COMMON_OPTIONS }],
  offers: SHELLS,
  notes: [
    'bash: put this into ~/.bashrc: eval "$(machinist completion bash)"',
    'zsh: put this into ~/.zshrc, behind compinit: eval "$(machinist completion zsh)"',
    'fish: machinist completion fish > ~/.config/fish/completions/machinist.fish',
  ],
}

/** Every command of the command line, in the order of its help. */
export const COMMANDS: readonly CommandInfo[] = [RUN_COMMAND, RESTORE_COMMAND, REPLAY_COMMAND, ...SNAPSHOT_COMMANDS, ...DAEMON_COMMANDS, ...FLEET_COMMANDS, DEBIAN_COMMAND, ...DISK_COMMANDS, ...DATASTORE_COMMANDS, METAL_COMMAND, RELAY_COMMAND, PROFILE_COMMAND, TRANSLATE_COMMAND, HELP_COMMAND, COMPLETION_COMMAND]

/** What is told of words that begin the names of several commands. */
export const FAMILIES: Readonly<Record<string, string>> = {
  daemon: 'many machines in the background',
  debian: 'disks with Debian 13',
  snapshot: 'a machine with its disks, at several moments',
  pool: 'pools of machines, which share what their pool gets',
  disk: 'make, convert and check disk images',
  datastore: 'thin disks and linked clones within a quota',
  metal: 'machines on bare metal',
}

/** The words that may follow `prefix`, itself `''` or a command's first word. */
export function wordsAfter(prefix: string): readonly string[] {
  const depth = prefix === '' ? 0 : 1
  const words = COMMANDS.map(({ name }) => name.split(' ')).filter(([first]) => depth === 0 || first === prefix)
  return [...new Set(words.map((each) => each[depth]).filter((word) => word !== undefined))]
}
