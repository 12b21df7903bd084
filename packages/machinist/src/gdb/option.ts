import { usageError } from '../usage.ts'
import type { GdbAddress } from './listen.ts'

/** Where debuggers are listened for, unless an address is given: they rule the machine, and nobody asks them for a password. */
const THIS_HOST = '127.0.0.1'
const MAX_PORT = 65535

/** `[ADDRESS:]PORT`, with an IPv6 address in brackets; or the path of a Unix socket, which has a slash. */
export function parseGdb(value: string): GdbAddress {
  if (value.includes('/')) return { path: value }
  const [, inner, plain, digits = ''] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?([0-9]{1,5})$/.exec(value) ?? []
  const port = digits === '' ? -1 : Number(digits)
  if (port < 0 || port > MAX_PORT) throw usageError('--gdb', 'not a port or a path', 'Use --gdb PORT, ADDRESS:PORT, or the path of a socket, with a slash.', value)
  return { host: inner ?? plain ?? THIS_HOST, port }
}

/** The same for people, and for GDB's `target remote`. */
export function gdbTarget(address: GdbAddress): string {
  if ('path' in address) return address.path
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}
