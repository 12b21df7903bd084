import type { Backend, NetPort } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { type Switch, virtualSwitch } from '@machinist/network'
import { agentPort } from './agent.ts'
import type { AgentLine } from './agent-line.ts'
import type { ConsoleView } from './console.ts'

/** The parts of a guest's machine: its agent, and its network. */
export const AGENT_PART = 'agent'
export const NETWORK_PART = 'net0'
const DEFAULT_PREFIX = 24
/** The first two bytes of a copy's Ethernet address: locally administered, to one station (IEEE 802, 8.4). */
const STATIONS = [0x02, 0x4d] as const

/** Of the other four, the bits that number the copies of one guest. */
const COPY_BITS = 20

/** The number of a copy among all that a process has, so that copies of several guests may share a network: that of the guest which booted, and its own among the copies. */
export function stationOf(booted: number, copy: number): number {
  return (booted << COPY_BITS | copy & (1 << COPY_BITS) - 1) >>> 0
}

/** Where a guest's network card leads. */
export interface NetworkChoice {
  /** A switch, at which it gets a place, or another network; nothing is plugged in unless given. */
  readonly network?: Switch | Backend<NetPort> | undefined
  /** Its address, such as `'10.0.0.1/24'`; the prefix is 24 bits unless given, 64 for IPv6. Without one it has none but that of IPv6 of its own. */
  readonly address?: string | undefined
}

/** The other end of the card. */
export function networkBackend({ network }: NetworkChoice): Backend<NetPort> {
  if (network === undefined) return virtualSwitch().port({ link: false })
  return 'connect' in network ? network : network.port()
}

/** The backends of a guest's machine, by part and port. */
export function backendsOf(console: ConsoleView, lines: readonly AgentLine[], network: Backend<NetPort>): Record<string, Backend<unknown>> {
  return {
    'uart0.console': console.backend,
    ...Object.fromEntries(lines.map((line, index) => [`${AGENT_PART}.${agentPort(index)}`, line.backend])),
    [`${NETWORK_PART}.net`]: network,
  }
}

/**
 * What a copy does to be another station than the guest that it was copied of; null for nothing.
 *
 * @param number - of the copy: see {@link stationOf}
 * @throws a typed error `'guest-address'`
 */
export function networkCommand(number: number, { network, address }: NetworkChoice, hostName: string | undefined): string | null {
  const commands: string[] = []
  if (hostName !== undefined && /^[\w-]{1,63}$/.test(hostName)) commands.push(`hostname ${hostName}`)
  if (network !== undefined) {
    const station = [...STATIONS, number >>> 24, number >>> 16, number >>> 8, number].map((byte) => (byte & 0xff).toString(16).padStart(2, '0')).join(':')
    commands.push('ip link set eth0 down', `ip link set eth0 address ${station}`, 'ip link set eth0 up')
  }
  if (address !== undefined) {
    if (!/^[0-9a-f.:]+(\/\d{1,3})?$/i.test(address)) throw machinistError({ code: 'guest-address', part: 'address', value: address, remedy: "Give one such as '10.0.0.1/24'." }, 'not an address')
    commands.push('ip addr flush dev eth0 scope global', `ip addr add ${address.includes('/') ? address : `${address}/${String(address.includes(':') ? 64 : DEFAULT_PREFIX)}`} dev eth0`)
  }
  return commands.length === 0 ? null : commands.join(' && ')
}
