import { type Backend, type BackendKind, machinistError, type NetPort } from '@machinist/api'
import type { BackendDescriptor } from '@machinist/machine'
import { join, type NatOptions, natUplink, type NatUplink, type Switch, type UplinkHost, virtualSwitch } from '@machinist/network'
import { balloonControl } from '@machinist/virtio'

/** What machines in an image are connected to. Nobody asks for memory by a balloon. */
export interface MetalBackends {
  readonly backend: (descriptor: BackendDescriptor, kind: BackendKind, part: string) => Backend<unknown> | null
  /**
   * Says what there is outside: the network of the hardware, if it has one.
   *
   * @param warn - told, in a sentence, what is not as somebody may believe
   */
  uplink(network: (Backend<NetPort> & { readonly address?: string }) | undefined, host: UplinkHost, warn: (message: string) => void): void
}

/** Networks inside that several machines are in. */
interface Shared {
  readonly lan: Switch
  readonly options: string
}

type NatDescriptor = NatOptions & { readonly type: string; readonly switch?: string; readonly resolvers?: readonly string[] }

/**
 * Makes what machines of one image share: a switch on the wire of the hardware, on which are stations of their own (`tap`, whatever its name) and one that stands for all the others. Who has `nat` has a network alone behind that one,
 * or, with `switch`, one with all that name the same.
 */
export function backends(): MetalBackends {
  const wire = virtualSwitch({ name: 'wire' })
  const shared = new Map<string, Shared>()
  let outside: NatUplink | null = null
  /** Where this is: addresses of stations are made of names of ports, and others on the wire must have others. */
  let place = ''
  let count = 0
  const behind = (part: string): NatUplink => {
    if (outside === null) throw machinistError({ code: 'backend-option', part, remedy: 'Open the hardware first.' }, 'there is no uplink yet')
    return outside
  }
  /** A port of the network that has a name. Whoever is first says what it is like. */
  const member = (name: string, given: NatOptions & { readonly resolvers?: readonly string[] }, part: string): Backend<NetPort> => {
    const options = JSON.stringify(given)
    const known = shared.get(name)
    if (known !== undefined && known.options !== options) throw machinistError({ code: 'backend-option', part, value: name, remedy: 'Write the same options at all machines of a switch.' }, 'the switch has other options')
    const { lan } = known ?? { lan: virtualSwitch({ name }) }
    if (known === undefined) {
      join(lan.port({ name: `${name}/gateway` }), behind(part).nat(given), { deliver })
      shared.set(name, { lan, options })
    }
    return lan.port({ name: `${place}/${name}/${count++}` })
  }
  let deliver: UplinkHost['deliver'] = (callback) => { callback() }
  const net = (descriptor: BackendDescriptor, part: string): Backend<NetPort> | null => {
    const { type, switch: name, ...options }: NatDescriptor = typeof descriptor === 'string' ? { type: descriptor } : descriptor
    if (type === 'tap') return wire.port({ name: `${place}/${count++}` })
    if (type !== 'nat') return null
    return name === undefined ? behind(part).nat(options) : member(name, options, part)
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
      outside = natUplink(wire.port({ name: 'nat' }), host, { warn, ...(address !== undefined && { mac: address }) })
    },
  }
}
