import type { DeviceSpec, DisplayPort } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import { Commands } from './commands.ts'
import type { Answer } from './commands.ts'
import { commandSize, cursorCommands, displayEvent, edidFeature, fenceFlag, gpuConfig, gpuQueue, header, longestCommand, mostScanouts, response } from './layout.ts'
import { restoreResources, restoreScreens } from './state.ts'
import type { GpuLimits, GpuState } from './state.ts'

export type { GpuState, ResourceState, ScreenState } from './state.ts'

/** Configuration of a GPU, checked. */
export interface GpuConfig {
  /** Screens, 1 to 16. Default: 1. */
  readonly screens: number
  /** Bytes of pixels that the guest may make the host keep, in its resources and on the screens, 64 KiB to 1 GiB. Default: 256 MiB. */
  readonly memory: number
}

/** Backends of a GPU: who looks at its screens. */
export type GpuBackends = Readonly<Record<'display', 'display'>>

/** Work in one turn, in bytes of pixels moved. The last portion may exceed it. */
const turn = 8 << 20
/** What each command counts beside its pixels. */
const commandCost = 1024
const again = 'again'
const bounds: Omit<GpuLimits, 'memory'> = { resources: 1024, side: 16384, pieces: 65536 }

/** GPU device (virtio 1.2, 5.7): 2D, with cursors and EDID. */
export const gpuDevice: VirtioSpec<GpuConfig, GpuState, GpuBackends> = {
  kind: 'virtio-gpu',
  deviceId: 16,
  stateVersion: 1,
  backends: { display: 'display' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config = { screens: data.integer('screens', 1, mostScanouts, 1), memory: data.integer('memory', 1 << 16, 1 << 30, 1 << 28) }
    data.done()
    return config
  },
  create: (config, context) => new Gpu(config, context),
}

/** {@link gpuDevice} behind the MMIO transport. */
export const virtioGpu: DeviceSpec<GpuConfig & MmioOptions, MmioState<GpuState>, VirtioIrq, GpuBackends> = virtioMmio(gpuDevice)

/** {@link gpuDevice} behind the PCI transport. */
export const virtioGpuPci: DeviceSpec<GpuConfig & VirtioOptions, VirtioPciState<GpuState>, VirtioPciIrq, GpuBackends> = virtioPci(gpuDevice)

/** A command that is being done. */
interface Work {
  readonly chain: Chain
  /** Each step tells what it cost. */
  readonly steps: Iterator<number, void>
}

class Gpu implements VirtioDevice<GpuState> {
  readonly features: readonly number[] = [edidFeature]
  readonly queueSizes: readonly number[] = [256, 256]
  readonly configSize: number = gpuConfig.size
  readonly #context: VirtioContext<GpuBackends>
  readonly #port: DisplayPort
  readonly #config = new ConfigSpace(gpuConfig.size)
  readonly #limits: GpuLimits
  readonly #commands: Commands
  #events = 0
  /** By queue. */
  readonly #work: (Work | null)[] = [null, null]

  constructor(config: GpuConfig, context: VirtioContext<GpuBackends>) {
    this.#context = context
    this.#port = context.backends.display
    this.#limits = { ...bounds, memory: config.memory }
    this.#commands = new Commands(context, this.#port, config.screens, this.#limits)
    this.#config.view.setUint32(gpuConfig.scanouts, config.screens, true)
    this.#port.listen({
      sizesChanged: () => {
        this.#setEvents(this.#events | displayEvent)
        context.configChanged()
      },
    })
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    if (offset === gpuConfig.eventsClear && width === 4) this.#setEvents(this.#events & ~value)
    else this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
  }

  notify(queue: Virtqueue): void {
    let budget = turn
    while (budget > 0) {
      const work = this.#next(queue)
      if (work === null) break
      const step = work.steps.next()
      if (step.done === true) this.#work[queue.index] = null
      else budget -= step.value
    }
    queue.signal()
    if (budget <= 0) this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  event(): void {
    for (const index of [gpuQueue.control, gpuQueue.cursor]) {
      const queue = this.#context.queue(index)
      if (queue?.ready === true) this.notify(queue)
    }
  }

  reset(): void {
    this.#context.clock.timer(again).cancel()
    this.#work.fill(null)
    this.#commands.reset()
    this.#setEvents(0)
  }

  save(): GpuState {
    return { events: this.#events, ...this.#commands.save() }
  }

  restore(state: GpuState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const events = data.integer('events', 0, displayEvent)
    const resources = restoreResources(name, data.unknown('resources'), this.#limits)
    const screens = restoreScreens(name, data.unknown('screens'), this.#commands.screens.count, this.#limits, resources)
    data.done()
    this.#setEvents(events)
    // Commands that were not done come again from their queues.
    this.#work.fill(null)
    this.#commands.restore(resources, screens)
  }

  #setEvents(events: number): void {
    this.#events = events
    this.#config.view.setUint32(gpuConfig.eventsRead, events, true)
  }

  /** The command in hand, unless its queue was reset since, or the next one. */
  #next(queue: Virtqueue): Work | null {
    const before = this.#work[queue.index]
    if (before?.chain.live === true) return before
    const chain = queue.pop()
    const work = chain === null ? null : { chain, steps: this.#serve(queue, chain) }
    this.#work[queue.index] = work
    return work
  }

  /** Does one command, answers it, and tells as it goes what that costs. */
  *#serve(queue: Virtqueue, chain: Chain): Generator<number, void, void> {
    const request = new Uint8Array(Math.min(chain.readableLength, longestCommand))
    if (request.length < header.size || !chain.read(0, request)) return this.#context.fail('a command without a header')
    const view = new DataView(request.buffer)
    const type = view.getUint32(header.type, true)
    const needed = commandSize.get(type)
    let answer: Answer = { type: response.unspecified }
    if (needed !== undefined && cursorCommands.has(type) === (queue.index === gpuQueue.cursor)) {
      answer = request.length < needed ? { type: response.invalidParameter } : yield* this.#commands.run(type, view, chain)
    }
    queue.push(chain, this.#answer(view, chain, answer))
    yield commandCost + (answer.cost ?? 0)
  }

  /** Everything was done when it comes, so a fence is passed by then (5.7.6.7). Cursor commands need no answer. */
  #answer(request: DataView, chain: Chain, { type, body }: Answer): number {
    if (chain.writableLength < header.size) return 0
    const fits = chain.writableLength >= header.size + (body?.length ?? 0)
    const bytes = new Uint8Array(header.size + (fits ? body?.length ?? 0 : 0))
    const view = new DataView(bytes.buffer)
    view.setUint32(header.type, fits ? type : response.unspecified, true)
    const flags = request.getUint32(header.flags, true)
    if ((flags & fenceFlag) !== 0) {
      view.setUint32(header.flags, fenceFlag, true)
      view.setBigUint64(header.fenceId, request.getBigUint64(header.fenceId, true), true)
      view.setUint32(header.contextId, request.getUint32(header.contextId, true), true)
    }
    if (fits && body !== undefined) bytes.set(body, header.size)
    return chain.write(0, bytes) ? bytes.length : 0
  }
}
