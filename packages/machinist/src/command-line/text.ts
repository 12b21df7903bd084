import type { CommandInfo, Option } from './table.ts'

/** What is true of the whole program, as paragraphs under headings. */
export const GENERAL: readonly (readonly [title: string, lines: readonly string[]])[] = [
  ['Keys', [
    'At the terminal every key goes to the guest, Ctrl-C included, but for these: Ctrl-A X leaves, as pulling the plug; Ctrl-A H shows help; Ctrl-A A sends Ctrl-A; with --save, Ctrl-A S saves the machine and ends it; with --snapshots, Ctrl-A T takes a snapshot.',
  ]],
  ['Exit status', [
    'What the guest gives when it powers off (0 for poweroff); that of CMD with --exec; 1 for an error, 2 for a mistake in the command line.',
  ]],
  ['Environment', [
    'MACHINIST_CACHE names the folder of the cache, otherwise machinist in XDG_CACHE_HOME or ~/.cache.',
    'NO_COLOR keeps colours off the terminal.',
  ]],
]

/** `--disk PATH,ro`, `-h, --help`. */
export function optionForm(name: string, option: Option, value: string): string {
  return `${option.short === undefined ? '' : `-${option.short}, `}--${name}${value === '' ? '' : ` ${value}`}`
}

/** The examples of commands, as they are typed. */
export function exampleLines(commands: readonly CommandInfo[]): readonly string[] {
  // `run` may be left out.
  return commands.flatMap(({ name, examples = [] }) => examples.map((words) => ['machinist', name === 'run' ? '' : name, words].filter((word) => word !== '').join(' ')))
}

/** A command as its usage begins: `machinist [run]`. */
export function commandWords(name: string): string {
  return `machinist ${name === 'run' ? '[run]' : name}`
}
