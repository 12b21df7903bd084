import { machinistError } from '@machinist/api'
import type { BackendDescriptor } from '@machinist/machine'
import { type Nat, nat, type NatOptions } from '@machinist/network'
import { nodeSockets } from './sockets.ts'

/** What a definition may say of a NAT: names of {@link NatOptions}, and the type of each. */
const NAT_OPTIONS: Readonly<Record<string, 'string' | 'number' | 'list' | 'network6'>> = {
  mode: 'string', network: 'string', network6: 'network6', mac: 'string', otherwise: 'string', mtu: 'number', connections: 'number', conversations: 'number',
  buffers: 'number', forward: 'list', service: 'list', rules: 'list', resolvers: 'list',
}

function fits(value: unknown, type: (typeof NAT_OPTIONS)[string]): boolean {
  if (type === 'list') return Array.isArray(value) && value.every((each) => typeof each === 'string')
  return type === 'network6' ? value === false || typeof value === 'string' : typeof value === type
}

/**
 * The NAT that a definition describes: `{ type: 'nat', forward: ['tcp:127.0.0.1:2222-:22'] }`, with the options of `nat` that are plain data,
 * and `resolvers`.
 *
 * @param warn - is told of what goes wrong later
 * @param machineAt - several machines are behind it, which this tells apart, as `machineAt` of a NAT does
 * @throws typed errors `'backend-option'`, `'nat-option'`
 */
export function natFrom(descriptor: BackendDescriptor, part: string, warn: (message: string) => void, machineAt?: (mac: number) => unknown): Nat {
  const { type: _type, ...given } = typeof descriptor === 'string' ? { type: descriptor } : descriptor
  for (const [name, value] of Object.entries(given)) {
    const type = Object.hasOwn(NAT_OPTIONS, name) ? NAT_OPTIONS[name] : undefined
    if (type === undefined) {
      throw machinistError({ code: 'backend-option', part, value: name, remedy: `Use ${Object.keys(NAT_OPTIONS).join(', ')}.` }, 'a NAT has no such option')
    }
    if (!fits(value, type)) {
      const remedy = type === 'list' ? 'Give a list of strings.' : type === 'number' ? 'Give a number.' : 'Give a string.'
      throw machinistError({ code: 'backend-option', part, value: name, remedy }, 'an option of the wrong type')
    }
  }
  const { resolvers, ...options } = given as NatOptions & { readonly resolvers?: readonly string[] }
  return nat(nodeSockets({ ...(resolvers !== undefined && { resolvers }) }), { ...options, ...(machineAt && { shared: true, machineAt }), warn })
}
