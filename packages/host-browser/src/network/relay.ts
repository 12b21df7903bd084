import { type Backend, machinistError, maximumFrame, type NetPort, noOffloads } from '@machinist/api'
import type { HostLoop } from '@machinist/machine'
import { virtualSwitch } from '@machinist/network'

/** What is spoken, and how a token is told: a page can set no header. */
const PROTOCOL = 'machinist.ethernet.1'
const TOKEN = 'machinist.token.'
/** Bytes that may be on their way to the relay. */
const WINDOW = 1 << 20
/** Nanoseconds after which it is looked whether there is room again: a WebSocket does not tell. */
const LOOK = 5e6
/** Nanoseconds until the next attempt to reach a relay that does not answer, at first and at last. */
const AGAIN = { first: 1e9, last: 30e9 } as const
/** Nanoseconds between looks whether the relay said anything, and looks without a word after which it is gone: it sends an empty message every 15 s, since a computer that vanishes says nothing of it. */
const SILENCE = { look: 15e9, most: 3 } as const
/** Addresses and type. */
const ETHERNET_HEADER = 14

/** A browser's own (WebSockets, 3). */
interface Socket {
  binaryType: string
  readonly bufferedAmount: number
  readonly readyState: number
  onopen: (() => void) | null
  onclose: (() => void) | null
  onmessage: ((event: { readonly data: unknown }) => void) | null
  send(bytes: Uint8Array): void
  close(): void
}

const OPEN = 1

/** A relay, as `machinist relay` is one. */
export interface RelayChoice {
  /** Of the WebSocket: `ws:` or `wss:`. */
  readonly url: string
  /** What the relay wants to be told. */
  readonly token?: string
}

/** What {@link relayNetwork} may be told. */
export interface RelayNetworkOptions {
  /** Names the port in errors. */
  readonly part: string
  readonly loop: HostLoop
  /** Told when the relay does not answer. */
  readonly warn?: (message: string) => void
}

/** @throws a typed error `'backend-option'` */
function check({ url, token }: RelayChoice, part: string): void {
  const refuse = (value: unknown, problem: string, remedy: string): never => { throw machinistError({ code: 'backend-option', part, value: String(value), remedy }, problem) }
  if (typeof url !== 'string' || !URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol)) refuse(url, 'it is no URL of a relay', 'Give one as ws://127.0.0.1:8022/.')
  if (token !== undefined && (typeof token !== 'string' || !/^[\w.~-]+$/.test(token))) refuse(typeof token, 'it is no token', 'Give the one that the relay was given.')
}

/**
 * A network whose way out is a relay, `machinist relay`: there, each page has one of its own with DHCP, and reaches what the relay was told. The cable is out until the relay answers, and while it says nothing for 45 s; it is tried again.
 * What waits for it is bounded: 1 MiB on its way, and 256 frames; frames are lost beyond that, as networks lose frames.
 *
 * @throws a typed error `'backend-option'`, also where this page may not connect to such an URL: one of `https:` to `ws:` on another computer
 */
export function relayNetwork(relay: RelayChoice, { part, loop, warn = () => undefined }: RelayNetworkOptions): Backend<NetPort> {
  check(relay, part)
  const { WebSocket } = globalThis as unknown as { readonly WebSocket: new (url: string, protocols: readonly string[]) => Socket }
  const own = virtualSwitch({ name: part })
  const device = own.port({ name: part, link: false })
  const line = own.port({ name: relay.url, queueFrames: 256, queueBytes: 1 << 20 }).connect((callback) => { loop.soon(callback) })
  let socket: Socket | null = null
  let cancel: (() => void) | null = null
  let look: (() => void) | null = null
  let watch: (() => void) | null = null
  let wait: number = AGAIN.first

  const flush = (): void => {
    if (socket?.readyState !== OPEN) return
    while (socket.bufferedAmount < WINDOW) {
      const frame = line.receive()
      if (frame === null) return
      socket.send(frame.bytes)
    }
    look ??= loop.after(LOOK, () => {
      look = null
      flush()
    })
  }
  const lost = (): void => {
    const last = socket
    socket = null
    watch?.()
    last?.close()
    device.setLink(false)
    warn(`The relay at ${relay.url} does not answer, or refuses this page. It is tried again in ${wait / 1e9} s.`)
    cancel = loop.after(wait, again)
    wait = Math.min(AGAIN.last, 2 * wait)
  }
  /** Throws what the browser throws. */
  const open = (): void => {
    const opened = socket = new WebSocket(relay.url, [PROTOCOL, ...(relay.token === undefined ? [] : [`${TOKEN}${relay.token}`])])
    let silent = 0
    const listen = (): void => {
      watch = loop.after(SILENCE.look, () => {
        // Looks are counted, not time: of a page that was frozen, messages wait behind the first look.
        if (++silent < SILENCE.most) listen()
        else lost()
      })
    }
    listen()
    opened.binaryType = 'arraybuffer'
    opened.onopen = () => {
      if (socket !== opened) return
      wait = AGAIN.first
      device.setLink(true)
      flush()
    }
    opened.onmessage = ({ data }) => {
      if (socket !== opened) return
      silent = 0
      if (!(data instanceof ArrayBuffer) || data.byteLength < ETHERNET_HEADER || data.byteLength > maximumFrame) return
      line.send({ bytes: new Uint8Array(data) })
    }
    opened.onclose = () => { if (socket === opened) lost() }
  }
  const again = (): void => {
    cancel = null
    try {
      open()
    } catch {
      lost()
    }
  }
  line.accept(noOffloads)
  line.listen({ readable: flush, writable: () => undefined, linkChanged: () => undefined })
  try {
    open()
  } catch (error) {
    const remedy = 'From a page of https: give a relay as wss:, with TLS in front of it, or one on this computer, as ws://127.0.0.1:8022/.'
    throw machinistError({ code: 'backend-option', part, value: relay.url, remedy }, `the browser does not connect there (${error instanceof Error ? error.message : String(error)})`)
  }

  return {
    kind: 'net',
    connect: (deliver, clock) => device.connect(deliver, clock),
    save: () => device.save?.() ?? [],
    restore: (saved, where) => device.restore?.(saved, where) ?? false,
    close() {
      cancel?.()
      look?.()
      watch?.()
      const last = socket
      socket = null
      last?.close()
      device.close()
    },
  }
}
