import type { DebugReason, DebugStop, VcpuDebug } from '@machinist/api'
import { parseHex, parseSmallHex } from './text.ts'

/** Most breakpoints and watchpoints at a time. */
export const MAX_STOPS = 4096
/** Most bytes that a watchpoint covers. */
const MAX_WATCHED = 4096
const SPACE = 1n << 64n

const kinds = ['software', 'hardware', 'write', 'read', 'access'] as const
type Kind = (typeof kinds)[number]
/** What a stop reply calls a watchpoint. */
const replies = { write: 'watch', read: 'rwatch', access: 'awatch' } as const

interface Point {
  readonly kind: Kind
  readonly address: bigint
  readonly length: number
}

/** The breakpoints and watchpoints of a session: `Z` and `z` packets. */
export class Stops {
  readonly #points = new Map<string, Point>()
  #changed = false

  /** `Z…` inserts, `z…` removes; both may come twice. The answer. */
  packet(data: string): string {
    const [, type = '', at = '', size = ''] = /^[Zz]([0-9a-f]+),([0-9a-fA-F]+),([0-9a-fA-F]+)$/.exec(data) ?? []
    const kind = kinds[Number(type)]
    const [address, length] = [parseHex(at), parseSmallHex(size)]
    if (type !== '' && kind === undefined) return ''
    if (kind === undefined || address === null || length === null) return 'E01'
    if (kind !== 'software' && kind !== 'hardware' && (length < 1 || length > MAX_WATCHED || address + BigInt(length) > SPACE)) return 'E16'
    const key = `${kind} ${at} ${size}`
    if (data.startsWith('Z')) {
      if (!this.#points.has(key) && this.#points.size >= MAX_STOPS) return 'E0c'
      this.#points.set(key, { kind, address, length })
    } else {
      this.#points.delete(key)
    }
    this.#changed = true
    return 'OK'
  }

  /** Tells the harts, if there is something new. */
  apply(harts: readonly VcpuDebug[]): void {
    if (!this.#changed) return
    this.#changed = false
    for (const hart of harts) hart.setStops(this.list)
  }

  /** What harts are told. */
  get list(): readonly DebugStop[] {
    return [...this.#points.values()].map(({ kind, address, length }): DebugStop =>
      kind === 'software' || kind === 'hardware' ? { kind: 'breakpoint', address } : { kind: 'watchpoint', address, length, on: kind })
  }

  clear(harts: readonly VcpuDebug[]): void {
    this.#changed ||= this.#points.size > 0
    this.#points.clear()
    this.apply(harts)
  }

  /** What a stop reply says of the reason; `known`: the reasons that the debugger has said it understands. */
  describe(reason: DebugReason | null, known: ReadonlySet<string>): string {
    if (reason?.kind === 'watchpoint') return `${replies[reason.stop.on]}:${reason.address.toString(16)};`
    if (reason?.kind !== 'breakpoint') return ''
    const hardware = [...this.#points.values()].some(({ kind, address }) => kind === 'hardware' && address === reason.address)
    const name = hardware ? 'hwbreak' : 'swbreak'
    return known.has(name) ? `${name}:;` : ''
  }
}
