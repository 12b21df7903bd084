import type { GuestArchitecture } from './packages.ts'

/** What the guest should know before it starts. */
export interface GuestCommandLine {
  /** The kernel's console: `'ttyS0'`, `'hvc0'`. */
  readonly console: string
  /** What it runs on: `'riscv64'` unless given. */
  readonly architecture?: GuestArchitecture | undefined
  /** Where the shell is, when not there. */
  readonly shell?: string | undefined
  /** Keeps the kernel's messages off the console. */
  readonly quiet?: boolean | undefined
  /** Size of the user's terminal, in characters. */
  readonly rows?: number | undefined
  readonly columns?: number | undefined
  /** The kind of terminal: the host's `TERM`. */
  readonly term?: string | undefined
  /** The user's own words, last: they win. */
  readonly append?: string | undefined
}

/** Words by which a kernel that comes to its end before it knows its console says why. Behind `quiet`, which it heeds only from there on. */
export const earlyConsole = (architecture: GuestArchitecture = 'riscv64'): string => architecture === 'riscv64' ? 'earlycon=sbi' : 'earlycon=uart8250,io,0x3f8'

/** The kernel command line for a guest of `prepareGuest`. What is not a plain number or name is left out. */
export function guestCommandLine(options: GuestCommandLine): string {
  const size = (name: string, value: number | undefined): string[] =>
    value !== undefined && Number.isInteger(value) && value > 0 && value < 10_000 ? [`machinist.${name}=${value}`] : []
  return [
    `console=${options.console}`,
    ...(options.quiet === true ? ['quiet'] : []),
    earlyConsole(options.architecture),
    ...(options.shell !== undefined && options.shell !== options.console ? [`machinist.console=${options.shell}`] : []),
    ...size('rows', options.rows),
    ...size('columns', options.columns),
    ...(options.term !== undefined && /^[\w.+-]{1,40}$/.test(options.term) ? [`TERM=${options.term}`] : []),
    ...(options.append ? [options.append] : []),
  ].join(' ')
}
