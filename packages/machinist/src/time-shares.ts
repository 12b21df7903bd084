import { type Profiler, Session } from 'node:inspector'

/** Where the time of the machine's thread goes. */
export const timeShares = ['translated code', 'interpreter', 'slow path', 'compiling', 'devices', 'other'] as const
export type TimeShare = typeof timeShares[number]
/** Microseconds; time in which the thread waited is not counted. */
export type TimeSpent = Readonly<Record<TimeShare, number>>

/** Between two looks, in microseconds. */
const INTERVAL = 1000

/** Packages whose code, called by the machine, is the work of devices; and those that write and compile translations. */
const DEVICES = new Set(['bus', 'devices', 'interrupts', 'virtio', 'registers', 'storage', 'network', 'packets', 'host-node'])
const COMPILERS = new Set(['translator', 'wasm'])
/** Those of CPUs in software. */
const CPUS = new Set(['cpu-core', 'cpu-riscv', 'cpu-x86', 'mmu'])
const WAITING = new Set(['(idle)', '(program)', '(root)'])

/**
 * What a function's own time counts as; undefined when that follows from its callers. Regions are `r0`, `r1` and so on in modules
 * of their own, and `run` is the interpreter in the harts' module, which also has the ways from region to region.
 */
function shareOf({ functionName: name, url }: { readonly functionName: string; readonly url: string }): TimeShare | undefined {
  if (url.startsWith('wasm:')) return /^r\d+$|^exit\./.test(name) ? 'translated code' : name === 'run' ? 'interpreter' : 'slow path'
  const home = /(?:@machinist|packages)\/([^/]+)\//.exec(url)?.[1]
  if (home === undefined) return undefined
  if (COMPILERS.has(home)) return 'compiling'
  if (DEVICES.has(home)) return 'devices'
  // Decoding, walks, traps, and the way into generated code and out.
  return CPUS.has(home) ? 'slow path' : 'other'
}

/** Adds up the time of a profile by what the machine did in it. */
export function spentIn({ nodes, samples = [], timeDeltas = [] }: Pick<Profiler.Profile, 'nodes' | 'samples' | 'timeDeltas'>): TimeSpent {
  const spent = { 'translated code': 0, interpreter: 0, 'slow path': 0, compiling: 0, devices: 0, other: 0 }
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const shares = new Map<number, TimeShare | null>()
  const visit = (id: number, caller: TimeShare): void => {
    const node = byId.get(id)
    if (node === undefined) return
    const { callFrame, children = [] } = node
    // Translating is one thing, whoever helps with it, and so is the work of a device.
    const share = caller === 'compiling' || caller === 'devices' ? caller : shareOf(callFrame) ?? caller
    shares.set(id, WAITING.has(callFrame.functionName) ? null : share)
    // What generated code calls is the slow path, unless it is something else.
    for (const child of children) visit(child, callFrame.url.startsWith('wasm:') ? 'slow path' : share)
  }
  if (nodes[0] !== undefined) visit(nodes[0].id, 'other')
  samples.forEach((id, i) => {
    const share = shares.get(id)
    if (share !== null && share !== undefined) spent[share] += Math.max(0, timeDeltas[i] ?? 0)
  })
  return spent
}

/** Measures, with V8's own profiler, where the time of this thread goes. */
export class TimeMeter {
  readonly #session = new Session()
  readonly #total: Record<TimeShare, number> = { ...spentIn({ nodes: [] }) }

  constructor() {
    this.#session.connect()
    this.#session.post('Profiler.enable')
    this.#session.post('Profiler.setSamplingInterval', { interval: INTERVAL })
    this.#session.post('Profiler.start')
  }

  /** What was spent since the last look, and goes on. */
  look(): TimeSpent {
    const spent = this.#stop()
    this.#session.post('Profiler.start')
    return spent
  }

  /** What was spent altogether; measures no more. */
  end(): TimeSpent {
    this.#stop()
    this.#session.disconnect()
    return this.#total
  }

  #stop(): TimeSpent {
    let spent = spentIn({ nodes: [] })
    this.#session.post('Profiler.stop', (error, result) => {
      if (error === null) spent = spentIn(result.profile)
    })
    for (const share of timeShares) this.#total[share] += spent[share]
    return spent
  }
}
