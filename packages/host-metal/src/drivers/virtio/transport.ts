import { machinistError, type MachinistError } from '@machinist/api'
import type { DmaMemory } from '../dma-memory.ts'
import { type AddressRange, type Hardware, hardwareError, type Registers, registersAt, type RegisterWidth, waitFor } from '../hardware.ts'
import { DEVICE_ID, INTERRUPT, MAGIC, MODERN, REGISTER, STATUS, VERSION_1 } from './registers.ts'
import { Ring } from './ring.ts'

/** How long a device may take to reset itself, in nanoseconds. */
const RESET_WITHIN = 1e9
/** How often a configuration that changes while it is read is read again. */
const MOST_READS = 100

/** What a place of the MMIO transport has. */
export type VirtioKind = 'net' | 'block' | 'other' | 'none'

/**
 * Looks what is at a place of the MMIO transport.
 *
 * @throws a typed error: `'virtio-legacy'` for a device of the legacy interface, `'hardware-unsupported'` for what is no virtio device
 */
export function virtioKind(hardware: Hardware, range: AddressRange, name: string): VirtioKind {
  const registers = registersAt(hardware, range)
  if (registers.read(REGISTER.magicValue) !== MAGIC) throw hardwareError('hardware-unsupported', name, 'is no virtio device')
  const version = registers.read(REGISTER.version)
  const id = registers.read(REGISTER.deviceId)
  if (id === DEVICE_ID.none) return 'none'
  if (version === 1) {
    throw machinistError({
      code: 'virtio-legacy', part: name, value: version, remedy: 'Give it the interface of virtio 1.0 and later; QEMU does with -global virtio-mmio.force-legacy=false, and not unless told.',
    }, 'has the legacy interface of virtio, which is not driven')
  }
  if (version !== MODERN) throw hardwareError('hardware-unsupported', name, 'has a version of the MMIO transport that is not known', version)
  return id === DEVICE_ID.net ? 'net' : id === DEVICE_ID.block ? 'block' : 'other'
}

/** Has a device leave memory alone and forget what it was told (2.4.2). @returns whether it did within a second */
export function resetVirtio(hardware: Hardware, range: AddressRange): boolean {
  const registers = registersAt(hardware, range)
  registers.write(REGISTER.status, 0)
  return waitFor(hardware, RESET_WITHIN, () => registers.read(REGISTER.status) === 0)
}

/** What a driver does with its device. */
export interface VirtioEvents {
  /** The device used buffers, perhaps. May throw what {@link Ring.take} does. */
  used(): void
  /** Its configuration changed. */
  configuration?(): void
  /** It is broken and was reset: what it had will not be finished. */
  failed(error: MachinistError): void
}

/** A virtio device behind the MMIO transport, version 2 (4.2.2), as its driver sees it. A device that breaks the rules is reset and not used any more. */
export class VirtioTransport {
  readonly name: string
  readonly #hardware: Hardware
  readonly #range: AddressRange
  readonly #registers: Registers
  readonly #memory: DmaMemory
  readonly #events: VirtioEvents
  readonly #configLength: number
  #features: ReadonlySet<number> = new Set()
  #error: MachinistError | null = null

  /**
   * Resets the device and agrees on features with it (3.1.1). {@link VirtioTransport.start} is the end of that.
   *
   * @param wanted - feature bits besides VERSION_1 to accept where they are offered
   * @throws a typed error `'hardware-broken'` or `'hardware-unsupported'`
   */
  constructor(hardware: Hardware, memory: DmaMemory, range: AddressRange, name: string, wanted: readonly number[], events: VirtioEvents) {
    this.name = name
    this.#hardware = hardware
    this.#range = range
    this.#memory = memory
    this.#events = events
    this.#registers = registersAt(hardware, range)
    this.#configLength = range.length - REGISTER.config
    if (!this.#reset()) throw hardwareError('hardware-broken', name, 'does not reset itself')
    this.#status(STATUS.acknowledge)
    this.#status(STATUS.acknowledge | STATUS.driver)
    this.#negotiate(wanted)
  }

  /** Why it is not used any more; null while it is. */
  get error(): MachinistError | null {
    return this.#error
  }

  has(feature: number): boolean {
    return this.#features.has(feature)
  }

  /**
   * Reads what belongs together in the configuration space (2.5): nothing changed meanwhile.
   *
   * @throws a typed error `'hardware-broken'` when it changes without end
   */
  config<T>(read: (at: (offset: number, width: RegisterWidth) => number) => T): T {
    const at = (offset: number, width: RegisterWidth): number => offset + width > this.#configLength ? 0 : this.#registers.read(REGISTER.config + offset, width)
    for (let count = 0; count < MOST_READS; count++) {
      const generation = this.#registers.read(REGISTER.configGeneration)
      const value = read(at)
      if (this.#registers.read(REGISTER.configGeneration) === generation) return value
    }
    throw hardwareError('hardware-broken', this.name, 'changes its configuration without end')
  }

  /**
   * Gives the device a queue (4.2.3.2).
   *
   * @param most - entries, a power of two
   * @throws a typed error `'hardware-unsupported'` when it has no such queue, or one that is too small
   */
  queue<Request>(index: number, most: number, least: number = 1): Ring<Request> {
    const registers = this.#registers
    registers.write(REGISTER.queueSel, index)
    if (registers.read(REGISTER.queueReady) !== 0) throw hardwareError('hardware-broken', this.name, 'has a queue that is in use', index)
    const offered = registers.read(REGISTER.queueNumMax)
    let size = most
    while (size > offered) size /= 2
    if (size < least) throw hardwareError('hardware-unsupported', this.name, `has no queue ${index} of ${least} entries`, offered)
    const ring = new Ring<Request>(this.#memory, size, this.name, () => { this.#hardware.fence() })
    registers.write(REGISTER.queueNum, size)
    for (const [register, { address }] of [[REGISTER.queueDesc, ring.descriptors], [REGISTER.queueDriver, ring.driver], [REGISTER.queueDevice, ring.device]] as const) {
      registers.write(register, address % 2 ** 32)
      registers.write(register + 4, Math.floor(address / 2 ** 32))
    }
    registers.write(REGISTER.queueReady, 1)
    return ring
  }

  /** The device begins to work. @throws a typed error `'hardware-broken'` */
  start(): void {
    const all = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk | STATUS.driverOk
    this.#status(all)
    const status = this.#registers.read(REGISTER.status)
    if ((status & (all | STATUS.needsReset | STATUS.failed)) === all) return
    this.#reset()
    throw hardwareError('hardware-broken', this.name, 'does not start', `status ${status}`)
  }

  /** Tells the device that a queue has something. */
  notify(index: number): void {
    if (this.#error === null) this.#registers.write(REGISTER.queueNotify, index)
  }

  /** Serves its interrupt. @returns whether it had one */
  interrupt(): boolean {
    if (this.#error !== null) return false
    const cause = this.#registers.read(REGISTER.interruptStatus)
    if (cause === 0) return false
    this.#registers.write(REGISTER.interruptAck, cause)
    if ((cause & INTERRUPT.configuration) !== 0) {
      if ((this.#registers.read(REGISTER.status) & STATUS.needsReset) !== 0) {
        this.fail('wants to be reset')
        return true
      }
      this.attempt(() => { this.#events.configuration?.() })
    }
    if ((cause & INTERRUPT.used) !== 0) this.attempt(() => { this.#events.used() })
    return true
  }

  /** Does what may find out that the device is broken. */
  attempt(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (this.#error !== null) return
      this.fail('broke the rules', error)
    }
  }

  /**
   * Gives the device up: it is reset, so that it leaves memory alone, and its driver is told.
   *
   * @param cause - the typed error, when there is one already
   */
  fail(problem: string, cause?: unknown): void {
    if (this.#error !== null) return
    const known = cause as Partial<MachinistError> | undefined
    const error = known?.code === 'hardware-broken' ? known as MachinistError : hardwareError('hardware-broken', this.name, problem, cause instanceof Error ? cause.message : undefined)
    this.#error = error
    this.#status(STATUS.failed)
    this.#reset()
    this.#events.failed(error)
  }

  /** @returns whether it did */
  #reset(): boolean {
    return resetVirtio(this.#hardware, this.#range)
  }

  #status(value: number): void {
    this.#registers.write(REGISTER.status, value)
  }

  #negotiate(wanted: readonly number[]): void {
    const accepted = new Set<number>()
    for (const word of [0, 1]) {
      this.#registers.write(REGISTER.deviceFeaturesSel, word)
      const offered = this.#registers.read(REGISTER.deviceFeatures)
      let chosen = 0
      for (const bit of [...wanted, VERSION_1]) {
        if (bit >>> 5 !== word || ((offered >>> (bit & 31)) & 1) === 0) continue
        accepted.add(bit)
        chosen |= 1 << (bit & 31)
      }
      this.#registers.write(REGISTER.driverFeaturesSel, word)
      this.#registers.write(REGISTER.driverFeatures, chosen >>> 0)
    }
    if (!accepted.has(VERSION_1)) {
      this.#status(STATUS.failed)
      throw hardwareError('hardware-unsupported', this.name, 'does not have VIRTIO_F_VERSION_1')
    }
    const agreed = STATUS.acknowledge | STATUS.driver | STATUS.featuresOk
    this.#status(agreed)
    if ((this.#registers.read(REGISTER.status) & STATUS.featuresOk) === 0) {
      this.#status(STATUS.failed)
      throw hardwareError('hardware-unsupported', this.name, 'does not work with the features that it offers')
    }
    this.#features = accepted
  }
}
