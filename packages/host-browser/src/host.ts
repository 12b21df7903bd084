import { type Backend, type BackendKind, machinistError } from '@machinist/api'
import type { BackendDescriptor, HostLoop, MachineHost } from '@machinist/machine'
import { virtualSwitch } from '@machinist/network'
import { createMemory } from '@machinist/wasm'
import { browserLoop } from './loop.ts'
import { broadcastNetwork } from './network/broadcast.ts'
import { type RelayChoice, relayNetwork } from './network/relay.ts'

const WASM_PAGE = 65536
/** What an arena needs before anything is allocated in it. */
const INITIAL_PAGES = 16
const NS_PER_MS = 1_000_000n

/** Options of {@link browserHost}. */
export interface BrowserHostOptions {
  /** Makes what is at the host's end of consoles: `'terminal'` and `'stdout'` in definitions. */
  readonly console?: (part: string, loop: HostLoop, input: boolean) => Backend<unknown>
  /** The relay of networks that name none. */
  readonly relay?: RelayChoice
  /** Told of what goes wrong at the host's end of a part. */
  readonly warn?: (part: string, message: string) => void
  /** Most bytes for one machine; 4 GiB unless given. */
  readonly maximumMemory?: number
}

/** Whether the page is isolated from other origins, and so has memory that threads share. */
export function isIsolated(): boolean {
  return (globalThis as { readonly crossOriginIsolated?: boolean }).crossOriginIsolated === true
}

/**
 * A browser as a host: best in a worker, which nothing on a page can hold up. Memory is shared where the page is isolated from other origins, and
 * plain elsewhere. For definitions it knows the backends `'terminal'`, `'stdout'`, `'unplugged'`, a network of nobody, `{ type: 'switch', name, address }`, a network of all machines
 * of this origin, in this tab and others, that name it, and `{ type: 'relay', url, token }`, or `'relay'` for that of the options, a way out; `openBrowserDisks` opens disks beforehand.
 */
export function browserHost(options: BrowserHostOptions = {}): MachineHost {
  const loop = browserLoop()
  return {
    loop,
    ...(options.maximumMemory !== undefined && { maximumMemory: options.maximumMemory }),
    linearMemory(maximum) {
      try {
        return createMemory({ initial: INITIAL_PAGES, maximum: Math.max(INITIAL_PAGES, Math.floor(maximum / WASM_PAGE)), shared: isIsolated() })
      } catch {
        throw machinistError({ code: 'host-memory', part: 'memory', value: `${maximum} bytes`, remedy: 'Give the machine less memory, or close other tabs.' }, 'the browser has no room for a machine')
      }
    },
    entropy: { fill: fillRandom },
    wallClock: { now: () => BigInt(Date.now()) * NS_PER_MS },
    backend: (descriptor, kind, part) => byName(descriptor, kind, part, loop, options),
  }
}

/** Most bytes that a browser gives at once (Web Cryptography, 10.1.1). */
const MOST_RANDOM = 65536

function fillRandom(into: Uint8Array): void {
  // Of shared memory browsers take no view.
  for (let at = 0; at < into.length; at += MOST_RANDOM) into.set(crypto.getRandomValues(new Uint8Array(Math.min(MOST_RANDOM, into.length - at))), at)
}

function byName(descriptor: BackendDescriptor, kind: BackendKind, part: string, loop: HostLoop, { console, relay, warn }: BrowserHostOptions): Backend<unknown> | null {
  const name = typeof descriptor === 'string' ? descriptor : descriptor.type
  if (kind === 'char' && (name === 'terminal' || name === 'stdout')) return console?.(part, loop, name === 'terminal') ?? null
  if (kind === 'net' && name === 'relay') {
    const choice = typeof descriptor === 'object' && 'url' in descriptor ? descriptor as unknown as RelayChoice : relay
    if (choice === undefined) throw machinistError({ code: 'backend-option', part, remedy: 'Give the URL of a relay, as relay of openMachine, or url.' }, 'a relay without a URL')
    return relayNetwork(choice, { part, loop, warn: (message) => { warn?.(part, message) } })
  }
  // Nobody else is there.
  if (kind === 'net' && name === 'unplugged') return virtualSwitch({ name }).port({ name: part })
  if (kind === 'net' && name === 'switch' && typeof descriptor === 'object') {
    const { name: network, address } = descriptor
    if (typeof network !== 'string') throw machinistError({ code: 'backend-option', part, value: String(network), remedy: 'Give it a name.' }, 'a switch without a name')
    if (address !== undefined && typeof address !== 'string') throw machinistError({ code: 'backend-option', part, value: String(address), remedy: "Give an Ethernet address, such as '02:00:00:00:00:01'." }, 'no address')
    return broadcastNetwork(network, { part, loop, ...(address !== undefined && { address }) })
  }
  return null
}
