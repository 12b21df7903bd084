import { type Backend, type BackendKind, machinistError, type NetPort } from '@machinist/api'
import type { BackendDescriptor } from '@machinist/machine'
import { join, namedSwitches, type NatOptions, natUplink, type NatUplink, type UplinkHost, virtualSwitch } from '@machinist/network'
import { balloonControl } from '@machinist/virtio'

/** What machines in an image are connected to. Balloons are the hypervisor's, which asks for memory by them when it gets short. */
export interface MetalBackends {
  readonly backend: (descriptor: BackendDescriptor, kind: BackendKind, part: string) => Backend<unknown> | null
  /**
   * Says what there is outside: the network of the hardware, if it has one.
   *
   * @param warn - told, in a sentence, what is not as somebody may believe
   */
  uplink(network: (Backend<NetPort> & { readonly address?: string }) | undefined, host: UplinkHost, warn: (message: string) => void): void
}

/** What a network is like: `nat` with its options, or `switch`, out of which nothing leads. */
type Network = NatOptions & { readonly type: string; readonly resolvers?: readonly string[] }

/**
 * Makes what machines of one image share: a switch on the wire of the hardware, on which are stations of their own (`tap`, whatever its name) and one that stands for all the others. Who has `nat` has a network alone behind that one,
 * or, with `switch`, one with all that name the same. Out of a `switch` nothing leads.
 */
export function backends(): MetalBackends {
  const wire = virtualSwitch({ name: 'wire' })
  let outside: NatUplink | null = null
  /** Where this is: addresses of stations are made of names of ports, and others on the wire must have others. */
  let place = ''
  let count = 0
  const behind = (part: string): NatUplink => {
    if (outside === null) throw machinistError({ code: 'backend-option', part, remedy: 'Open the hardware first.' }, 'there is no uplink yet')
    return outside
  }
  let deliver: UplinkHost['deliver'] = (callback) => { callback() }
  const switches = namedSwitches<Network>({
    deliver: (callback) => { deliver(callback) },
    gateway: ({ type, ...options }, part, machineAt) => (type === 'nat' ? behind(part).nat({ ...options, shared: true, machineAt }) : null),
  })
  const member = (name: unknown, network: Network, part: string): Backend<NetPort> => {
    if (typeof name !== 'string' || name === '') throw machinistError({ code: 'backend-option', part, value: String(name), remedy: "Give it a name, such as 'lan'." }, 'a switch without a name')
    return switches.port(name, network, { name: `${place}/${name}/${count++}` }, part)
  }
  const net = (descriptor: BackendDescriptor, part: string): Backend<NetPort> | null => {
    const { type, switch: name, ...options }: Network & { readonly switch?: unknown } = typeof descriptor === 'string' ? { type: descriptor } : descriptor
    if (type === 'tap') return wire.port({ name: `${place}/${count++}` })
    if (type === 'switch') return member(typeof descriptor === 'string' ? undefined : descriptor['name'], { type }, part)
    if (type !== 'nat') return null
    return name === undefined ? behind(part).nat(options) : member(name, { type, ...options }, part)
  }
  return {
    backend: (descriptor, kind, part) => {
      if (kind === 'net') return net(descriptor, part)
      return kind === 'balloon' ? balloonControl({ target: 0 }) : null
    },
    uplink(network, host, warn) {
      const address = network?.address
      place = address ?? ''
      deliver = host.deliver
      if (network !== undefined) join(wire.port({ name: 'uplink' }), network, { deliver })
      outside = natUplink(wire.port({ name: 'nat', ...(address !== undefined && { address }) }), host, { warn, ...(address !== undefined && { mac: address }) })
    },
  }
}
