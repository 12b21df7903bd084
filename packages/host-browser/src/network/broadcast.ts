import { type Backend, maximumFrame, type NetPort, noOffloads } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import { virtualSwitch } from '@machinist/network'

/** Addresses and type. */
const ETHERNET_HEADER = 14

/** What {@link broadcastNetwork} may be told. */
export interface BroadcastOptions {
  /** Names the port in errors. */
  readonly part: string
  readonly loop: HostLoop
  /** The station's address; a random one unless given. */
  readonly address?: string
}

/** Bytes that are alone in their buffer: a message holds the whole buffer that it names a part of. */
function alone(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes)
}

/** Whether a message is the bytes of a frame: others of this origin may use the name, too, and memory that they share could change later. */
function isFrame(message: unknown): message is Uint8Array {
  return message instanceof Uint8Array && message.buffer instanceof ArrayBuffer && message.length >= ETHERNET_HEADER && message.length <= maximumFrame
}

/** A locally administered address that nobody else has. */
function randomAddress(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(5))
  return ['02', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':')
}

/**
 * A network of all machines of this origin that name it, in one tab or several. A frame goes to all, as on a hub, and each has a switch of its own that keeps from
 * its machine what is for others. Frames are lost where a machine does not take them, as networks lose frames.
 */
export function broadcastNetwork(network: string, { part, loop, address = randomAddress() }: BroadcastOptions): Backend<NetPort> {
  const own = virtualSwitch({ name: network })
  const device = own.port({ name: part, address })
  const out = own.port({ name: `${network}/others` })
  const channel = new BroadcastChannel(`machinist:switch:${network}`)
  const port = out.connect((callback) => { loop.soon(callback) })
  // Nothing is told of a frame that somebody else could tell wrongly: they are plain.
  port.accept(noOffloads)
  port.listen({
    readable() {
      for (let frame = port.receive(); frame !== null; frame = port.receive()) channel.postMessage(alone(frame.bytes))
    },
    writable: () => undefined,
    linkChanged: () => undefined,
  })
  channel.onmessage = (event: unknown) => {
    const { data } = event as { readonly data: unknown }
    if (isFrame(data)) port.send({ bytes: data })
  }
  return {
    kind: 'net',
    connect: (deliver, clock) => device.connect(deliver, clock),
    save: () => device.save?.() ?? [],
    restore: (saved, where) => device.restore?.(saved, where) ?? false,
    close() {
      channel.close()
      device.close()
      out.close()
    },
  }
}
