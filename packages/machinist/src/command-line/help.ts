import { usageError } from '../usage.ts'
import { COMMANDS, FAMILIES, wordsAfter } from './commands.ts'
import { didYouMean } from './suggest.ts'
import type { CommandInfo, OptionGroup } from './table.ts'
import { commandWords, exampleLines, GENERAL, optionForm } from './text.ts'

const WIDTH = 100
/** Where the texts of options and commands begin. */
const COLUMN = 23

/** Marks a heading. */
export type Heading = (text: string) => string

/** Text in lines of at most {@link WIDTH} letters, each after `indent` blanks; the first goes behind `label`. */
function wrapped(text: string, indent: number, label = ''): string {
  const lines: string[] = []
  let line = label.padEnd(indent)
  if (label.length >= indent && label !== '') {
    lines.push(label)
    line = ' '.repeat(indent)
  }
  let empty = true
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = ' '.repeat(indent)
      empty = true
    }
    line += empty ? word : ` ${word}`
    empty = false
  }
  return `${[...lines, line].map((each) => each.trimEnd()).filter((each) => each !== '').join('\n')}\n`
}

function groupText({ title, options }: OptionGroup, heading: Heading): string {
  const forms = Object.entries(options).flatMap(([name, option]) => option.forms.map(([value, text]) => wrapped(text, COLUMN, `  ${optionForm(name, option, value)}`)))
  return `${heading(`${title}:`)}\n${forms.join('')}`
}

function usageText({ name, usage }: CommandInfo): string {
  return usage.map(([form, text]) => wrapped(text ?? '', 2 * COLUMN - 1, `  ${commandWords(name)} ${form}`)).join('')
}

function examplesText(commands: readonly CommandInfo[], heading: Heading): string {
  const lines = exampleLines(commands)
  return lines.length === 0 ? '' : `\n${heading('Examples:')}\n${lines.map((line) => `  ${line}\n`).join('')}`
}

function commandText(command: CommandInfo, heading: Heading): string {
  const { name, summary, groups, notes = [] } = command
  return [
    `machinist ${name} - ${summary}\n\n${heading('Usage:')}\n${usageText(command)}`,
    ...groups.map((group) => `\n${groupText(group, heading)}`),
    ...notes.map((note) => `\n${wrapped(note, 0)}`),
    examplesText([command], heading),
  ].join('')
}

function listText(commands: readonly CommandInfo[]): string {
  return commands.map(({ name, summary }) => wrapped(summary, COLUMN, `  ${name}`)).join('')
}

function overview(heading: Heading): string {
  const [run] = COMMANDS
  return [
    'machinist - runs virtual machines in this process\n',
    `\n${heading('Usage:')}\n${run === undefined ? '' : usageText(run)}${wrapped('run another command', 2 * COLUMN - 1, '  machinist COMMAND [options]')}`,
    `\n${heading('Commands:')} machinist help COMMAND, or machinist COMMAND --help, shows the options of each\n${listText(COMMANDS)}`,
    ...(run?.groups ?? []).map((group) => `\n${groupText(group, heading)}`),
    ...(run?.notes ?? []).map((note) => `\n${wrapped(note, 0)}`),
    ...GENERAL.map(([title, lines]) => `\n${heading(`${title}:`)}\n${lines.map((line) => wrapped(line, 2)).join('')}`),
    examplesText(COMMANDS, heading),
  ].join('')
}

/**
 * What `machinist help` says: of everything, of a command, or of commands that begin with the same word.
 *
 * @param topic - the command's words: `''`, `'disk'`, `'disk convert'`
 * @param heading - marks headings; leaves them as they are unless given
 * @throws a typed error `usage` when there is no such command
 */
export function helpText(topic = '', heading: Heading = (text) => text): string {
  if (topic === '') return overview(heading)
  const command = COMMANDS.find(({ name }) => name === topic)
  if (command !== undefined) return commandText(command, heading)
  const members = COMMANDS.filter(({ name }) => name.startsWith(`${topic} `))
  if (members.length === 0) throw unknownCommand(topic)
  const [first] = members
  if (members.length === 1 && first !== undefined) return commandText(first, heading)
  return `machinist ${topic} - ${FAMILIES[topic] ?? ''}\n\n${heading('Usage:')}\n${members.map(usageText).join('')}\n${heading('Commands:')}\n${listText(members)}`
    + `\nmachinist help ${topic} COMMAND shows the options of each.\n${examplesText(members, heading)}`
}

/** The refusal of words that are no command. */
export function unknownCommand(given: string): Error {
  const [first = '', second] = given.split(' ')
  const family = second !== undefined && Object.hasOwn(FAMILIES, first)
  const words = wordsAfter(family ? first : '')
  const meant = didYouMean(family ? second : first, words)
  const known = `The ${family ? `commands of ${first}` : 'commands'} are ${words.join(', ')}.`
  return usageError(family ? second : first, 'no such command', `${meant}${known} See machinist help${family ? ` ${first}` : ''}.`)
}
