import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

/** Options of `machinist replay`, besides those of every command. */
export const REPLAY_OPTIONS = {
  until: { type: 'string', forms: [['N', 'stop after exactly N instructions, and say where harts are; with --gdb, wait there for a debugger']] },
  gdb: {
    type: 'string',
    forms: [
      ['[ADDRESS:]PORT', 'let a debugger connect, which can go back too: target remote :PORT and reverse-continue in gdb-multiarch. On this host alone unless an address is given'],
      ['PATH', 'the same at a Unix socket; the path has a slash'],
    ],
  },
  'gdb-wait': { type: 'boolean', forms: [['', 'with --gdb: stand still before the first instruction until a debugger says go on']] },
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
  examples: ['run.recording', 'run.recording --gdb 1234 --gdb-wait'],
}
