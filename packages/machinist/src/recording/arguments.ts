import { COMMON_OPTIONS } from '../command-line/table.ts'
import type { GdbAddress } from '../gdb/listen.ts'
import { parseGdb } from '../gdb/option.ts'
import { parseFlags, SEE_HELP, usageError, type Values } from '../usage.ts'
import { REPLAY_OPTIONS } from './options.ts'

/** The name of the command. */
export const REPLAY = 'replay'

/** What `machinist replay` was asked for. */
export interface ReplayChoice {
  readonly file: string
  readonly quiet: boolean
  /** Instructions after which it is to stop. */
  readonly until?: number
  readonly gdb?: GdbAddress
  /** It stands still until a debugger lets it go. */
  readonly gdbWait?: boolean
}

const FLAGS = { ...REPLAY_OPTIONS, ...COMMON_OPTIONS } as const

/** `machinist replay FILE`; null for its help. @throws a typed error `'usage'` */
export function parseReplay(args: readonly string[]): ReplayChoice | null {
  const { values, positionals }: { values: Values<typeof FLAGS>; positionals: string[] } = parseFlags(args, FLAGS, REPLAY)
  if (values.help === true) return null
  const [file, more] = positionals
  if (file === undefined || file === '' || more !== undefined) throw usageError(REPLAY, 'needs one file', 'Use machinist replay FILE.', more)
  const { until, gdb, 'gdb-wait': gdbWait = false } = values
  if (until !== undefined && !(/^[0-9]+$/.test(until) && Number.isSafeInteger(Number(until)))) throw usageError('--until', 'not a number of instructions', 'Give a whole number.', until)
  if (gdbWait && gdb === undefined) throw usageError('--gdb-wait', 'there is no debugger to wait for', 'Give --gdb too.')
  return {
    file, quiet: values.quiet ?? false,
    ...(until !== undefined && { until: Number(until) }),
    ...(gdb !== undefined && { gdb: parseGdb(gdb) }),
    ...(gdbWait && { gdbWait }),
  }
}

/** What stands in the way of `--record FILE`. @throws a typed error `'usage'` */
export function checkRecord(file: string | undefined, others: { readonly 'dump-dtb'?: string; readonly gdb?: string; readonly snapshots?: string }): void {
  if (file === undefined) return
  if (file === '') throw usageError('--record', 'no path is given', SEE_HELP)
  if (others['dump-dtb'] !== undefined) throw usageError('--record', 'there is nothing to record with --dump-dtb', 'Leave one of them out.')
  if (others.snapshots !== undefined) throw usageError('--record', 'a machine of --snapshots is not recorded', 'Leave one of them out.')
  if (others.gdb !== undefined) throw usageError('--record', 'what a debugger changes is not recorded', 'Leave one of them out; a recording can be debugged as often as wanted.')
}
