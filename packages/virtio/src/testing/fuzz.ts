import type { BackendWants, DmaSpace, PortsOf } from '@machinist/api'
import { fakeContext } from '@machinist/registers/testing'
import type { RingFormat } from '../device/options.ts'
import { deviceStatus } from '../device/spec.ts'
import type { VirtioSpec } from '../device/spec.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { VirtioIrq } from '../transport/mmio.ts'
import { DriverError, VirtioDriver } from './driver.ts'
import type { DriverOptions } from './driver.ts'
import { attackRing, hostileAddress, hostileLength } from './hostile-ring.ts'
import { FuzzRandom } from './random.ts'

/** What a guest may cost its host in one access, and at rest. */
export interface FuzzLimits {
  /** DMA operations in one step; 20000 when absent. */
  readonly accesses?: number
  /** Bytes of DMA in one step; 32 MiB when absent. */
  readonly bytes?: number
  /** Bytes of one DMA operation, so of the longest host buffer; 4 MiB when absent. */
  readonly buffer?: number
  /** Characters of the saved state as JSON; 1 MiB when absent. */
  readonly state?: number
}

/** A request that makes sense to the device, so that more than its first check is reached. */
export interface FuzzRequest {
  /** Device-readable buffers, in order. */
  readonly out: readonly Uint8Array[]
  /** Lengths of device-writable buffers. */
  readonly answers: readonly number[]
}

/** How a device is tried. */
export interface FuzzOptions<Ports> {
  /** Runs for each ring format, each with fresh backends; 8 when absent. */
  readonly seeds?: number
  /** Steps of a run; 400 when absent. */
  readonly steps?: number
  /** Bytes of RAM; 256 KiB when absent. */
  readonly memorySize?: number
  /** What happens on the host's side now and then: requests complete, input arrives. */
  readonly host?: (ports: Ports, random: FuzzRandom) => void
  /** A plausible request for queue `queue`: chance alone seldom makes one. */
  readonly request?: (random: FuzzRandom, queue: number) => FuzzRequest
  readonly limits?: FuzzLimits
}

/** What was met, so that a test can see that it tried what it meant to try. */
export interface FuzzReport {
  /** Times that the driver broke the rules and the device asked for a reset. */
  readonly broken: number
  /** Requests that came back used. */
  readonly used: number
}

/**
 * Plays a guest that means no good to a virtio device: descriptors that loop, overlap, are of absurd length or point
 * outside RAM, at registers and at the rings themselves; registers and queues changed at any moment; random accesses
 * to the configuration space; resets, saving and restoring in between, and now and then an honest request. Over split
 * and over packed rings.
 *
 * The device must never throw, never answer with more than a register holds, stay below `limits`, restore what it
 * saved, and leave memory alone once it needs a reset.
 *
 * ```ts
 * fuzzDevice(entropyDevice, {}, () => ({ entropy: fakeEntropy() }))
 * ```
 *
 * @param spec - the device without transport
 * @param config - its configuration, as a machine definition gives it
 * @param backends - makes the backends of a run
 * @throws Error that names the run and its last steps, at the first failure
 */
export function fuzzDevice<Config, S, Wants extends BackendWants, Ports extends PortsOf<Wants>>(
  spec: VirtioSpec<Config, S, Wants>, config: object, backends: () => Ports, options: FuzzOptions<Ports> = {},
): FuzzReport {
  const report = { broken: 0, used: 0 }
  const formats: readonly RingFormat[] = ['split', 'packed']
  const runs = formats.flatMap((ring) => Array.from({ length: options.seeds ?? 8 }, (_, index) => ({ ring, seed: index + 1 })))
  for (const { ring, seed } of runs) {
    const trail: string[] = []
    try {
      run(spec, { ...config, ring }, backends(), options, new FuzzRandom(seed), trail, report)
    } catch (error) {
      throw new Error(`${spec.kind}, ${ring} rings, seed ${String(seed)}: ${error instanceof Error ? error.stack ?? error.message : String(error)}\nafter:\n${trail.slice(-30).join('\n')}`, { cause: error })
    }
  }
  return report
}

function run<Config, S, Wants extends BackendWants, Ports extends PortsOf<Wants>>(
  spec: VirtioSpec<Config, S, Wants>, input: object, ports: Ports, options: FuzzOptions<Ports>,
  random: FuzzRandom, trail: string[], report: { broken: number, used: number },
): void {
  const dut = makeTarget(spec, input, ports, options)
  const { device, context, count } = dut
  const { memory, memoryBase } = context
  const statusOffset = 0x070
  let driver = new VirtioDriver(dut)
  driver.start()

  const word = (): number => random.chance(0.4)
    ? random.pick([0, 1, 2, 3, 4, 7, 8, 15, 16, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
    : random.chance(0.5) ? hostileAddress(random, context) % 2 ** 32 : random.u32()
  const width = (): 1 | 2 | 4 => random.pick([1, 2, 4, 4])
  const queueIndex = (): number => random.below(driver.queues.length)

  const restart = (): string => {
    const choice: DriverOptions = {
      ...random.chance(0.5) ? {} : { features: Array.from({ length: 64 }, (_, bit) => bit).filter(() => random.chance(0.6)) },
      queueSize: random.pick([1, 2, 4, 8, 16, 16, 5]), indirect: random.chance(0.5),
    }
    driver = new VirtioDriver(dut, choice)
    return `restart ${JSON.stringify(choice)}: status ${String(driver.start())}`
  }

  const steps: readonly (readonly [share: number, step: () => string])[] = [
    [10, () => {
      const [offset, value, size] = [random.below(0x140), word(), width()]
      device.write(0, offset, size, value % 2 ** (8 * size))
      return `write 0x${offset.toString(16)}, ${String(size)}: 0x${value.toString(16)}`
    }],
    [10, () => {
      const [offset, size] = [random.chance(0.5) ? random.below(0x1000 - 4) : 0x100 + random.below(64), width()]
      const got = device.read(0, offset, size)
      if (!Number.isInteger(got) || got < 0 || got >= 2 ** (8 * size)) throw new Error(`it answered ${String(got)} at 0x${offset.toString(16)}, ${String(size)}`)
      return `read 0x${offset.toString(16)}, ${String(size)}`
    }],
    [10, () => {
      const [offset, value, size] = [random.below(64), word(), width()]
      driver.writeConfig(offset, size, value % 2 ** (8 * size))
      return `write configuration ${String(offset)}, ${String(size)}: 0x${value.toString(16)}`
    }],
    [10, () => {
      const index = random.chance(0.9) ? queueIndex() : word()
      driver.notify(index)
      return `notify ${String(index)}`
    }],
    [40, () => {
      const index = queueIndex()
      const queue = driver.queues[index]
      if (queue === undefined) return 'no queues'
      attackRing(queue, random, driver.ram)
      driver.notify(index)
      return `attack on queue ${String(index)}`
    }],
    [30, () => honest(queueIndex())],
    [6, () => {
      // A queue that moves, may be in use, and may not be one that can be.
      const index = queueIndex()
      dut.write(0x030, index)
      if (random.chance(0.7)) dut.write(random.chance(0.5) ? 0x0c0 : 0x044, random.below(2))
      for (let times = random.below(3); times > 0; times--) {
        const [register, address] = [random.pick([0x080, 0x090, 0x0a0]), hostileAddress(random, context)]
        dut.write(register, address % 2 ** 32)
        if (random.chance(0.5)) dut.write(register + 4, Math.floor(address / 2 ** 32))
      }
      if (random.chance(0.3)) dut.write(0x038, random.chance(0.5) ? random.below(20) : hostileLength(random))
      dut.write(0x044, 1)
      return `queue ${String(index)} moved`
    }],
    [10, () => {
      const queue = driver.queues[queueIndex()]
      const at = random.chance(0.7) && queue !== undefined ? queue.desc - memoryBase + random.below(queue.end - queue.desc) : random.below(memory.length)
      memory[at] = random.below(256)
      return `memory at ${String(at)}`
    }],
    [25, () => {
      options.host?.(ports, random)
      return 'host'
    }],
    [15, () => {
      const time = random.pick([0, 1, 1000, 1e6, 1e8])
      context.advance(time)
      return `time ${String(time)}`
    }],
    [5, () => saveAndRestore()],
    [1, () => {
      device.reset(random.pick(['cold', 'warm']))
      return 'reset'
    }],
    [3, restart],
  ]

  function honest(index: number): string {
    const { out, answers } = options.request?.(random, index) ?? {
      out: Array.from({ length: random.below(3) }, () => random.bytes(random.below(100))),
      answers: Array.from({ length: random.below(3) }, () => random.below(2000)),
    }
    try {
      driver.submit(index, out, answers)
    } catch (error) {
      if (!(error instanceof DriverError)) throw error
    }
    driver.notify(index)
    if (random.chance(0.5)) options.host?.(ports, random)
    try {
      report.used += driver.collect(index)
    } catch (error) {
      if (!(error instanceof DriverError)) throw error
    }
    return `request on queue ${String(index)}`
  }

  const saved: ReturnType<typeof device.save>[] = []
  function saveAndRestore(): string {
    const state = device.save()
    const text = textOf(state)
    if (text.length > (options.limits?.state ?? 2 ** 20)) throw new Error(`its state is ${String(text.length)} characters long`)
    device.restore(state)
    const after = textOf(device.save())
    if (after !== text) throw new Error(`it saved ${text.slice(0, 2000)} and, restored, ${after.slice(0, 2000)}`)
    saved.push(state)
    // An earlier one, now and then: memory is not what it was then.
    const [earlier] = saved.length > 4 ? saved.splice(random.below(4), 1) : []
    if (earlier === undefined || random.chance(0.5)) return 'save and restore'
    device.restore(earlier)
    return 'restore what was earlier'
  }

  const total = steps.reduce((sum, [share]) => sum + share, 0)
  for (let step = 0; step < (options.steps ?? 400); step++) {
    const stopped = (dut.read(statusOffset) & deviceStatus.needsReset) !== 0
    let left = random.below(total)
    const chosen = stopped && random.chance(0.3) ? restart : steps.find(([share]) => (left -= share) < 0)?.[1] ?? restart
    count.accesses = count.bytes = count.writes = count.largest = 0
    trail.push('…')
    const name = chosen()
    trail[trail.length - 1] = name
    checkWork(count, options.limits ?? {})
    const broken = (dut.read(statusOffset) & deviceStatus.needsReset) !== 0
    if (broken && !stopped) report.broken += 1
    if (broken && stopped && chosen !== restart && count.writes > 0) throw new Error('it wrote to memory although it needs a reset')
  }
  device.dispose?.()
}

function checkWork(count: Count, limits: FuzzLimits): void {
  if (count.largest > (limits.buffer ?? 4 << 20)) throw new Error(`a DMA operation of ${String(count.largest)} bytes: a guest chooses how much memory the host spends`)
  if (count.bytes > (limits.bytes ?? 32 << 20)) throw new Error(`one step moved ${String(count.bytes)} bytes`)
  if (count.accesses > (limits.accesses ?? 20_000)) throw new Error(`one step made ${String(count.accesses)} accesses to memory`)
}

interface Count {
  accesses: number
  bytes: number
  writes: number
  largest: number
}

/** The device behind the MMIO transport, and its use of memory, counted. */
function makeTarget<Config, S, Wants extends BackendWants, Ports extends PortsOf<Wants>>(
  virtio: VirtioSpec<Config, S, Wants>, input: object, ports: Ports, options: FuzzOptions<Ports>,
) {
  const spec = virtioMmio(virtio)
  const config = spec.configure(input, 'dut')
  const context = fakeContext<VirtioIrq, Wants>({ irqs: spec.irqs(config), ownMemory: spec.memory?.(config) ?? [], backends: ports, memorySize: options.memorySize ?? 1 << 18 })
  const count: Count = { accesses: 0, bytes: 0, writes: 0, largest: 0 }
  const note = (length: number): void => {
    count.accesses += 1
    count.bytes += length
    count.largest = Math.max(count.largest, length)
  }
  const written = (done: boolean): boolean => {
    if (done) count.writes += 1
    return done
  }
  const dma: DmaSpace = {
    read(address, into) {
      note(into.length)
      return context.dma.read(address, into)
    },
    write(address, from) {
      note(from.length)
      return written(context.dma.write(address, from))
    },
    read16(address) {
      note(2)
      return context.dma.read16(address)
    },
    read32(address) {
      note(4)
      return context.dma.read32(address)
    },
    readWords(address, into) {
      note(4 * into.length)
      return context.dma.readWords(address, into)
    },
    write16(address, value) {
      note(2)
      return written(context.dma.write16(address, value))
    },
    write32(address, value) {
      note(4)
      return written(context.dma.write32(address, value))
    },
    map(address, length, access) {
      const views = context.dma.map(address, length, access)
      count.accesses += 1
      if (views !== null && access === 'write') count.writes += 1
      return views
    },
    release(address, length) {
      count.accesses += 1
      count.writes += 1
      return context.dma.release(address, length)
    },
  }
  const device = spec.create(config, { ...context, dma })
  context.attach(device)
  device.reset('cold')
  return {
    device, context, count,
    read: (offset: number, width: 1 | 2 | 4 = 4): number => device.read(0, offset, width),
    write: (offset: number, value: number, width: 1 | 2 | 4 = 4): void => { device.write(0, offset, width, value) },
  }
}

/** A state as text that says all of it. */
function textOf(state: unknown): string {
  return JSON.stringify(state, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${String(value)}n`
    if (value instanceof Map || value instanceof Set) return [...value as Iterable<unknown>]
    return ArrayBuffer.isView(value) ? [...new Uint8Array(value.buffer, value.byteOffset, value.byteLength)] : value
  })
}
