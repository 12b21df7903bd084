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
  /** What the guest calls itself: letters, digits and dashes. */
  readonly hostname?: string | undefined
  /** Address of its first network, with the length of its prefix: `'10.0.0.1/24'`. It asks for none by DHCP then. */
  readonly address?: string | undefined
  /** The user's own words, last: they win. */
  readonly append?: string | undefined
}

/** Words by which a kernel that comes to its end before it knows its console says why. Behind `quiet`, which it heeds only from there on. */
export const earlyConsole = (architecture: GuestArchitecture = 'riscv64'): string => architecture === 'riscv64' ? 'earlycon=sbi' : 'earlycon=uart8250,io,0x3f8'

/** The kernel command line for a guest of `prepareGuest`. What is not a plain number or name is left out. */
export function guestCommandLine(options: GuestCommandLine): string {
  const size = (name: string, value: number | undefined): string[] =>
    value !== undefined && Number.isInteger(value) && value > 0 && value < 10_000 ? [`machinist.${name}=${value}`] : []
  const word = (name: string, value: string | undefined, form: RegExp): string[] => value !== undefined && form.test(value) ? [`machinist.${name}=${value}`] : []
  return [
    `console=${options.console}`,
    ...(options.quiet === true ? ['quiet'] : []),
    earlyConsole(options.architecture),
    ...(options.shell !== undefined && options.shell !== options.console ? [`machinist.console=${options.shell}`] : []),
    ...size('rows', options.rows),
    ...size('columns', options.columns),
    ...(options.term !== undefined && /^[\w.+-]{1,40}$/.test(options.term) ? [`TERM=${options.term}`] : []),
    ...word('hostname', options.hostname, /^[\da-z](?:[\da-z-]{0,61}[\da-z])?$/i),
    ...word('address', options.address, /^[\da-f.:]{2,45}\/\d{1,3}$/i),
    ...(options.append ? [options.append] : []),
  ].join(' ')
}
