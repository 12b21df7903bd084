import { type Channel, type Fault, faultOf } from '@machinist/hypervisor'
import type { Backend, NetPort } from '@machinist/api'
import { namedSwitches } from '@machinist/network'
import { type Carried, FrameCarrier } from './frame-carrier.ts'
import { natFrom } from './networks.ts'

/** What machines say of a network that they name: `nat` with its options, or `switch`, out of which nothing leads. */
export interface SharedNetwork {
  readonly type: string
  readonly mtu?: number
  readonly [option: string]: unknown
}

/** What the thread of machines says; `id` is that of a port, which it chooses, `address` what its device is called. */
export type ToNetworks =
  | { readonly type: 'open'; readonly id: number; readonly name: string; readonly network: SharedNetwork; readonly part: string; readonly address?: string }
  /** The device calls itself something else. */
  | { readonly type: 'claim'; readonly id: number; readonly address: string }
  | { readonly type: 'close'; readonly id: number }
  | Carried & { readonly id: number }

/** What is said to the thread of machines. */
export type FromNetworks =
  | Carried & { readonly id: number }
  /** There is no such port, or not any more. */
  | { readonly type: 'failed'; readonly id: number; readonly fault: Fault }

/** Networks that machines of several threads are in together: switches, each with at most one NAT, which live in the thread that makes this. */
export interface SharedNetworks {
  /**
   * Serves the thread of machines at the other end of a line.
   *
   * @returns takes out all its ports; the same happens when the line is lost
   */
  serve(line: Channel<FromNetworks, ToNetworks>): () => void
}

/** Makes networks for machines in several threads: for `workerProcessor` and `nodeHost`. A network is there while a machine is in it. */
export function sharedNetworks(): SharedNetworks {
  const warn = (message: string): void => { process.emitWarning(message, { code: 'MACHINIST_NAT' }) }
  const switches = namedSwitches<SharedNetwork>({
    deliver: queueMicrotask,
    gateway: (network, part, machineAt) => (network.type === 'nat' ? natFrom(network, part, warn, machineAt) : null),
  })
  return {
    serve(line) {
      const ports = new Map<number, { readonly port: Backend<NetPort>; readonly end: NetPort; readonly carrier: FrameCarrier }>()
      const close = (id: number): void => {
        const found = ports.get(id)
        ports.delete(id)
        found?.port.close?.()
      }
      const open = ({ id, name, network, part, address }: Extract<ToNetworks, { readonly type: 'open' }>): void => {
        const fail = (error: unknown): void => {
          close(id)
          line.post({ type: 'failed', id, fault: faultOf(error) })
        }
        try {
          const port = switches.port(name, network, { name: part, ...(address !== undefined && { address }) }, part, fail)
          const end = port.connect(queueMicrotask)
          ports.set(id, { port, end, carrier: new FrameCarrier(end, (message) => { line.post({ ...message, id }) }) })
        } catch (error) {
          fail(error)
        }
      }
      line.onMessage = (message) => {
        if (message.type === 'open') open(message)
        else if (message.type === 'close') close(message.id)
        else if (message.type === 'claim') ports.get(message.id)?.end.claim?.(message.address)
        else ports.get(message.id)?.carrier.hear(message)
      }
      const closeAll = (): void => { for (const id of [...ports.keys()]) close(id) }
      line.onClosed = closeAll
      return () => {
        closeAll()
        line.close()
      }
    },
  }
}

/** The networks of this process: those that its machines and its workers are in unless others are given. */
export const processNetworks: SharedNetworks = sharedNetworks()
