import { machinistError } from '@machinist/api'
import type { BlockPort, BlockStatus, DeviceMemory, DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'

/** Backends of a persistent memory device. */
export type PmemBackends = Readonly<Record<'disk', 'block'>>

/** What a persistent memory device must be told. */
export interface PmemConfig {
  /** Bytes, a multiple of 2 MiB up to 2 GiB: those of its disk. */
  readonly size: number
}

const page = 4096
/** Linux maps persistent memory in pieces of this size. */
const sizeUnit = 2 * 2 ** 20
/** And RAM in sections of 128 MiB. */
const alignment = 128 * 2 ** 20
const mostSize = 2 ** 31
/** Bytes that are read or written at once. */
const piece = 2 ** 20
/** Fields of the configuration (5.19.4). */
const configOffset = { start: 0, size: 8, length: 16 } as const
/** The only request, and how it may end: with 0 or -1 (5.19.6). */
const flushType = 0
const [flushDone, flushFailed] = [0, 0xffff_ffff]

/**
 * Persistent memory (virtio 1.2, 5.19): a range of guest-physical memory with the content of a disk. The disk is read
 * as a whole before the guest starts for the first time. Pages that the guest has written go to the disk when it asks
 * for a flush. What it did not flush is still there after a reset, and lost when the machine is disposed of.
 */
export const pmemDevice: VirtioSpec<PmemConfig, PmemState, PmemBackends> = {
  kind: 'virtio-pmem',
  deviceId: 27,
  stateVersion: 2,
  backends: { disk: 'block' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const size = data.integer('size', sizeUnit, mostSize)
    data.done()
    if (size % sizeUnit !== 0) throw machinistError({ code: 'config', part: `${name}.size`, value: size, remedy: 'Use a multiple of 2 MiB.' }, 'not a size for persistent memory')
    return { size }
  },
  memory: ({ size }) => [{ name: 'pmem', size, align: alignment }],
  create: (config, context) => new Pmem(config, context),
}

/** {@link pmemDevice} behind the MMIO transport. */
export const virtioPmem: DeviceSpec<PmemConfig & MmioOptions, MmioState<PmemState>, VirtioIrq, PmemBackends> = virtioMmio(pmemDevice)
/** {@link pmemDevice} behind the PCI transport. */
export const virtioPmemPci: DeviceSpec<PmemConfig & VirtioOptions, VirtioPciState<PmemState>, VirtioPciIrq, PmemBackends> = virtioPci(pmemDevice)

/** The device's saved state. Its memory is guest memory, and saved with that. */
export interface PmemState {
  /** Whether the memory has the disk's content; `'coming'`, when it could not be read. */
  readonly content: 'none' | 'coming' | 'there'
  /** Numbers of pages that are still to be written. */
  readonly unsaved: readonly number[]
}

class Pmem implements VirtioDevice<PmemState> {
  readonly features: readonly number[] = []
  readonly queueSizes: readonly number[] = [64]
  readonly configSize: number = configOffset.length
  readonly #context: VirtioContext<PmemBackends>
  readonly #disk: BlockPort
  readonly #memory: DeviceMemory
  readonly #config = new ConfigSpace(configOffset.length)
  /** Until the memory has the disk's content, nothing may be written to the disk. */
  #content: 'none' | 'coming' | 'there' = 'none'
  /** Which reading of the disk it is. */
  #loading = 0
  /** Offsets of pages that are still to be written. */
  readonly #unsaved = new Set<number>()
  /** Flushes that wait for the one that is being done. The queue bounds their number. */
  #waiting: Chain[] = []
  #flushing = false

  constructor({ size }: PmemConfig, context: VirtioContext<PmemBackends>) {
    const [memory] = context.ownMemory
    this.#disk = context.backends.disk
    if (memory === undefined || this.#disk.size !== size) {
      throw machinistError({ code: 'pmem-size', part: context.name, value: this.#disk.size, remedy: `Use a disk of ${String(size)} bytes, or change the size of the memory.` }, 'its disk has another size')
    }
    this.#context = context
    this.#memory = memory
    this.#config.set64(configOffset.start, memory.base)
    this.#config.set64(configOffset.size, memory.size)
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  notify(queue: Virtqueue): void {
    this.#context.answer(queue, (chain) => {
      const type = new Uint8Array(4)
      if (this.#content !== 'there' || !chain.read(0, type) || type.some((byte) => byte !== flushType)) return writeResult(chain, flushFailed)
      this.#waiting.push(chain)
      return null
    })
    this.#flush()
  }

  /** At power-on, which comes first, it asks for the content. What is being written when a driver resets still is, but nobody waits for it. */
  reset(): void {
    this.#waiting = []
    if (this.#content !== 'none') return
    this.#content = 'coming'
    this.#load(0, ++this.#loading)
  }

  resetQueue(): void {
    this.#waiting = []
  }

  save(): PmemState {
    // Memory that comes back from a snapshot does not know any more what was written to it.
    if (this.#content === 'there') for (const offset of this.#memory.takeDirty()) this.#unsaved.add(offset)
    return { content: this.#content, unsaved: [...this.#unsaved].map((offset) => offset / page).sort((a, b) => a - b) }
  }

  restore(state: PmemState): void {
    const data = plainData(this.#context.name, state, 'state')
    const content = data.oneOf('content', ['none', 'coming', 'there'])
    const unsaved = data.integers('unsaved', Array.isArray(state.unsaved) ? Math.min(state.unsaved.length, this.#memory.size / page) : 0, 0, this.#memory.size / page - 1)
    data.done()
    this.#content = content
    this.#loading++
    this.#unsaved.clear()
    for (const number of unsaved) this.#unsaved.add(number * page)
    // The queue gives the requests out again.
    this.#waiting = []
  }

  /** Reads the disk from `offset` on. What comes after a restore is not wanted any more. */
  #load(offset: number, loading: number): void {
    if (offset === this.#memory.size) {
      // That was us.
      this.#memory.takeDirty()
      this.#content = 'there'
      return
    }
    const bytes = new Uint8Array(Math.min(piece, this.#memory.size - offset))
    this.#disk.read(offset, [bytes], (status) => {
      if (loading !== this.#loading) return
      if (status !== 'ok') return this.#context.trace.warn(`${this.#context.name}: the disk cannot be read (${status}); nothing will be written to it`)
      // Pages of zeros need no memory.
      for (let at = 0; at < bytes.length; at += page) {
        const part = bytes.subarray(at, at + page)
        if (part.some((byte) => byte !== 0)) this.#memory.write(offset + at, part)
      }
      this.#load(offset + bytes.length, loading)
    })
  }

  /** Begins to serve all flushes that wait, unless it is at it: those that come meanwhile are served together afterwards. */
  #flush(): void {
    if (this.#flushing || this.#waiting.length === 0) return
    const chains = this.#waiting
    this.#waiting = []
    this.#flushing = true
    for (const offset of this.#memory.takeDirty()) this.#unsaved.add(offset)
    this.#write([...this.#unsaved].sort((a, b) => a - b), 0, (status) => {
      this.#flushing = false
      if (status !== 'ok') this.#context.trace.warn(`${this.#context.name}: a flush failed (${status})`)
      const queue = this.#context.queue(0)
      if (queue === null) return
      for (const chain of chains) queue.push(chain, writeResult(chain, status === 'ok' ? flushDone : flushFailed))
      queue.signal()
      this.#flush()
    })
  }

  /** Writes pages from number `from` of the list on, neighbours together, then flushes the disk. */
  #write(offsets: readonly number[], from: number, done: (status: BlockStatus) => void): void {
    const first = offsets[from]
    if (first === undefined) return this.#disk.flush(done)
    let count = 1
    while (count * page < piece && offsets[from + count] === first + count * page) count += 1
    const bytes = new Uint8Array(count * page)
    this.#memory.read(first, bytes)
    this.#disk.write(first, [bytes], (status) => {
      if (status !== 'ok') return done(status)
      for (let index = 0; index < count; index++) this.#unsaved.delete(first + index * page)
      this.#write(offsets, from + count, done)
    })
  }
}

/** Returns how many bytes were written. */
function writeResult(chain: Chain, result: number): number {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, result, true)
  return chain.write(0, bytes) ? bytes.length : 0
}
