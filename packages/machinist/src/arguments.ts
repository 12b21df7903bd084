import { extname } from 'node:path'
import type { TreeSession } from '@machinist/host-node'
import type { OpenSnapshot } from '@machinist/snapshot'
import type { BackendDescriptor } from '@machinist/machine'
import { checkArchitecture, checkPc, parseArchitecture } from './architecture.ts'
import { type BalloonChoice, parseBalloon } from './balloon.ts'
import { HELP_OPTIONS, SHELLS } from './command-line/commands.ts'
import { unknownCommand } from './command-line/help.ts'
import { COMMON_OPTIONS } from './command-line/table.ts'
import { DAEMON, type DaemonCommand, parseDaemon } from './daemon/arguments.ts'
import { DEBIAN, type DebianOptions, isDiskImage, parseDebian } from './debian/index.ts'
import { DATASTORE, type DatastoreCommand, parseDatastore } from './datastore/arguments.ts'
import { DISK, type DiskCommand, parseDiskCommand } from './disk/arguments.ts'
import { type DiskChoice, hideCommas, parseDisk, showCommas } from './disk-option.ts'
import { FLEET_WORDS, type FleetCommand, parseFleet } from './fleet/arguments.ts'
import type { GdbAddress } from './gdb/listen.ts'
import type { GuestArchitecture } from './guest/index.ts'
import { parseGdb } from './gdb/option.ts'
import { METAL, type MetalOptions, parseMetal } from './metal/arguments.ts'
import { isMachineFile } from './machine-file.ts'
import { parseNet } from './net-option.ts'
import { checkRecord, parseReplay, REPLAY, type ReplayChoice } from './recording/arguments.ts'
import { PROFILE_OPTIONS, RESTORE_OPTIONS, RUN_OPTIONS } from './run-options.ts'
import { parseSnapshot, SNAPSHOT, type SnapshotCommand } from './snapshot/arguments.ts'
import { parseRelay, RELAY, type RelayChoice } from './relay/arguments.ts'
import { parseTranslate, TRANSLATE, type TranslateOptions } from './translate/arguments.ts'
import { parseFlags, parseMemory, SEE_HELP, usageError, type Values } from './usage.ts'

/** A folder that `machinist run` shares. */
export interface Share {
  readonly path: string
  /** What the guest mounts. */
  readonly tag: string
  readonly readOnly: boolean
}

/** What `machinist run` was asked for. */
export interface RunOptions {
  readonly machineFile?: string
  /** A disk whose own kernel is started; the first of {@link disks}. */
  readonly bootDisk?: DiskChoice
  readonly kernel?: string
  readonly initrd?: string
  readonly append?: string
  readonly firmware?: string
  readonly disks: readonly DiskChoice[]
  /** Compact discs of a PC. */
  readonly cdroms?: readonly DiskChoice[]
  readonly shares: readonly Share[]
  /** Path of the Unix socket for connections with the guest. */
  readonly vsock?: string
  /** Bytes. */
  readonly memory?: number
  readonly harts?: number
  /** The instruction set, by Debian's name. Unless given, a disk's kernel decides, or it is `'riscv64'`. */
  readonly arch?: GuestArchitecture
  /** A PC with firmware, in the place of the machine for {@link RunOptions.arch}. */
  readonly board?: 'pc'
  readonly virtio?: 'mmio' | 'mmio-legacy' | 'pci'
  readonly interrupts?: 'plic' | 'aia'
  /** Networks; a NAT of its own unless given. */
  readonly nets?: readonly BackendDescriptor[]
  readonly balloon?: BalloonChoice
  /** Disks that the guest has as persistent memory. */
  readonly pmems?: readonly DiskChoice[]
  readonly exec?: string
  /** Where debuggers connect, and whether the machine waits for one. */
  readonly gdb?: GdbAddress
  readonly gdbWait?: boolean
  /** The console at this terminal: the serial line unless given, or of a PC the screen where there is a terminal. */
  readonly console?: 'ttyS0' | 'hvc0' | 'screen'
  /** Where to write what the screen shows. */
  readonly screenshot?: string
  /** What the end of input that is no terminal means: the end for the shell of the prepared guest, nothing for another. */
  readonly inputEnd?: 'eot' | 'ignore'
  /** Where to write the device tree, instead of running. */
  readonly dumpDtb?: string
  /** Where Ctrl-A S saves it. */
  readonly save?: SaveChoice
  /** What is to be recorded into a file, and the command lines that made the machine. */
  readonly record?: { readonly path: string; readonly lines: readonly (readonly string[])[] }
  /** What it goes on from, instead of being booted. */
  readonly restore?: OpenSnapshot
  /** Where it is kept with its disks, and that folder when it is open. */
  readonly snapshots?: SnapshotsChoice
  readonly tree?: TreeSession
  readonly quiet: boolean
  readonly stats: boolean
}

/** How a machine is saved. */
export interface SaveChoice {
  readonly path: string
  /** Seconds after which it is saved in any case. */
  readonly after?: number
  /** Command lines that made it what it is: that of `run`, then those of each `restore`. */
  readonly lines: readonly (readonly string[])[]
}

/** Where a machine is kept with its disks, and what made it what it is. */
export interface SnapshotsChoice {
  readonly path: string
  /** The command line. */
  readonly line: readonly string[]
  /** The first argument that says what the machine is; null when there is none. */
  readonly decided: string | null
}

/** What `machinist profile` was asked for, besides what it is to run. */
export interface ProfileOptions {
  /** The file to write. */
  readonly out: string
  /** Files that name the guest's code, and what is to be added to their addresses. */
  readonly symbols: readonly { readonly path: string; readonly offset: bigint }[]
  /** Samples in a second of virtual time in which a hart runs, about. */
  readonly rate: number
}

/** A command line, understood. */
export type Command =
  /** `topic` is the words of a command, or `''` for all. */
  | { readonly kind: 'help'; readonly topic: string }
  | { readonly kind: 'manual' }
  | { readonly kind: 'completion'; readonly shell: typeof SHELLS[number] }
  | { readonly kind: 'version' }
  | { readonly kind: 'run'; readonly options: RunOptions }
  | { readonly kind: 'restore'; readonly file: string; readonly words: readonly string[] }
  | { readonly kind: 'replay'; readonly choice: ReplayChoice }
  | { readonly kind: 'profile'; readonly options: RunOptions; readonly profile: ProfileOptions }
  | { readonly kind: 'daemon'; readonly options: DaemonCommand }
  | { readonly kind: 'debian'; readonly options: DebianOptions }
  | { readonly kind: 'metal'; readonly options: MetalOptions }
  | { readonly kind: 'relay'; readonly options: RelayChoice }
  | { readonly kind: 'translate'; readonly options: TranslateOptions }
  | { readonly kind: 'disk'; readonly options: DiskCommand }
  | { readonly kind: 'datastore'; readonly options: DatastoreCommand }
  | { readonly kind: 'snapshot'; readonly options: SnapshotCommand }
  | { readonly kind: 'fleet'; readonly command: FleetCommand }

/** The value of `--firmware` with which the kernel is started in M-mode, in the place of firmware. */
export const NO_FIRMWARE = 'none'

const SUBCOMMANDS: readonly string[] = ['run', 'profile']
const MAX_HARTS = 8
const PROFILE_OUT = 'guest.cpuprofile'
const PROFILE_RATE = 1000
/** More than this, and the guest's time is that of the profiler. */
const MAX_PROFILE_RATE = 10_000

const HELP_FLAGS = { ...HELP_OPTIONS, ...COMMON_OPTIONS } as const
const FLAGS = { ...RUN_OPTIONS, ...PROFILE_OPTIONS } as const

/** Flags that say what a machine file says already. */
const NOT_WITH_FILE = ['disk', 'cdrom', 'share', 'vsock', 'net', 'balloon', 'pmem', 'memory', 'harts', 'arch', 'board', 'virtio', 'interrupts', 'exec', 'console'] as const

function oneOf<const Choice extends string>(flag: string, value: string, choices: readonly Choice[]): Choice {
  const found = choices.find((choice) => choice === value)
  if (found === undefined) throw usageError(flag, 'there is no such choice', `Use ${choices.join(' or ')}.`, value)
  return found
}

/** Whether the image of a disk is that of a compact disc, by its name. */
function isDisc(path: string): boolean {
  return extname(path).toLowerCase() === '.iso'
}

/** `PATH[:TAG][,ro]`, the first tag being `share`, the next `share1`. A colon in the path needs a tag behind it, and two commas are one of the path. */
export function parseShare(given: string, index: number): Share {
  const value = hideCommas(given)
  const readOnly = value.endsWith(',ro')
  const match = /^(.*?)(?::([^:/]*))?$/s.exec(readOnly ? value.slice(0, -3) : value)
  const path = showCommas(match?.[1] ?? '')
  const tag = match?.[2] ?? (index === 0 ? 'share' : `share${index}`)
  const remedy = 'Use --share PATH, PATH:TAG or PATH:TAG,ro.'
  if (path === '') throw usageError('--share', 'no path is given', remedy, given)
  if (!/^[\w.-]{1,31}$/.test(tag)) throw usageError('--share', 'a tag is 1 to 31 letters, digits, dots, underscores and hyphens', remedy, tag)
  return { path, tag, readOnly }
}

function parseShares(values: readonly string[]): Share[] {
  const shares = values.map(parseShare)
  const twice = shares.find(({ tag }, index) => shares.findIndex((other) => other.tag === tag) < index)
  if (twice !== undefined) throw usageError('--share', 'two folders have the same tag', 'Name another, as PATH:TAG.', twice.tag)
  return shares
}

function parseHarts(value: string): number {
  const harts = /^[0-9]{1,3}$/.test(value) ? Number(value) : 0
  if (harts < 1 || harts > MAX_HARTS) throw usageError('--harts', 'not a number of harts', `Use 1 to ${MAX_HARTS}.`, value)
  return harts
}

function parseVirtio(value: string): 'mmio' | 'mmio-legacy' | 'pci' {
  if (value === 'mmio' || value === 'mmio-legacy' || value === 'pci') return value
  throw usageError('--virtio', 'not a place for virtio devices', 'Use mmio, mmio-legacy or pci.', value)
}

function parseInterrupts(value: string): 'plic' | 'aia' {
  if (value === 'plic' || value === 'aia') return value
  throw usageError('--interrupts', 'not an interrupt controller', 'Use plic or aia.', value)
}

/** `PATH` or `PATH@0xADDRESS`. */
function parseSymbols(value: string): { readonly path: string; readonly offset: bigint } {
  const match = /^(.*)@0x([0-9a-fA-F_]+)$/.exec(value)
  const path = match?.[1] ?? value
  if (path === '') throw usageError('--symbols', 'no path is given', 'Use --symbols PATH or PATH@0xADDRESS.', value)
  return { path, offset: match === null ? 0n : BigInt(`0x${(match[2] ?? '').replaceAll('_', '')}`) }
}

function parseProfile({ out, symbols = [], rate = String(PROFILE_RATE) }: Values<typeof FLAGS>): ProfileOptions {
  const samples = /^[0-9]{1,6}$/.test(rate) ? Number(rate) : 0
  if (samples < 1 || samples > MAX_PROFILE_RATE) throw usageError('--rate', 'not a number of samples', `Use 1 to ${MAX_PROFILE_RATE} in a second.`, rate)
  if (out === '') throw usageError('--out', 'no path is given', SEE_HELP)
  return { out: out ?? PROFILE_OUT, symbols: symbols.map(parseSymbols), rate: samples }
}

/** `--save FILE --save-after SECONDS`. */
function parseSave({ save, 'save-after': after, exec, 'dump-dtb': dump }: Values<typeof FLAGS>, line: readonly string[]): SaveChoice | undefined {
  if (save === undefined) {
    if (after !== undefined) throw usageError('--save-after', 'there is no file to save into', 'Give one with --save FILE.')
    return undefined
  }
  if (save === '') throw usageError('--save', 'no path is given', SEE_HELP)
  if (exec !== undefined || dump !== undefined) throw usageError('--save', `there is nothing to go on with after --${exec === undefined ? 'dump-dtb' : 'exec'}`, 'Leave one of them out.')
  const seconds = Number(after ?? NaN)
  if (after !== undefined && !(seconds > 0 && seconds < 2 ** 31 / 1000)) throw usageError('--save-after', 'not a number of seconds', 'Use one such as 10.', after)
  return { path: save, ...(after !== undefined && { after: seconds }), lines: [line] }
}

/** What may be said anew whenever the machine of a folder runs. Its disks are there. */
const AGAIN: readonly string[] = [...Object.keys(RESTORE_OPTIONS).filter((name) => !['disk', 'pmem', 'save', 'save-after'].includes(name)), 'snapshots', 'gdb', 'gdb-wait']

/** `--snapshots FOLDER`. */
function parseSnapshots(values: Values<typeof FLAGS>, files: readonly string[], overlays: boolean, line: readonly string[]): SnapshotsChoice | undefined {
  const { snapshots } = values
  if (snapshots === undefined) return undefined
  if (snapshots === '') throw usageError('--snapshots', 'no path is given', SEE_HELP)
  const other = (['exec', 'dump-dtb', 'save'] as const).find((name) => values[name] !== undefined)
  if (other !== undefined) throw usageError('--snapshots', `does not go with --${other}`, 'Leave one of them out.')
  if (overlays) throw usageError('--snapshots', 'what is written to an overlay is forgotten when the machine ends', 'Give the disk without ,overlay: it is not written to.')
  const flag = Object.keys(values).find((name) => !AGAIN.includes(name))
  return { path: snapshots, line, decided: flag !== undefined ? `--${flag}` : files[0] ?? null }
}

const RESTORE_FLAGS = { ...RESTORE_OPTIONS, ...COMMON_OPTIONS } as const

/** `machinist restore FILE`. */
function parseRestore(args: readonly string[]): Command {
  const { values, positionals }: { values: Values<typeof RESTORE_FLAGS>; positionals: string[] } = parseFlags(args, RESTORE_FLAGS, 'restore')
  if (values.help === true) return { kind: 'help', topic: 'restore' }
  const [file, more] = positionals
  if (file === undefined || file === '' || more !== undefined) throw usageError('restore', 'needs one file', 'Use machinist restore FILE.', more)
  const words = Object.entries(values).flatMap(([name, value]) => (value === true ? [`--${name}`] : [value].flat().map((each) => `--${name}=${String(each)}`)))
  parseWords(['run', ...words])
  return { kind: 'restore', file, words }
}

function runOptions(words: readonly string[]): RunOptions {
  const command = parseWords(words)
  if (command.kind !== 'run' && command.kind !== 'profile') throw usageError('restore', 'the machine was not saved by machinist run', 'Restore it with the program that saved it.', command.kind)
  return command.options
}

/**
 * What the command lines that made a machine say together: of what it is connected to, each one that names something says all of that.
 *
 * @param file - the snapshot that it goes on from
 * @throws a typed error {@link USAGE_ERROR}
 */
export function restoreOptions([first = [], ...more]: readonly (readonly string[])[], file: string): RunOptions {
  let options = runOptions(first)
  for (const words of more) {
    const { disks, cdroms, shares, nets, vsock, balloon, pmems, inputEnd, quiet, stats, gdb, gdbWait } = runOptions(words)
    options = {
      ...options, quiet, stats, ...(gdb !== undefined && { gdb }), ...(gdbWait !== undefined && { gdbWait }),
      ...(disks.length > 0 && { disks }), ...(cdroms !== undefined && { cdroms }), ...(shares.length > 0 && { shares }), ...(nets !== undefined && { nets }), ...(vsock !== undefined && { vsock }),
      ...(balloon !== undefined && { balloon }), ...(pmems !== undefined && { pmems }), ...(inputEnd !== undefined && { inputEnd }),
    }
  }
  checkMachine(options)
  const { save: _, record: __, ...rest } = options
  const { save: last, record } = runOptions(more.at(-1) ?? [])
  const lines = [first, ...more]
  const recorded = record !== undefined && more.length > 0 ? { record: { ...record, lines } } : {}
  if (options.snapshots !== undefined) return { ...rest, ...recorded }
  return { ...rest, ...recorded, save: { path: last?.path ?? file, ...(last?.after !== undefined && { after: last.after }), lines } }
}

/** `machinist help [COMMAND] [--man]`. */
function parseHelp(args: readonly string[]): Command {
  const { values, positionals }: { values: Values<typeof HELP_FLAGS>; positionals: string[] } = parseFlags(args, HELP_FLAGS, 'help')
  if (values.help === true) return { kind: 'help', topic: 'help' }
  return values.man === true ? { kind: 'manual' } : { kind: 'help', topic: positionals.join(' ') }
}

/** `machinist completion SHELL`. */
function parseCompletion(args: readonly string[]): Command {
  const { values, positionals }: { values: Values<typeof COMMON_OPTIONS>; positionals: string[] } = parseFlags(args, COMMON_OPTIONS, 'completion')
  if (values.help === true) return { kind: 'help', topic: 'completion' }
  const shell = SHELLS.find((name) => name === positionals[0])
  if (shell === undefined || positionals.length > 1) throw usageError('completion', 'needs the name of a shell', `Use machinist completion ${SHELLS.join(', ')}.`, positionals[0])
  return { kind: 'completion', shell }
}

/** The words that ask for help of a command whose first word is `family`. */
function helpOf(family: string, args: readonly string[]): Command {
  const known = args.find((word) => !word.startsWith('-'))
  return { kind: 'help', topic: known === undefined ? family : `${family} ${known}` }
}

/**
 * Understands a command line. `run` may be left out.
 *
 * @param args - without the program's own name
 * @throws a typed error {@link USAGE_ERROR}
 */
export function parseCommand(args: readonly string[]): Command {
  const command = parseWords(args)
  // The first line of a machine that is kept in a folder may say what it is.
  if ((command.kind === 'run' || command.kind === 'profile') && command.options.snapshots === undefined) checkMachine(command.options)
  return command
}

/**
 * Refuses what a machine of the command line has no place for.
 *
 * @throws a typed error {@link USAGE_ERROR}
 */
export function checkMachine(options: RunOptions): void {
  const { board, cdroms, disks, console, screenshot, machineFile, arch } = options
  if (board === 'pc') checkPc(options)
  else if (cdroms !== undefined) throw usageError('--cdrom', 'the machine has no drive for it', 'Use --board pc.', cdroms[0]?.path)
  else if (disks.some(({ bus }) => bus === 'ide')) throw usageError('--disk', 'the machine has no IDE', 'Use --board pc, or leave bus=ide out.', 'bus=ide')
  else if (console === 'screen') throw usageError('--console', 'the machine has no screen', 'Use --board pc.', console)
  else if (screenshot !== undefined && machineFile === undefined) throw usageError('--screenshot', 'the machine has no screen', 'Use --board pc.', screenshot)
  else if (arch !== undefined) checkArchitecture(options, arch)
}

/** A command line as it stands, which may only be a part of what makes a machine. */
function parseWords(args: readonly string[]): Command {
  const [first = '', ...rest] = args
  if (FLEET_WORDS.includes(first)) {
    const command = parseFleet(args)
    return 'help' in command ? { kind: 'help', topic: command.help } : { kind: 'fleet', command }
  }
  switch (first) {
    case 'help':
      return parseHelp(rest)
    case 'completion':
      return parseCompletion(rest)
    case 'restore':
      return parseRestore(rest)
    case REPLAY: {
      const choice = parseReplay(rest)
      return choice === null ? { kind: 'help', topic: REPLAY } : { kind: 'replay', choice }
    }
    case RELAY: {
      const options = parseRelay(rest)
      return options === null ? { kind: 'help', topic: RELAY } : { kind: 'relay', options }
    }
    case TRANSLATE: {
      const options = parseTranslate(rest)
      return options === null ? { kind: 'help', topic: TRANSLATE } : { kind: 'translate', options }
    }
    case DISK: {
      const options = parseDiskCommand(rest)
      return options === null ? helpOf(DISK, rest) : { kind: 'disk', options }
    }
    case DATASTORE: {
      const options = parseDatastore(rest)
      return options === null ? helpOf(DATASTORE, rest) : { kind: 'datastore', options }
    }
    case SNAPSHOT: {
      const options = parseSnapshot(rest)
      return options === null ? helpOf(SNAPSHOT, rest) : { kind: 'snapshot', options }
    }
    case DAEMON: {
      const options = parseDaemon(rest)
      return options === null ? helpOf(DAEMON, rest) : { kind: 'daemon', options }
    }
    case DEBIAN: {
      const options = parseDebian(rest)
      return options === null ? helpOf(DEBIAN, rest) : { kind: 'debian', options }
    }
    case METAL: {
      const options = parseMetal(rest)
      return options === null ? helpOf(METAL, rest) : { kind: 'metal', options }
    }
  }
  const { values, positionals }: { values: Values<typeof FLAGS>; positionals: string[] } = parseFlags(args, FLAGS, SUBCOMMANDS.find((name) => name === first) ?? '')
  if (values.version === true) return { kind: 'version' }
  const subcommand = SUBCOMMANDS.find((name) => name === positionals[0])
  if (values.help === true) return { kind: 'help', topic: subcommand ?? '' }
  // Machine files and disks have a dot, or lie in a folder.
  if (subcommand === undefined && positionals[0] !== undefined && values.board === undefined && /^[\w-]+$/.test(positionals[0])) throw unknownCommand(positionals[0])
  const files = subcommand === undefined ? positionals : positionals.slice(1)
  const profile = subcommand === 'profile' ? parseProfile(values) : null
  const foreign = profile === null ? (Object.keys(PROFILE_OPTIONS) as (keyof typeof PROFILE_OPTIONS)[]).find((name) => values[name] !== undefined) : undefined
  if (foreign !== undefined) throw usageError(`--${foreign}`, 'is for machinist profile', `Leave it out, or begin with profile.`)
  if (profile !== null && values['dump-dtb'] !== undefined) throw usageError('--dump-dtb', 'runs nothing that could be profiled', 'Leave it out, or profile.')
  const choice = files[0] === undefined || files[0] === '' ? null : parseDisk(files[0])
  const image = choice !== null && (isDiskImage(choice.path) || (values.board !== undefined && !isMachineFile(choice.path))) ? choice : null
  const machineFile = image === null ? files[0] : undefined
  if (files.length > 1) throw usageError('arguments', image === null ? 'more than one machine file' : 'more than one disk to boot', image === null ? SEE_HELP : 'Give the others with --disk.', files[1])
  if (machineFile !== undefined) {
    const flag = NOT_WITH_FILE.find((name) => values[name] !== undefined)
    if (flag !== undefined) throw usageError(`--${flag}`, 'the machine file decides this', `Change ${machineFile} instead.`)
  }
  for (const name of ['kernel', 'initrd', 'firmware', 'vsock', 'dump-dtb', 'screenshot'] as const) {
    if (values[name] === '') throw usageError(`--${name}`, 'no path is given', SEE_HELP)
  }
  if (values.exec !== undefined) {
    if (values.exec.trim() === '') throw usageError('--exec', 'there is no command', "Give one, such as --exec 'uname -a'.")
    if (image !== null) throw usageError('--exec', 'works in the prepared Debian guest, not in the system of a disk', `Leave out ${image.path}.`)
    const other = (['kernel', 'initrd'] as const).find((name) => values[name] !== undefined)
    if (other !== undefined) throw usageError('--exec', `works in the prepared Debian guest, not with --${other}`, `Leave out --${other}.`)
  }
  if (values.firmware === NO_FIRMWARE && (values.kernel === undefined || values.kernel === 'none')) {
    throw usageError('--firmware', 'without firmware, there must be a kernel for M-mode', 'Give one with --kernel.', values.firmware)
  }
  if (values['gdb-wait'] === true && values.gdb === undefined) throw usageError('--gdb-wait', 'there is no debugger to wait for', 'Give --gdb too.')
  const disc = image !== null && values.board !== undefined && isDisc(image.path) ? image : null
  const disks = [...(image === null || disc !== null ? [] : [image]), ...(values.disk ?? []).map((disk) => parseDisk(disk))]
  const cdroms = [...(disc === null ? [] : files.slice(0, 1)), ...values.cdrom ?? []].map((each) => parseDisk(each, '--cdrom'))
  const pmems = values.pmem?.map((disk) => parseDisk(disk, '--pmem'))
  const save = parseSave(values, args)
  const snapshots = parseSnapshots(values, files, [...disks, ...pmems ?? []].some(({ mode }) => mode === 'overlay'), args)
  if (snapshots !== undefined && (machineFile !== undefined || profile !== null)) throw usageError('--snapshots', 'is for machines of the command line', profile === null ? 'Give options instead of a machine file.' : 'Leave it out, or run.')
  checkRecord(values.record, values)
  const arch = values.arch === undefined ? undefined : parseArchitecture(values.arch)
  const options: RunOptions = {
    ...(machineFile !== undefined && { machineFile }),
    ...(values.kernel !== undefined && { kernel: values.kernel }),
    ...(values.initrd !== undefined && { initrd: values.initrd }),
    ...(values.append !== undefined && { append: values.append }),
    ...(values.firmware !== undefined && { firmware: values.firmware }),
    ...(image !== null && values.kernel === undefined && values.board === undefined && { bootDisk: image }),
    disks,
    ...(cdroms.length > 0 && { cdroms }),
    shares: parseShares(values.share ?? []),
    ...(values.vsock !== undefined && { vsock: values.vsock }),
    ...(values.memory !== undefined && { memory: parseMemory(values.memory) }),
    ...(values.harts !== undefined && { harts: parseHarts(values.harts) }),
    ...(arch !== undefined && { arch }),
    ...(values.board !== undefined && { board: oneOf('--board', values.board, ['pc']) }),
    ...(values.screenshot !== undefined && { screenshot: values.screenshot }),
    ...(values.virtio !== undefined && { virtio: parseVirtio(values.virtio) }),
    ...(values.interrupts !== undefined && { interrupts: parseInterrupts(values.interrupts) }),
    ...(values.net !== undefined && { nets: values.net.flatMap(parseNet) }),
    ...(values.balloon !== undefined && { balloon: parseBalloon(values.balloon) }),
    ...(pmems !== undefined && { pmems }),
    ...(save !== undefined && { save }),
    ...(snapshots !== undefined && { snapshots }),
    ...(values.record !== undefined && { record: { path: values.record, lines: [args] } }),
    ...(values.exec !== undefined && { exec: values.exec }),
    ...(values.console !== undefined && { console: oneOf('--console', values.console, ['ttyS0', 'hvc0', 'screen']) }),
    ...(values['input-end'] !== undefined && { inputEnd: oneOf('--input-end', values['input-end'], ['eot', 'ignore']) }),
    ...(values['dump-dtb'] !== undefined && { dumpDtb: values['dump-dtb'] }),
    ...(values.gdb !== undefined && { gdb: parseGdb(values.gdb) }),
    ...(values['gdb-wait'] === true && { gdbWait: true }),
    quiet: values.quiet ?? false,
    stats: values.stats ?? false,
  }
  return profile === null ? { kind: 'run', options } : { kind: 'profile', options, profile }
}
