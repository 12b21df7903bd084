import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMachinistError, type MachinistError } from '@machinist/api'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { parseCommand } from '../arguments.ts'
import { main } from '../main.ts'
import { COMMANDS, SHELLS } from './commands.ts'
import { completion } from './completion.ts'
import { helpText } from './help.ts'
import { manualPage } from './manual.ts'
import { hasColour, styled } from './style.ts'
import { near } from './suggest.ts'
import { optionsOf } from './table.ts'
import { LIMITS } from '@machinist/translator'

const folder = mkdtempSync(join(tmpdir(), 'machinist-words-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
afterEach(() => { vi.restoreAllMocks() })

const has = (program: string, ...args: string[]): boolean => spawnSync(program, args).error === undefined

/** Runs a command: its status, and what it writes. */
async function machinist(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  const written = { out: '', err: '' }
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => { written.out += String(text); return true })
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => { written.err += String(text); return true })
  const status = await main(args)
  vi.restoreAllMocks()
  return { status, ...written }
}

function refusal(...args: string[]): MachinistError {
  try {
    parseCommand(args)
  } catch (error) {
    if (isMachinistError(error)) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('words that are mistyped', () => {
  it.each([
    [['dsik', 'info', 'x'], 'Did you mean disk?'], [['disk', 'covert', 'a', 'b'], 'Did you mean convert?'], [['debian', 'biuld'], 'Did you mean build?'], [['prof'], 'Did you mean profile?'],
    [['--memroy', '1G'], 'Did you mean --memory?'], [['--memory-size=1G'], 'See machinist --help.'], [['disk', 'create', 'x', '--jsno'], 'Did you mean --json?'], [['run', '--quite'], 'Did you mean --quiet?'],
    [['translate', 'x', '--att', '0'], 'Did you mean --at?'], [['debian', 'build', '--root-pasword', 'x'], 'Did you mean --root-password?'], [['--disks', 'x'], 'Did you mean --disk?'],
    [['frobnicate'], 'The commands are run, restore, replay, snapshot, daemon, up, down, ps, top, table, console, logs, events, start, stop, kill, pause, resume, reset, rm, set, fork, move, pool, metrics, debian, disk, datastore, metal, relay, profile, translate, help, completion.'], [['disk', 'eat'], 'The commands of disk are info, create, convert, resize, check.'],
    [['--jsno'], 'no such option'], [['--repair'], 'is an option of machinist disk check'], [['pool', 'ad'], 'Did you mean add?'], [['pool', 'eat'], 'The commands of pool are add, set, remove, list.'], [['ps', '--jsno'], 'Did you mean --json?'], [['completion', 'tcsh'], 'Use machinist completion bash, zsh, fish.'],
  ])('%j gets a suggestion', (args, text) => {
    const { code, message } = refusal(...args)
    expect(code).toBe('usage')
    expect(message).toContain(text)
  })
  it('end with status 2', async () => {
    for (const args of [['frobnicate'], ['help', 'frobnicate'], ['help', 'disk', 'eat'], ['disk', 'eat', '--help'], ['disk', 'eat'], ['debian', 'eat'], ['metal', 'eat'], ['metal', 'build'], ['pool', 'eat'], ['console'], ['ps', 'x'], ['set', 'web'], ['--eat'], ['completion', 'tcsh'], ['completion'], ['help', '--eat']]) {
      expect(await machinist(...args), args.join(' ')).toMatchObject({ status: 2, out: '' })
    }
  })
  it('may be far from every name, or empty, or long', () => {
    expect(near('', ['a', 'b'])).toEqual([])
    expect(near('x'.repeat(1e6), ['a', 'xxx'])).toEqual([])
    expect(near('frobnicate', ['disk', 'run'])).toEqual([])
    expect(near('a', ['ab', 'abcd', 'b'])).toEqual(['ab', 'b'])
    expect(near('ehlp', ['help', 'hello'])).toEqual(['help'])
    expect(near('VIRTIO_BLK', ['virtio_blk'])).toEqual(['virtio_blk'])
    expect(near('virtio', ['virtio_blk', 'virtio_net', 'virtio_pmem', 'virtio_mmio'])).toHaveLength(3)
  })
})

describe('help', () => {
  it('of every command names all its options, in lines that a terminal holds', async () => {
    for (const command of COMMANDS) {
      const text = helpText(command.name)
      for (const [name, { forms }] of Object.entries(optionsOf(command))) for (const [value] of forms) expect(text, command.name).toContain(`--${name}${value === '' ? '' : ` ${value}`}`)
      expect(text.split('\n').filter((line) => line.length > 100)).toEqual([])
      expect(await machinist('help', ...command.name.split(' '))).toEqual({ status: 0, out: text, err: '' })
      expect(await machinist(...command.name.split(' '), '--help')).toEqual({ status: 0, out: text, err: '' })
    }
  })
  it('of everything lists the commands', () => {
    const text = helpText()
    for (const { name, summary } of COMMANDS) expect(text).toContain(`  ${name.padEnd(20)} ${summary}`)
    expect(helpText('disk')).toContain('disk convert')
    expect(helpText('disk')).not.toContain('translate')
    expect(helpText('debian')).toBe(helpText('debian build'))
  })
})

describe('the table of commands', () => {
  it('says of every option what it does', () => {
    for (const command of COMMANDS) for (const [name, { type, forms }] of Object.entries(optionsOf(command))) {
      expect(forms.length, `${command.name} --${name}`).toBeGreaterThan(0)
      for (const [value, text] of forms) expect([value !== '', text !== ''], `${command.name} --${name}`).toEqual([type === 'string', true])
    }
  })
})

it('tells how much is translated by default', () => {
  expect(helpText('translate')).toContain(`N instructions; ${LIMITS.enough}, and on`)
})

describe('colour', () => {
  it('is for terminals that show it, unless NO_COLOR is set', () => {
    expect(hasColour({ isTTY: true }, { TERM: 'xterm' })).toBe(true)
    expect(hasColour({ isTTY: true }, { TERM: 'xterm', NO_COLOR: '' })).toBe(true)
    expect(hasColour({ isTTY: true }, { TERM: 'xterm', NO_COLOR: '1' })).toBe(false)
    expect(hasColour({ isTTY: true }, { TERM: 'dumb' })).toBe(false)
    expect(hasColour({}, { TERM: 'xterm' })).toBe(false)
    expect(styled({ isTTY: true }, 'red', 'x', {})).toBe('\u001b[31mx\u001b[0m')
    expect(styled({}, 'red', 'x', {})).toBe('x')
  })
})

describe('the manual page', () => {
  const page = manualPage('1.2.3', '2026-01-31')
  it.skipIf(!has('mandoc', '-h'))('is without fault to mandoc, and shows every option', () => {
    writeFileSync(join(folder, 'machinist.1'), page)
    expect(spawnSync('mandoc', ['-Tlint', join(folder, 'machinist.1')], { encoding: 'utf8' }).stdout).toBe('')
    const { stdout } = spawnSync('mandoc', ['-Tutf8', '-O', 'width=200', join(folder, 'machinist.1')], { encoding: 'utf8' })
    const shown = stdout.replaceAll(/.\u0008/g, '')
    expect(shown).toContain('machinist 1.2.3')
    expect(shown).toContain("machinist --exec 'uname -a; cat /proc/cpuinfo'")
    for (const command of COMMANDS) for (const [name, { forms }] of Object.entries(optionsOf(command))) for (const [value] of forms) expect(shown).toContain(`--${name}${value === '' ? '' : ` ${value}`}`)
  })
  it('is written by help --man', async () => {
    vi.stubEnv('SOURCE_DATE_EPOCH', '86400')
    const { status, out } = await machinist('help', '--man')
    expect(status).toBe(0)
    expect(out).toContain('.TH MACHINIST 1 "1970-01-02"')
    vi.unstubAllEnvs()
  })
})

/** What a shell offers for each of some lines that end at the cursor. */
type Offers = (lines: readonly string[]) => string[][]

const files = join(folder, 'files')
mkdirSync(join(files, 'inner'), { recursive: true })
writeFileSync(join(files, 'my disk.img'), '')
for (const shell of SHELLS) writeFileSync(join(folder, shell), completion(shell))

// What completions ask for the names of machines.
mkdirSync(join(folder, 'bin'))
writeFileSync(join(folder, 'bin', 'machinist'), '#!/bin/sh\n[ "$*" = "ps --names" ] && printf "web-1\\nweb-2\\nbatch\\n"\n', { mode: 0o755 })
const PATH = `${join(folder, 'bin')}:${process.env['PATH'] ?? ''}`

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '')

const offers: Readonly<Record<typeof SHELLS[number], Offers>> = {
  bash: (lines) => lines.map((line) => {
    const words = line.replaceAll('=', ' = ').split(' ').map((word) => `'${word}'`)
    const script = `source ${join(folder, 'bash')}; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}; _machinist; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8', cwd: files, env: { ...process.env, PATH } })
    expect(stderr).toBe('')
    return linesOf(stdout)
  }),
  fish: (lines) => lines.map((line) => {
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', `source ${join(folder, 'fish')}; complete -C '${line}'`], { encoding: 'utf8', cwd: files, env: { ...process.env, PATH, HOME: folder } })
    expect(stderr).toBe('')
    // After `--option=` fish offers the whole word.
    return linesOf(stdout).map((text) => text.replace(/\t.*$/, '').replace(/^--[a-z-]+=(?=.)/, ''))
  }),
  zsh(lines) {
    // zsh completes in its line editor alone: one runs in a terminal of its own, and prints what it would add to its list.
    writeFileSync(join(folder, 'inside'), [
      `PS1= LISTMAX=10000; cd ${files}; autoload -U compinit; compinit -u -D; source ${join(folder, 'zsh')}`,
      'compadd() { local -a found; if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)* ]]; then builtin compadd -O found "$@"; print -rl -- "<"$^found">"; fi; builtin compadd "$@" }',
      'show() { zle list; print -r -- "((end))"; BUFFER=; zle send-break }; zle -C list complete-word _main_complete; zle -N show; bindkey "^T" show',
      'print -r -- "((ready))"',
    ].join('\n'))
    writeFileSync(join(folder, 'outside'), [
      'zmodload zsh/zpty; zpty z "zsh -f -i"',
      'wait_for() { while zpty -r z line; do print -r -- $line; [[ $line == *"(($1))"* ]] && return; done; exit 1 }',
      `zpty -w z 'source ${join(folder, 'inside')}'; wait_for ready`,
      'for line in "$@"; do zpty -w -n z "$line"$\'\\C-t\'; wait_for end; done',
    ].join('\n'))
    const { stdout } = spawnSync('zsh', ['-f', join(folder, 'outside'), ...lines], { encoding: 'utf8', cwd: files, env: { ...process.env, PATH, HOME: folder, TERM: 'dumb' }, timeout: 240_000 })
    return stdout.split('((ready))').at(-1)?.split('((end))').map((text) => [...text.matchAll(/<([^<>\r\n]+)>/g)].map(([, word = '']) => word)).slice(0, -1) ?? []
  },
}

const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  'machinist d': ['daemon', 'datastore', 'debian', 'disk', 'down'],
  'machinist pool ': ['add', 'list', 'remove', 'set'],
  'machinist top --v': ['--view'],
  'machinist top --view ': ['all', 'cpu', 'io', 'memory'],
  'machinist disk ': ['check', 'convert', 'create', 'info', 'resize'],
  'machinist disk c': ['check', 'convert', 'create'],
  'machinist disk convert --f': ['--files', '--force', '--format', '--from'],
  'machinist disk info --f': ['--files', '--format'],
  'machinist disk check x --repair ': ['all', 'leaks'],
  'machinist --mem': ['--memory'],
  'machinist profile --r': ['--rate', '--record'],
  'machinist --interrupts ': ['aia', 'plic'],
  'machinist --interrupts=p': ['plic'],
  'machinist completion ': ['bash', 'fish', 'zsh'],
  'machinist help di': ['disk'],
  'machinist debian build --h': ['--help', '--hostname'],
  'machinist --share ': ['inner'],
  'machinist --disk ': ['inner', 'my disk.img'],
  'machinist --exec run --q': ['--quiet'],
  'machinist disk info m': ['my disk.img'],
  'machinist stop w': ['web-1', 'web-2'],
  'machinist set ': ['batch', 'web-1', 'web-2'],
}

describe.each(SHELLS)('%s', (shell) => {
  it.skipIf(!has(shell, '--version'))('completes commands, options, values and files', () => {
    const lines = Object.keys(EXPECTED)
    const found = offers[shell](lines).map((words) => [...new Set(words.map((word) => word.replaceAll('\\', '').replace(/[/=]$/, '')))].sort())
    expect(Object.fromEntries(lines.map((line, index) => [line, found[index]]))).toEqual(EXPECTED)
  })
})
