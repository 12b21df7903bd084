import { COMMANDS } from './commands.ts'
import type { CommandInfo, OptionGroup } from './table.ts'
import { commandWords, exampleLines, GENERAL, optionForm } from './text.ts'

/** Text as man(7) shows it unchanged: backslashes, hyphens that may be copied, and no letter that a line may not begin with. */
function roff(text: string): string {
  return text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('~', '\\(ti').replaceAll('^', '\\(ha').replaceAll('`', '\\(ga').replaceAll("'", '\\(aq').replaceAll('…', '\\&...').replace(/^\./, '\\&.')
}

/** Words of a macro's one argument. */
const argument = (text: string): string => `"${roff(text).replaceAll('"', '\\(dq')}"`

/** The longest line of a page's source. */
const WIDTH = 78

/** Sentences begin on lines of their own, and no line is long. */
function paragraph(text: string): string {
  return text.split(/(?<=[a-z)][.]) (?=[A-Z'])/).map((sentence) => {
    const lines: string[] = []
    for (const word of sentence.split(' ')) {
      const last = lines.at(-1)
      if (last !== undefined && last.length + 1 + roff(word).length <= WIDTH) lines[lines.length - 1] = `${last} ${roff(word).replace(/^\\&\./, '.')}`
      else lines.push(roff(word))
    }
    return lines.join('\n')
  }).join('\n')
}

function groupPage({ options }: OptionGroup): string {
  return Object.entries(options).flatMap(([name, option]) => option.forms.map(([value, text]) => `.TP\n.B ${argument(optionForm(name, option, value))}\n${paragraph(text)}`)).join('\n')
}

function commandPage(command: CommandInfo, common: readonly OptionGroup[]): string {
  const { name, summary, usage, groups, notes = [] } = command
  const shared = name === 'run' ? [] : groups.filter((group) => common.includes(group))
  const own = groups.filter((group) => !shared.includes(group))
  return [
    `.SS ${argument(commandWords(name))}`,
    `To ${paragraph(summary)}:`,
    ...usage.map(([form, text]) => `.TP\n.B ${argument(`${commandWords(name)} ${form}`)}\n${text === undefined ? '\\&' : paragraph(text)}`),
    ...own.flatMap((group) => [`.PP\n${roff(group.title)}:`, groupPage(group)]),
    ...(shared.length === 0 ? [] : ['.PP\nIt takes the options of\n.B machinist run\ntoo.']),
    ...notes.map((note) => `.PP\n${paragraph(note)}`),
  ].join('\n')
}

/**
 * The page machinist(1), in the macros of man(7).
 *
 * @param version - of this package
 * @param date - of the page, as `2026-01-31`
 */
export function manualPage(version: string, date: string): string {
  const common = COMMANDS.find(({ name }) => name === 'run')?.groups ?? []
  return `${[
    `.TH MACHINIST 1 "${date}" "machinist ${version}" "User commands"`,
    '.SH NAME\nmachinist \\- runs virtual machines in this process',
    '.SH SYNOPSIS',
    COMMANDS.flatMap(({ name, usage }) => usage.map(([form]) => `.B ${argument(`${commandWords(name)} ${form}`)}`)).join('\n.br\n'),
    `.SH DESCRIPTION\n${paragraph("machinist runs RISC-V machines without native code: guest instructions are interpreted and translated to WebAssembly. Without arguments it boots Debian's Linux to a shell. The command run may be left out.")}`,
    '.SH COMMANDS',
    ...COMMANDS.map((command) => commandPage(command, common)),
    ...GENERAL.map(([title, lines]) => `.SH ${argument(title.toUpperCase())}\n${lines.map(paragraph).join('\n.PP\n')}`),
    '.SH EXAMPLES',
    exampleLines(COMMANDS).map((line) => `.PP\n.B ${argument(line)}`).join('\n').replace(/^\.PP\n/, ''),
  ].join('\n')}\n`
}
