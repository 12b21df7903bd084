import type { Backend, BackendKind } from '@machinist/api'
import type { BackendDescriptor } from '@machinist/machine'
import { virtualSwitch } from '@machinist/network'

/** Makes the backends of machines in an image: all networks are one, of these machines. */
export function backendFor(): (descriptor: BackendDescriptor, kind: BackendKind, part: string) => Backend<unknown> | null {
  const network = virtualSwitch()
  return (_descriptor, kind, part) => kind === 'net' ? network.port({ name: part }) : null
}
