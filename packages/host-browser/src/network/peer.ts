import { maximumFrame, type NetPort, noOffloads } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import type { Switch } from '@machinist/network'

/** Addresses and type. */
const ETHERNET_HEADER = 14
/** What a frame counts at least, in bytes: what it costs to keep an empty one. */
const LEAST = 256
/** Bytes that may be on their way to one station. */
const WINDOW = 1 << 20
/** Nanoseconds after which a station that takes nothing counts as gone. */
const PATIENCE = 30e9

const costOf = ({ length }: Uint8Array): number => Math.max(length, LEAST)

/** Bytes that are alone in their buffer: a message holds the whole buffer that it names a part of. */
function alone(bytes: Uint8Array): Uint8Array {
  return bytes.length === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes)
}

/** Whether a message is the bytes of a frame, alone in their buffer: others of this origin may use the name, too, memory that they share could change later, and a part of a buffer holds all of it. */
function isFrame(message: unknown): message is Uint8Array {
  return message instanceof Uint8Array && message.buffer instanceof ArrayBuffer && message.length === message.buffer.byteLength && message.length >= ETHERNET_HEADER && message.length <= maximumFrame
}

/** Another station of a network, as one has it. */
export interface Peer {
  /** When it was heard of last, in nanoseconds of the loop. */
  readonly heard: number
  /** @param why - what the other is told: that it is no use to call, unless it was only too slow */
  close(why?: 'left' | 'lost'): void
}

/**
 * A line to one other station, and its port at one's own switch. Each end tells how much it took out of the channel, in bytes; beyond 1 MiB that was not, frames wait in the port's queue, and are dropped when
 * that is full. So a tab that is frozen holds that much and no more, and holds up nobody else.
 *
 * @param line - names the channel, which these two alone have
 * @param gone - called when it has left (`'left'`), took nothing for half a minute (`'stuck'`), or says that this one did so, and is not known there any more (`'lost'`)
 */
export function openPeer(own: Switch, line: string, loop: HostLoop, gone: (why: 'left' | 'stuck' | 'lost') => void): Peer {
  // What comes from one station is not for another: they have lines of their own.
  const end = own.port({ name: line, isolated: true, queueFrames: 256, queueBytes: 1 << 20 })
  const port: NetPort = end.connect((callback) => { loop.soon(callback) })
  const channel = new BroadcastChannel(line)
  /** It was heard here: what is posted before it listens is lost, and would be waited for. */
  let open = false
  let underWay = 0
  /** When something was taken last, or nothing was on its way. */
  let since = loop.now()
  let calm: (() => void) | null = null
  let taken = 0
  let heard = loop.now()

  /** While there is no room on the way: frames that come meanwhile are dropped, and nothing else would notice that nothing is taken. */
  const watch = (): void => {
    calm = loop.after(Math.max(0, since + PATIENCE - loop.now()), () => {
      calm = null
      if (underWay < WINDOW) return
      if (loop.now() - since >= PATIENCE) gone('stuck')
      else watch()
    })
  }
  const flush = (): void => {
    if (!open) return
    while (underWay < WINDOW) {
      const frame = port.receive()
      if (frame === null) return
      if (underWay === 0) since = loop.now()
      underWay += costOf(frame.bytes)
      channel.postMessage(alone(frame.bytes))
    }
    if (calm === null) watch()
  }
  const tell = (): void => {
    channel.postMessage({ taken })
    taken = 0
  }
  // Nothing is told of a frame that somebody else could tell wrongly: they are plain.
  port.accept(noOffloads)
  port.listen({ readable: flush, writable: () => undefined, linkChanged: () => undefined })
  channel.onmessage = (event: unknown) => {
    const { data } = event as { readonly data: unknown }
    heard = loop.now()
    if (!open) {
      open = true
      tell()
    }
    if (isFrame(data)) {
      if (taken === 0) loop.soon(() => { if (taken > 0) tell() })
      taken += costOf(data)
      port.send({ bytes: data })
    } else if (typeof data === 'object' && data !== null) {
      const { taken: count, gone: why } = data as { readonly taken?: unknown; readonly gone?: unknown }
      if (why === 'left' || why === 'lost') {
        gone(why)
        return
      }
      if (typeof count !== 'number' || !(count >= 0)) return
      underWay = Math.max(0, underWay - count)
      since = heard
    }
    flush()
  }
  tell()
  return {
    get heard() { return heard },
    close(why = 'left') {
      // Nothing is told any more.
      taken = 0
      calm?.()
      channel.postMessage({ gone: why })
      channel.close()
      end.close()
    },
  }
}
