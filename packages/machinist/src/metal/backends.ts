import type { Backend, BackendKind, Deliver, NetPort } from '@machinist/api'
import type { BackendDescriptor } from '@machinist/machine'
import { join, virtualSwitch } from '@machinist/network'
import { balloonControl } from '@machinist/virtio'

/** What machines in an image are connected to: all networks are one switch, and nobody asks for memory by a balloon. */
export interface MetalBackends {
  readonly backend: (descriptor: BackendDescriptor, kind: BackendKind, part: string) => Backend<unknown> | null
  /** Joins the switch to the networks of the hardware. */
  uplink(networks: readonly Backend<NetPort>[], deliver: Deliver): void
}

/** Makes what machines of one image share. */
export function backends(): MetalBackends {
  const network = virtualSwitch()
  return {
    backend: (_descriptor, kind, part) => {
      if (kind === 'net') return network.port({ name: part })
      return kind === 'balloon' ? balloonControl({ target: 0 }) : null
    },
    uplink(networks, deliver) {
      for (const [index, hardware] of networks.entries()) join(network.port({ name: `uplink${index}` }), hardware, { deliver })
    },
  }
}
