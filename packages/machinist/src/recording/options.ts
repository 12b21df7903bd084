import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

/** Options of `machinist replay`, besides those of every command. */
export const REPLAY_OPTIONS = {
  quiet: { type: 'boolean', forms: [['', 'nothing of what the guest said']] },
} as const

export const REPLAY_COMMAND: CommandInfo = {
  name: 'replay',
  summary: 'do again what a machine did that was recorded',
  usage: [['FILE [options]']],
  groups: [{ title: 'Options', options: { ...REPLAY_OPTIONS, ...COMMON_OPTIONS } }],
  offers: 'file',
  notes: [
    'The machine does what it did, instruction for instruction, without the disks, networks and terminal that it had: all that came from them is in FILE. Checksums of harts, devices and memory are compared on the way. The last line says how many instructions were replayed, or what the first difference is; then the exit status is 1.',
  ],
  examples: ['run.recording'],
}
