import type { IrqLine } from '@machinist/api'

/** An input that lines end at. */
interface Net {
  readonly drive: (level: boolean) => void
  readonly send: (data: number) => void
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

  /** A line called `name` to the input `to`, which `drive` sets, and `send` sends to. */
  connect(name: string, to: string, drive: (level: boolean) => void, send: (data: number) => void = () => {}): WiredLine {
    let net = this.#nets.get(to)
    if (net === undefined) {
      net = { drive, send, asserted: 0 }
      this.#nets.set(to, net)
    }
    const line = wire(name, net)
    this.lines.push(line)
    return line
  }

  /** Whether a line asserts its input. */
  asserts(name: string): boolean {
    return this.lines.some((line) => line.name === name && line.level)
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

function wire(name: string, net: Net): WiredLine {
  let level = false
  const assume = (to: boolean): void => {
    if (to === level) return
    level = to
    net.asserted += to ? 1 : -1
  }
  const set = (to: boolean): void => {
    if (to === level) return
    const before = net.asserted > 0
    assume(to)
    const after = net.asserted > 0
    if (before !== after) net.drive(after)
  }
  return {
    name,
    get level() { return level },
    assume,
    set,
    pulse() {
      if (level) return
      set(true)
      set(false)
    },
    send(data) { net.send(data) },
  }
}

/** An output that goes nowhere. */
export const unconnected: IrqLine = { set() {}, pulse() {}, send() {} }
