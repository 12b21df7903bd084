import type { Backend, BackendKind } from '@machinist/api'
import type { BackendDescriptor } from '@machinist/machine'
import { virtualSwitch } from '@machinist/network'
import { balloonControl } from '@machinist/virtio'

/** Makes the backends of machines in an image: all networks are one, of these machines alone, and nobody asks for memory by a balloon. */
export function backendFor(): (descriptor: BackendDescriptor, kind: BackendKind, part: string) => Backend<unknown> | null {
  const network = virtualSwitch()
  return (_descriptor, kind, part) => {
    if (kind === 'net') return network.port({ name: part })
    return kind === 'balloon' ? balloonControl({ target: 0 }) : null
  }
}
