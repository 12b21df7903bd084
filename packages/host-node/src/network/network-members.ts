import { type Backend, machinistError, type NetPort } from '@machinist/api'
import { type Channel, errorOf, type Fault, localChannel } from '@machinist/hypervisor'
import type { BackendDescriptor, HostLoop } from '@machinist/machine'
import { cable } from '@machinist/network'
import { FrameCarrier } from './frame-carrier.ts'
import { natFrom } from './networks.ts'
import { type FromNetworks, processNetworks, type SharedNetwork, type SharedNetworks, type ToNetworks } from './shared-networks.ts'

/** The machines of a thread in networks that those of others may be in, too. */
export interface NetworkMembers {
  /**
   * The backend of a device that is in a network with a name; null for a descriptor of something else.
   *
   * @param station - the device's name in all of its networks; addresses are made of it. One of this thread unless given
   * @throws typed errors `'backend-option'`, `'nat-option'`. A network that there cannot be ends the machine when it is connected
   */
  backend(descriptor: BackendDescriptor, part: string, station?: string): Backend<NetPort> | null
}

/** What a descriptor says: the name of the network, and what it is like. */
function namedIn(descriptor: BackendDescriptor, part: string): { readonly name: string; readonly network: SharedNetwork } | null {
  const { type, ...given }: SharedNetwork = typeof descriptor === 'string' ? { type: descriptor } : descriptor
  const key = type === 'switch' ? 'name' : 'switch'
  const { [key]: name, ...options } = given
  if (type !== 'switch' && (type !== 'nat' || name === undefined)) return null
  if (typeof name !== 'string' || name === '') throw machinistError({ code: 'backend-option', part, value: String(name), remedy: "Give it a name, such as 'lan'." }, 'a switch without a name')
  const [unknown] = type === 'switch' ? Object.keys(options) : []
  if (unknown !== undefined) throw machinistError({ code: 'backend-option', part, value: unknown, remedy: 'Leave it out.' }, 'a switch has no such option')
  // Options are looked at here, where whoever wrote them hears of it.
  if (type === 'nat') natFrom({ type, ...options }, part, () => undefined).close()
  return { name, network: { type, ...options } }
}

/**
 * The machines of this thread, in the networks at the other end of a line.
 *
 * @param line - to {@link SharedNetworks.serve}
 */
export function networkMembers(line: Channel<ToNetworks, FromNetworks>): NetworkMembers {
  const members = new Map<number, { readonly carrier: FrameCarrier; failed(fault: Fault): void }>()
  let made = 0
  line.onMessage = (message) => {
    const member = members.get(message.id)
    if (message.type === 'failed') member?.failed(message.fault)
    else member?.carrier.hear(message)
  }
  return {
    backend(descriptor, part, station = String(made)) {
      const found = namedIn(descriptor, part)
      if (found === null) return null
      const { name, network } = found
      const id = made++
      const size = network.mtu === undefined ? {} : { mtu: network.mtu }
      const [near, far] = cable({ name: `${name}/${station}`, ...size }, size)
      return {
        kind: 'net',
        connect(deliver, clock) {
          const port = near.connect(deliver, clock)
          const carrier = new FrameCarrier(far.connect(queueMicrotask), (message) => { line.post({ ...message, id }) })
          // What is thrown in the gate ends the machine: it had better not be where nobody finds it.
          members.set(id, { carrier, failed: (fault) => { deliver(() => { throw errorOf(fault) }) } })
          line.post({ type: 'open', id, name, network, part, ...(port.address !== undefined && { address: port.address }) })
          return Object.assign(port, { claim: (address: string) => { line.post({ type: 'claim', id, address }) } })
        },
        close() {
          if (!members.delete(id)) return
          line.post({ type: 'close', id })
          far.close()
          near.close()
        },
      }
    },
  }
}

/** The machines of the thread where the networks are. */
export function membersHere(loop: HostLoop, networks: SharedNetworks = processNetworks): NetworkMembers {
  const [machines, control] = localChannel<ToNetworks, FromNetworks>(loop)
  networks.serve(control)
  return networkMembers(machines)
}
