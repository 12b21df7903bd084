import type { IrqLine } from '@machinist/api'

/** A name for an input of a part. */
export const inputKey = (part: string, line: number | string): string => `${part} ${line}`

/** An input that lines end at: what sets it, and what sends to it. */
export interface WireEnd {
  readonly to: string
  readonly drive: (level: boolean) => void
  readonly send?: (data: number) => void
}

interface Net extends WireEnd {
  /** Lines that assert it. */
  asserted: number
}

/** One output's line, with what the machine needs to know of it. */
export interface WiredLine extends IrqLine {
  readonly name: string
  readonly level: boolean
  /** Takes the level without telling the input. */
  assume(level: boolean): void
}

/** The machine's interrupt lines. Lines that end at one input are ORed. */
export class Wiring {
  readonly #nets = new Map<string, Net>()
  readonly lines: WiredLine[] = []

  /** A line called `name` to some inputs, of which each has the same ways to it for all lines. */
  connect(name: string, ends: readonly WireEnd[]): WiredLine {
    const line = wire(name, ends.map((end) => {
      const net = this.#nets.get(end.to) ?? { ...end, asserted: 0 }
      this.#nets.set(end.to, net)
      return net
    }))
    this.lines.push(line)
    return line
  }

  /** Levels by line, for a saved state. */
  save(): Record<string, boolean> {
    return Object.fromEntries(this.lines.map((line) => [line.name, line.level]))
  }

  /** Takes levels back and drives every input with the result. */
  restore(levels: Readonly<Record<string, boolean>>): void {
    for (const line of this.lines) line.assume(levels[line.name] ?? false)
    for (const net of this.#nets.values()) net.drive(net.asserted > 0)
  }

  /** All lines low. */
  clear(): void {
    this.restore({})
  }
}

function wire(name: string, nets: readonly Net[]): WiredLine {
  const [only] = nets
  return only !== undefined && nets.length === 1 ? wireToOne(name, only) : wireToAll(name, nets)
}

/** Nearly all lines end at one input. */
function wireToOne(name: string, net: Net): WiredLine {
  let level = false
  const set = (to: boolean): void => {
    if (to === level) return
    level = to
    net.asserted += to ? 1 : -1
    if (net.asserted === (to ? 1 : 0)) net.drive(to)
  }
  return {
    name,
    get level() { return level },
    assume(to) {
      if (to !== level) net.asserted += to ? 1 : -1
      level = to
    },
    set,
    pulse() {
      if (level) return
      set(true)
      set(false)
    },
    send(data) { net.send?.(data) },
  }
}

function wireToAll(name: string, nets: readonly Net[]): WiredLine {
  let level = false
  // Who is told of a level may change it at once: each input goes by what it has been told.
  const ends = nets.map((net) => ({ net, told: false }))
  const tell = (drive: boolean): void => {
    for (let index = 0; index < ends.length; index++) {
      const end = ends[index]
      if (end === undefined || end.told === level) continue
      const { net } = end
      end.told = level
      net.asserted += level ? 1 : -1
      if (drive && net.asserted === (level ? 1 : 0)) net.drive(level)
    }
  }
  const set = (to: boolean): void => {
    if (to === level) return
    level = to
    tell(true)
  }
  return {
    name,
    get level() { return level },
    assume(to) {
      level = to
      tell(false)
    },
    set,
    pulse() {
      if (level) return
      set(true)
      set(false)
    },
    send(data) { for (const net of nets) net.send?.(data) },
  }
}

/** An output that goes nowhere. */
export const unconnected: IrqLine = { set() {}, pulse() {}, send() {} }
