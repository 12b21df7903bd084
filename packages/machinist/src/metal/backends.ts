import type { Backend, BackendKind, Deliver, NetPort } from '@machinist/api'
import type { BackendDescriptor } from '@machinist/machine'
import { join, virtualSwitch } from '@machinist/network'
import { balloonControl } from '@machinist/virtio'

/** What machines in an image are connected to: all networks are one switch, and nobody asks for memory by a balloon. */
export interface MetalBackends {
  readonly backend: (descriptor: BackendDescriptor, kind: BackendKind, part: string) => Backend<unknown> | null
  /** Joins the switch to the networks of the hardware. */
  uplink(networks: readonly (Backend<NetPort> & { readonly address?: string })[], deliver: Deliver): void
}

/** Makes what machines of one image share. */
export function backends(): MetalBackends {
  const network = virtualSwitch()
  /** Where this is: addresses of stations are made of names of ports, and others on the wire must have others. */
  let place = ''
  let count = 0
  return {
    backend: (_descriptor, kind) => {
      if (kind === 'net') return network.port({ name: `${place}/${count++}` })
      return kind === 'balloon' ? balloonControl({ target: 0 }) : null
    },
    uplink(networks, deliver) {
      place = networks.map(({ address }) => address ?? '').join()
      for (const [index, hardware] of networks.entries()) join(network.port({ name: `uplink${index}` }), hardware, { deliver })
    },
  }
}
