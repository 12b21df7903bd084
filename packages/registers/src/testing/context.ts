import type {
  BackendWants, Clock, Device, DeviceContext, DeviceMemory, DeviceSpec, DmaSpace,
  IrqLine, MemorySpec, PortsOf, TimeCounter, Timer, Trace, Width,
} from '@machinist/api'
import { ServedDevice } from './shortcuts.ts'

/** An interrupt output, as the other end of the wire sees it. */
export interface FakeLine extends IrqLine {
  readonly level: boolean
  /** Changes from low to high so far, pulses included. */
  readonly edges: number
  /** What was sent so far, oldest first. */
  readonly sent: readonly number[]
}

/** Memory that a device brought along. What is not as it was when `takeDirty` was called last is dirty. */
export interface FakeMemory extends DeviceMemory {
  readonly bytes: Uint8Array
}

/** Virtual time that stands still until {@link FakeContext.advance}. */
export interface FakeClock extends Clock {
  /** When the timer of `port` expires; `Infinity` when it is not armed. */
  deadline(port: string): number
}

/** What {@link fakeContext} needs to know. */
export interface FakeContextOptions<Irq extends string, Wants extends BackendWants> {
  /** Name of the device; `'dut'` when absent. */
  readonly name?: string
  readonly irqs?: readonly Irq[]
  readonly backends: PortsOf<Wants>
  /** Size of RAM in bytes; 64 KiB when absent. */
  readonly memorySize?: number
  /** Where RAM begins; 0x8000_0000 when absent. */
  readonly memoryBase?: number
  /** Memory that the device brings along; {@link testDevice} asks its spec. */
  readonly ownMemory?: readonly MemorySpec[]
  /** `dma.map` gives pieces that end at multiples of this; 4096 when absent. */
  readonly frameSize?: number
  /** Ticks of the counter per second; 10 MHz when absent. */
  readonly frequency?: number
}

/** A device's context, and what a test may see and do behind it. */
export interface FakeContext<Irq extends string = string, Wants extends BackendWants = BackendWants> extends DeviceContext<Irq, Wants> {
  readonly irq: Readonly<Record<Irq, FakeLine>>
  readonly clock: FakeClock
  /** All of RAM. Its first byte is at `memoryBase`. */
  readonly memory: Uint8Array
  readonly memoryBase: number
  readonly ownMemory: readonly FakeMemory[]
  /** Warnings so far, oldest first. */
  readonly warnings: string[]
  /** Names the device that timers call; {@link testDevice} does. */
  attach(device: Device): void
  /**
   * Moves virtual time on, firing each timer that expires on the way, in order, at its own time. Throws when a
   * device arms a timer for the present without end.
   */
  advance(nanoseconds: number): void
}

/** Timers that may expire at one instant before a test fails: a device that always arms anew hangs a machine. */
const mostAtOnce = 10_000

/** Makes a context for one device. */
export function fakeContext<Irq extends string, Wants extends BackendWants>(
  options: FakeContextOptions<Irq, Wants>,
): FakeContext<Irq, Wants> {
  const memoryBase = options.memoryBase ?? 0x8000_0000
  const memory = new Uint8Array(options.memorySize ?? 0x1_0000)
  const warnings: string[] = []
  const deadlines = new Map<string, number>()
  let now = 0
  let device: Device | null = null
  const clock: FakeClock = {
    now: () => now,
    timer: (port): Timer => ({
      arm(at) { deadlines.set(port, at) },
      cancel() { deadlines.delete(port) },
    }),
    deadline: (port) => deadlines.get(port) ?? Infinity,
  }
  const due = (until: number): [string, number] | undefined =>
    [...deadlines].filter(([, at]) => at <= until).sort((a, b) => a[1] - b[1])[0]
  return {
    name: options.name ?? 'dut',
    irq: fakeLines(options.irqs ?? []),
    msi: null,
    dma: fakeDma(memory, memoryBase, options.frameSize ?? 4096),
    ownMemory: (options.ownMemory ?? []).map(({ size }, index) => fakeMemory(2 ** 33 + index * 2 ** 32, size)),
    clock,
    counter: fakeCounter(() => now, options.frequency ?? 10_000_000),
    backends: options.backends,
    trace: { enabled: false, warn(message) { warnings.push(message) }, event() {} } satisfies Trace,
    memory, memoryBase, warnings,
    attach(attached) { device = attached },
    advance(nanoseconds) {
      const until = now + nanoseconds
      let atOnce = 0
      for (let next = due(until); next !== undefined; next = due(until)) {
        const [port, at] = next
        atOnce = at > now ? 0 : atOnce + 1
        if (atOnce > mostAtOnce) throw new Error(`${options.name ?? 'dut'}: the timer '${port}' is armed for the present again and again`)
        now = Math.max(now, at)
        deadlines.delete(port)
        device?.event?.(port, undefined)
      }
      now = until
    },
  }
}

function fakeLines<Irq extends string>(names: readonly Irq[]): Readonly<Record<Irq, FakeLine>> {
  const lines: Partial<Record<Irq, FakeLine>> = {}
  for (const name of names) {
    let level = false
    let edges = 0
    const sent: number[] = []
    lines[name] = {
      get level() { return level },
      get edges() { return edges },
      set(to) {
        if (to && !level) edges++
        level = to
      },
      pulse() {
        if (!level) edges++
        level = false
      },
      sent,
      send(data) { sent.push(data) },
    }
  }
  return lines as Readonly<Record<Irq, FakeLine>>
}

/** Bytes that `dma.release` gives back at once. */
const page = 4096

function fakeDma(memory: Uint8Array, base: number, frame: number): DmaSpace {
  const inside = (address: number, length: number): boolean =>
    Number.isSafeInteger(address) && Number.isSafeInteger(length) && length >= 0 && address >= base && address - base + length <= memory.length
  const view = new DataView(memory.buffer, memory.byteOffset, memory.length)
  return {
    read(address, into) {
      if (!inside(address, into.length)) return false
      into.set(memory.subarray(address - base, address - base + into.length))
      return true
    },
    write(address, from) {
      if (!inside(address, from.length)) return false
      memory.set(from, address - base)
      return true
    },
    read16: (address) => inside(address, 2) ? view.getUint16(address - base, true) : -1,
    read32: (address) => inside(address, 4) ? view.getUint32(address - base, true) : -1,
    readWords(address, into) {
      if (!inside(address, 4 * into.length)) return false
      for (let index = 0; index < into.length; index++) into[index] = view.getUint32(address - base + 4 * index, true)
      return true
    },
    write16(address, value) {
      if (!inside(address, 2)) return false
      view.setUint16(address - base, value, true)
      return true
    },
    write32(address, value) {
      if (!inside(address, 4)) return false
      view.setUint32(address - base, value, true)
      return true
    },
    map(address, length) {
      if (!inside(address, length)) return null
      const pieces: Uint8Array[] = []
      for (let at = address - base, end = at + length; at < end;) {
        const stop = Math.min(end, (Math.floor(at / frame) + 1) * frame)
        pieces.push(memory.subarray(at, stop))
        at = stop
      }
      return pieces
    },
    release(address, length) {
      if (!inside(address, length)) return false
      const [first, end] = [Math.ceil(address / page) * page - base, Math.floor((address + length) / page) * page - base]
      if (first < end) memory.fill(0, first, end)
      return true
    },
  }
}

function fakeMemory(base: number, size: number): FakeMemory {
  const bytes = new Uint8Array(size)
  const words = new Uint32Array(bytes.buffer)
  let before: Uint32Array | null = null
  const inside = (offset: number, length: number): boolean => offset >= 0 && offset + length <= size
  return {
    base, size, bytes,
    read(offset, into) {
      if (!inside(offset, into.length)) return false
      into.set(bytes.subarray(offset, offset + into.length))
      return true
    },
    write(offset, from) {
      if (!inside(offset, from.length)) return false
      bytes.set(from, offset)
      return true
    },
    release(offset, length) {
      if (!inside(offset, length)) return false
      const [first, end] = [Math.ceil(offset / page) * page, Math.floor((offset + length) / page) * page]
      if (first < end) bytes.fill(0, first, end)
      return true
    },
    takeDirty() {
      const old = before ?? new Uint32Array(size / 4)
      const dirty = Array.from({ length: size / page }, (_, index) => index * page).filter((at) => {
        for (let word = at / 4; word < (at + page) / 4; word++) if (words[word] !== old[word]) return true
        return false
      })
      before = old
      before.set(words)
      return dirty
    },
  }
}

function fakeCounter(now: () => number, frequency: number): TimeCounter {
  const listeners: (() => void)[] = []
  let base = 0n
  const elapsed = (): number => Number(BigInt(now()) * BigInt(frequency) / 1_000_000_000n)
  return {
    frequency,
    get base() { return base },
    elapsed,
    read: () => BigInt.asUintN(64, base + BigInt(elapsed())),
    onWrite(listener) { listeners.push(listener) },
    write(ticks) {
      base = BigInt.asUintN(64, ticks - BigInt(elapsed()))
      for (const listener of listeners) listener()
    },
    timeOf(ticks) {
      const due = BigInt(elapsed()) + ticks - BigInt.asUintN(64, base + BigInt(elapsed()))
      const at = (due * 1_000_000_000n + BigInt(frequency) - 1n) / BigInt(frequency)
      return at > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(at)
    },
  }
}

/** A device with its context, and the guest's view of its registers. */
export interface TestDevice<Config, S, Irq extends string, Wants extends BackendWants> {
  /** What makes use of its shortcuts, when that was asked for; {@link TestDevice.device} is its front then. */
  readonly served?: ServedDevice<S> | undefined
  readonly device: Device<S>
  readonly config: Config
  readonly context: FakeContext<Irq, Wants>
  /** A guest's read of the first region (or `region`); 4 bytes wide unless told otherwise. */
  read(offset: number, width?: Width, region?: number): number
  write(offset: number, value: number, width?: Width, region?: number): void
  /** Moves virtual time on. */
  advance(nanoseconds: number): void
}

/** Options of {@link testDevice}: those of {@link fakeContext} except what the spec knows. */
export type TestDeviceOptions<Irq extends string, Wants extends BackendWants> = Omit<FakeContextOptions<Irq, Wants>, 'irqs' | 'ownMemory'> & {
  /** Makes use of the shortcuts that the device declares. */
  readonly shortcuts?: boolean | undefined
}

/** Configures `spec` with `input`, makes the device in a fake context and resets it, as a machine does at power on. */
export function testDevice<Config, S, Irq extends string, Wants extends BackendWants>(
  spec: DeviceSpec<Config, S, Irq, Wants>, input: unknown, options: TestDeviceOptions<Irq, Wants>,
): TestDevice<Config, S, Irq, Wants> {
  const config = spec.configure(input, options.name ?? 'dut')
  const context = fakeContext<Irq, Wants>({ ...options, irqs: spec.irqs(config), ownMemory: spec.memory?.(config) ?? [] })
  const served = options.shortcuts === true ? new ServedDevice<S>(spec.shortcuts?.(config) ?? []) : undefined
  const made = spec.create(config, served === undefined ? context : { ...context, shortcuts: served.shortcuts })
  const device = served?.front(made) ?? made
  context.attach(device)
  device.reset('cold')
  return {
    device, config, context, served,
    read: (offset, width = 4, region = 0) => device.read(region, offset, width),
    write: (offset, value, width = 4, region = 0) => device.write(region, offset, width, value),
    advance: (nanoseconds) => context.advance(nanoseconds),
  }
}
