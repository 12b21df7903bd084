import { COMMANDS, type SHELLS, wordsAfter } from './commands.ts'
import { type CommandInfo, type Offer, optionsOf, type OptionTable } from './table.ts'

/** The name of the program. */
const PROGRAM = 'machinist'
/** A command that is not written. */
const DEFAULT = 'run'

/** What prints the names of machines. */
const MACHINES = `${PROGRAM} ps --names 2>/dev/null`

/** A word for a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const flags = (options: OptionTable): string[] => Object.entries(options).flatMap(([name, { short }]) => [`--${name}`, ...short === undefined ? [] : [`-${short}`]])

/** The options of all commands that take a value. */
function valued(): string[] {
  const entries = COMMANDS.flatMap((command) => Object.entries(optionsOf(command)))
  return [...new Set(entries.filter(([, { type }]) => type === 'string').map(([name]) => `--${name}`))]
}

/** First words, and what begins with them. */
const firstWords = (): readonly string[] => wordsAfter('')
const families = (): readonly string[] => firstWords().filter((word) => !COMMANDS.some(({ name }) => name === word))

/** The first line of what an option does. */
function brief(text: string): string {
  return (/^.*?(?=[.;:](?: |$)|$)/.exec(text)?.[0] ?? text).replace(/\s+/g, ' ')
}

function bash(): string {
  const offer = (what: Offer | undefined): string => {
    if (what === undefined) return ':'
    if (what === 'file') return 'files=-f'
    if (what === 'folder') return 'files=-d'
    if (what === 'machine') return `words=$(${MACHINES})`
    return `words=${quoted(what.join(' '))}`
  }
  const values = COMMANDS.flatMap((command) => Object.entries(optionsOf(command)).filter(([, { type }]) => type === 'string')
    .map(([name, option]) => `    ${quoted(`${command.name} --${name}`)}) ${offer(option.offers)} ;;`))
  const commands = COMMANDS.map((command) => `    ${quoted(command.name)}) options=${quoted(flags(optionsOf(command)).join(' '))}; ${offer(command.offers)} ;;`)
  return `# bash completion of ${PROGRAM}: eval "$(${PROGRAM} completion bash)"
_${PROGRAM}() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command='' words='' options='' files='' index
  # bash takes --option=value for three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $before == '=' ]]; then
    before=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$command \${COMP_WORDS[index]}" in
      *' '${valued().join("|*' '")})
        [[ \${COMP_WORDS[index+1]} == '=' ]] && ((index++))
        ((index++)) ;;
      ${firstWords().map((word) => quoted(` ${word}`)).join('|')})
        command=\${COMP_WORDS[index]} ;;
      ${COMMANDS.map(({ name }) => name).filter((name) => name.includes(' ')).map(quoted).join('|')})
        command="$command \${COMP_WORDS[index]}" ;;
    esac
  done
  case "\${command:-${DEFAULT}} $before" in
${values.join('\n')}
    *) before='' ;;
  esac
  if [[ $before != --* ]]; then
    case "\${command:-${DEFAULT}}" in
${commands.join('\n')}
${families().map((word) => `    ${word}) words=${quoted(wordsAfter(word).join(' '))} ;;`).join('\n')}
    esac
    [[ -z $command ]] && words=${quoted(firstWords().join(' '))}
    [[ $command == help* ]] && words=${quoted(firstWords().join(' '))}
    [[ $current == -* ]] && words=$options files=''
  fi
  COMPREPLY=()
  if [[ -n $files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$files" -- "$current")
  fi
  [[ -n $words ]] && COMPREPLY+=($(compgen -W "$words" -- "$current"))
  return 0
}
complete -F _${PROGRAM} ${PROGRAM}
`
}

function zsh(): string {
  const text = (words: string): string => words.replaceAll(/[[\]:\\]/g, '\\$&')
  const action = (offer: Offer | undefined): string => offer === undefined ? '' : offer === 'file' ? '_files' : offer === 'folder' ? '_files -/' : offer === 'machine' ? `_${PROGRAM}_machines` : `(${offer.join(' ')})`
  const spec = ([name, option]: [string, OptionTable[string]]): string[] => {
    const [[value, what] = ['', '']] = option.forms
    const many = option.multiple === true ? '*' : ''
    const argument = option.type === 'string' ? `:${text(value)}:${action(option.offers)}` : ''
    const sign = option.type === 'string' ? '=' : ''
    return [`--${name}`, ...option.short === undefined ? [] : [`-${option.short}`]].map((flag) => quoted(`${many}${flag}${flag.startsWith('--') ? sign : ''}[${text(brief(what))}]${argument}`))
  }
  const described = (names: readonly string[], under: string): string => names.map((word) => {
    const summary = COMMANDS.find(({ name }) => name === `${under}${word}`)?.summary ?? `${COMMANDS.filter(({ name }) => name.startsWith(`${word} `)).map(({ name }) => name.split(' ')[1]).join(', ')}`
    return `    ${quoted(`${text(word)}:${summary}`)}`
  }).join('\n')
  const leaf = (command: CommandInfo): string => {
    const rest = command.name === DEFAULT ? [] : command.name === 'help' ? [quoted(`*:command:(${firstWords().join(' ')})`)] : command.offers === undefined ? [] : [quoted(`*:argument:${action(command.offers)}`)]
    return `    ${quoted(command.name)})\n      _arguments -S \\\n        ${[...Object.entries(optionsOf(command)).flatMap(spec), ...rest].join(' \\\n        ')}`
      + `${command.name === DEFAULT ? ` \\\n        '*:file:_files'` : ''} ;;`
  }
  return `#compdef ${PROGRAM}
# zsh completion of ${PROGRAM}: eval "$(${PROGRAM} completion zsh)"
_${PROGRAM}_machines() {
  compadd -- \${(f)"$(${MACHINES})"}
}
_${PROGRAM}() {
  local command=''
  local -a commands
  commands=(
${described(firstWords(), '')}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe command commands
    _files
    return
  fi
  case $words[2] in
    ${families().join('|')})
      if (( CURRENT == 3 )) && [[ $words[3] != -* ]]; then
        case $words[2] in
${families().map((word) => `          ${word}) commands=(\n${described(wordsAfter(word), `${word} `)}\n          ) ;;`).join('\n')}
        esac
        _describe command commands
        return
      fi
      command="$words[2] $words[3]"
      shift 2 words
      (( CURRENT -= 2 )) ;;
    ${firstWords().filter((word) => !families().includes(word)).join('|')})
      command=$words[2]
      shift words
      (( CURRENT -= 1 )) ;;
  esac
  case \${command:-${DEFAULT}} in
${COMMANDS.map(leaf).join('\n')}
  esac
}
if [[ $funcstack[1] == _${PROGRAM} ]]; then
  _${PROGRAM} "$@"
else
  compdef _${PROGRAM} ${PROGRAM}
fi
`
}

function fish(): string {
  const condition = (command: string): string => `-n ${quoted(`__${PROGRAM}_in ${quoted(command)}`)}`
  const lines = COMMANDS.flatMap((command) => {
    const at = condition(command.name)
    return Object.entries(optionsOf(command)).map(([name, option]) => {
      const offers = option.type === 'boolean' ? '' : option.offers === 'file' ? ' -r -F' : option.offers === 'folder' ? " -x -a '(__fish_complete_directories)'" : option.offers === 'machine' ? ` -x -a ${quoted(`(${MACHINES})`)}` : ` -x${option.offers === undefined ? '' : ` -a ${quoted(option.offers.join(' '))}`}`
      return `complete -c ${PROGRAM} ${at} -l ${name}${option.short === undefined ? '' : ` -s ${option.short}`}${offers} -d ${quoted(brief(option.forms[0]?.[1] ?? ''))}`
    }).concat(command.offers === undefined || command.offers === 'folder' ? [`complete -c ${PROGRAM} ${at} -f`] : command.offers === 'file' ? [] : command.offers === 'machine' ? [`complete -c ${PROGRAM} ${at} -f -a ${quoted(`(${MACHINES})`)}`] : [`complete -c ${PROGRAM} ${at} -f -a ${quoted(command.offers.join(' '))}`])
  })
  const first = firstWords().map((word) => {
    const summary = COMMANDS.find(({ name }) => name === word)?.summary ?? `${wordsAfter(word).join(', ')}`
    return `complete -c ${PROGRAM} -n '__${PROGRAM}_none' -a ${word} -d ${quoted(summary)}`
  })
  const second = COMMANDS.map(({ name, summary }) => ({ words: name.split(' '), summary })).filter(({ words }) => words.length === 2)
    .map(({ words: [family = '', word = ''], summary }) => `complete -c ${PROGRAM} ${condition(family)} -f -a ${word} -d ${quoted(summary)}`)
  return `# fish completion of ${PROGRAM}: ${PROGRAM} completion fish > ~/.config/fish/completions/${PROGRAM}.fish
function __${PROGRAM}_command
    set -l words (commandline -opc)[2..]
    set -l command
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
        else if contains -- $word ${valued().join(' ')}
            set skip 1
        else if not string match -q -- '-*' $word
            set -a command $word
        end
    end
    set -l found (string join ' ' $command[1..2])
    switch "$found"
        case ${COMMANDS.map(({ name }) => name).filter((name) => name.includes(' ')).map(quoted).join(' ')}
            echo $found
        case '*'
            switch "$command[1]"
                case ${firstWords().join(' ')}
                    echo $command[1]
                case '*'
                    echo ${DEFAULT}
            end
    end
end
function __${PROGRAM}_in
    test (__${PROGRAM}_command) = $argv[1]
end
function __${PROGRAM}_none
    test (count (commandline -opc)) = 1
end
${[...first, ...second, ...lines, `complete -c ${PROGRAM} ${condition('help')} -a ${quoted(firstWords().join(' '))}`].join('\n')}
`
}

/** The program of a shell that completes the words of `machinist`, for the shell to read. */
export function completion(shell: typeof SHELLS[number]): string {
  return { bash, zsh, fish }[shell]()
}
