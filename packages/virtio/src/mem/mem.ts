import { machinistError } from '@machinist/api'
import type { DeviceMemory, DeviceSpec, HotplugPort } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import { memConfig, memFeature, memRequest, memRequestSize, memResponse, memResponseSize, memState } from './layout.ts'

export { memoryControl } from './control.ts'
export type { MemoryControl, MemoryControlOptions } from './control.ts'

/** Backends of a memory device. */
export type MemBackends = Readonly<Record<'host', 'hotplug'>>

/** What a memory device must be told. */
export interface MemConfig {
  /** Bytes that may be plugged at most, a multiple of `block` up to 2 GiB. */
  readonly size: number
  /** Bytes that are plugged and unplugged at once, a power of two from 2 MiB to 128 MiB. Default: 2 MiB. */
  readonly block: number
}

/** Saved state of a memory device. Its memory is guest memory, and saved with that. */
export interface MemState {
  /** Bytes that were asked for. After a restore the host's target counts. */
  readonly target: number
  /** Bytes of the region that may be plugged. */
  readonly usable: number
  /** For each block, whether it is plugged: 1 or 0. */
  readonly plugged: readonly number[]
}

const leastBlock = 2 * 2 ** 20
/** Linux adds RAM in sections of this size, so the region begins at a multiple of it. */
const section = 128 * 2 ** 20
const mostSize = 2 ** 31
/** How far beyond the target memory may be plugged: where a driver that aligns its requests finds room. */
const slack = 2 * section
/** One may unplug all, which is two gigabytes at most. */
const requestsPerTurn = 16
const resume = 'resume'

/**
 * Memory device (virtio 1.2, 5.15): a region of guest-physical memory in blocks, which the guest plugs and unplugs, as
 * much as its host asks for. What is unplugged goes back to the host and reads as zeros. The whole region is promised,
 * so plugging never fails for want of memory.
 */
export const memDevice: VirtioSpec<MemConfig, MemState, MemBackends> = {
  kind: 'virtio-mem',
  deviceId: 24,
  stateVersion: 1,
  backends: { host: 'hotplug' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const block = data.integer('block', leastBlock, section, leastBlock)
    const size = data.integer('size', leastBlock, mostSize)
    data.done()
    if ((block & (block - 1)) !== 0) throw machinistError({ code: 'config', part: `${name}.block`, value: block, remedy: 'Use a power of two.' }, 'not a size for blocks of memory')
    if (size % block !== 0) throw machinistError({ code: 'config', part: `${name}.size`, value: size, remedy: `Use a multiple of ${String(block)}.` }, 'not a whole number of blocks')
    return { size, block }
  },
  memory: ({ size }) => [{ name: 'region', size, align: section }],
  create: (config, context) => new Mem(config, context),
}

/** {@link memDevice} behind the MMIO transport. */
export const virtioMem: DeviceSpec<MemConfig & MmioOptions, MmioState<MemState>, VirtioIrq, MemBackends> = virtioMmio(memDevice)
/** {@link memDevice} behind the PCI transport. */
export const virtioMemPci: DeviceSpec<MemConfig & VirtioOptions, VirtioPciState<MemState>, VirtioPciIrq, MemBackends> = virtioPci(memDevice)

class Mem implements VirtioDevice<MemState> {
  readonly features: readonly number[] = [memFeature.unpluggedInaccessible]
  readonly queueSizes: readonly number[] = [64]
  readonly configSize: number = memConfig.size
  readonly #context: VirtioContext<MemBackends>
  readonly #port: HotplugPort
  readonly #memory: DeviceMemory
  readonly #block: number
  readonly #config = new ConfigSpace(memConfig.size)
  /** 1 for each block that is plugged. */
  readonly #plugged: Uint8Array
  /** Bytes. */
  #target = 0
  #usable = 0
  #size = 0

  constructor({ size, block }: MemConfig, context: VirtioContext<MemBackends>) {
    const [memory] = context.ownMemory
    if (memory === undefined) throw machinistError({ code: 'device-memory', part: context.name, value: size, remedy: 'Give the device the memory that its spec asks for.' }, 'it has no memory')
    this.#context = context
    this.#port = context.backends.host
    this.#memory = memory
    this.#block = block
    this.#plugged = new Uint8Array(size / block)
    this.#config.set64(memConfig.blockSize, block)
    this.#config.set64(memConfig.addr, memory.base)
    this.#config.set64(memConfig.regionSize, size)
    this.#setTarget()
    this.#port.listen({ targetChanged: () => { this.#takeTarget() } })
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  notify(queue: Virtqueue): void {
    this.#context.answer(queue, (chain) => this.#serve(chain), requestsPerTurn)
  }

  event(): void {
    this.#takeTarget()
  }

  /** A driver's reset changes nothing about what is plugged (5.15.5). */
  reset(): void {
    this.#context.clock.timer(resume).cancel()
  }

  /** What the guest touched and never plugged goes too. */
  powerOn(): void {
    this.#memory.release(0, this.#memory.size)
    this.#unplugAll()
  }

  save(): MemState {
    return { target: this.#target, usable: this.#usable, plugged: [...this.#plugged] }
  }

  restore(state: MemState): void {
    const data = plainData(this.#context.name, state, 'state')
    const target = data.integer('target', 0, this.#memory.size)
    const usable = data.integer('usable', 0, this.#memory.size)
    const plugged = data.integers('plugged', this.#plugged.length, 0, 1)
    data.done()
    if (plugged.lastIndexOf(1) >= usable / this.#block) {
      throw machinistError({ code: 'state', part: this.#context.name, value: usable, remedy: 'Restore what a device saved.' }, 'blocks are plugged beyond what may be')
    }
    this.#plugged.set(plugged)
    this.#target = target
    this.#usable = usable
    this.#resized()
    // The host may want something else meanwhile.
    if (this.#wholeBlocks(this.#port.target) !== target) this.#context.clock.timer(resume).arm(this.#context.clock.now())
  }

  #takeTarget(): void {
    if (this.#setTarget()) this.#context.configChanged()
  }

  /** Takes the host's target; whether the driver sees a difference. The usable region grows with it, and shrinks when nothing is plugged. */
  #setTarget(): boolean {
    const target = this.#wholeBlocks(this.#port.target)
    const usable = Math.max(this.#usable, this.#wholeBlocks(target + slack))
    if (target === this.#target && usable === this.#usable) return false
    this.#target = target
    this.#usable = usable
    this.#show()
    return true
  }

  #wholeBlocks(bytes: number): number {
    return Math.floor(Math.min(bytes, this.#memory.size) / this.#block) * this.#block
  }

  #resized(): void {
    this.#size = this.#block * this.#plugged.reduce((sum, each) => sum + each, 0)
    this.#show()
    this.#port.resized(this.#size)
  }

  #show(): void {
    this.#config.set64(memConfig.usableRegionSize, this.#usable)
    this.#config.set64(memConfig.pluggedSize, this.#size)
    this.#config.set64(memConfig.requestedSize, this.#target)
  }

  /** Serves a request; returns how many bytes were written (5.15.6). */
  #serve(chain: Chain): number {
    const request = new DataView(new ArrayBuffer(memRequestSize))
    const [type, state] = chain.read(0, new Uint8Array(request.buffer)) ? this.#act(request) : [memResponse.error, 0] as const
    const response = new DataView(new ArrayBuffer(memResponseSize))
    response.setUint16(0, type, true)
    response.setUint16(8, state, true)
    return chain.write(0, new Uint8Array(response.buffer)) ? memResponseSize : 0
  }

  #act(request: DataView): readonly [type: number, state: number] {
    const type = request.getUint16(0, true)
    if (type === memRequest.unplugAll) {
      this.#unplugAll()
      return [memResponse.ack, 0]
    }
    const blocks = this.#blocksOf(request)
    if (blocks === null) return [memResponse.error, 0]
    const plugged = blocks.reduce((sum, each) => sum + each, 0)
    switch (type) {
      case memRequest.state:
        return [memResponse.ack, plugged === 0 ? memState.unplugged : plugged === blocks.length ? memState.plugged : memState.mixed]
      case memRequest.plug:
        if (plugged !== 0) return [memResponse.error, 0]
        if (this.#size + blocks.length * this.#block > this.#target) return [memResponse.nack, 0]
        blocks.fill(1)
        this.#resized()
        return [memResponse.ack, 0]
      case memRequest.unplug:
        if (plugged !== blocks.length) return [memResponse.error, 0]
        this.#unplug(blocks)
        this.#resized()
        return [memResponse.ack, 0]
      default:
        return [memResponse.error, 0]
    }
  }

  /** The blocks that a request names, a part of what is plugged; null when they are none, or not all in the usable region. */
  #blocksOf(request: DataView): Uint8Array | null {
    const offset = request.getUint32(12, true) * 2 ** 32 + request.getUint32(8, true) - this.#memory.base
    const count = request.getUint16(16, true)
    if (offset < 0 || offset % this.#block !== 0 || count === 0 || offset + count * this.#block > this.#usable) return null
    return this.#plugged.subarray(offset / this.#block, offset / this.#block + count)
  }

  /** Gives the memory of blocks back to the host. They may be touched again, which is at the guest's own expense. */
  #unplug(blocks: Uint8Array): void {
    const first = blocks.byteOffset
    // Only what was plugged is looked at, so a request costs no more than was plugged before it.
    blocks.forEach((each, index) => {
      if (each === 1) this.#memory.release((first + index) * this.#block, this.#block)
    })
    blocks.fill(0)
  }

  #unplugAll(): void {
    this.#unplug(this.#plugged)
    this.#usable = 0
    this.#setTarget()
    this.#resized()
  }
}
