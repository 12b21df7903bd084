import { machinistError } from '@machinist/api'
import type { DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { BufferPool } from '../device/buffer-pool.ts'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import { headerSize, messageSize, mountTagFeature, p9Config } from './protocol.ts'
import { P9Server } from './server.ts'
import type { StandsFor } from './fid.ts'
import { type FidState, Session } from './session.ts'

/** Configuration of a 9P device, checked. */
export interface P9Config {
  /** The name that the guest mounts: 1 to 31 letters, digits, `.`, `_` and `-`. Default: the name of the device. */
  readonly tag: string
  /** Entries of its queue, a power of two from 128, which Linux wants, to 1024. Default: 128. */
  readonly queueSize: number
}

/** Saved state of its own: the client's fids by their paths. */
export interface P9State {
  /** Bytes of the largest message; 0 before there is a session. */
  readonly messageSize: number
  readonly fids: readonly FidState[]
}

/** Backends of a 9P device: the tree of files. */
export type P9Backends = Readonly<Record<'files', 'files'>>

/** Bytes of messages and answers in use at once, for all requests. */
const inFlightLimit = 8 << 20
/** What a request counts at least. */
const leastCost = 16384
const again = 'again'

/** 9P transport (virtio device 9), with a 9P2000.L server behind it. */
export const p9Device: VirtioSpec<P9Config, P9State, P9Backends> = {
  kind: 'virtio-9p',
  deviceId: 9,
  stateVersion: 1,
  backends: { files: 'files' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const tag = data.string('tag', name)
    if (!/^[\w.-]{1,31}$/.test(tag)) {
      throw machinistError({ code: 'config', part: `${name}.tag`, value: tag.slice(0, 80), remedy: 'Give 1 to 31 letters, digits, dots, underscores and hyphens.' },
        'not an acceptable value')
    }
    const config: P9Config = { tag, queueSize: data.oneOf('queueSize', [128, 256, 512, 1024], 128) }
    data.done()
    return config
  },
  create: (config, context) => new P9(config, context),
}

/** {@link p9Device} behind the MMIO transport. */
export const virtio9p: DeviceSpec<P9Config & MmioOptions, MmioState<P9State>, VirtioIrq, P9Backends> = virtioMmio(p9Device)

/** {@link p9Device} behind the PCI transport. */
export const virtio9pPci: DeviceSpec<P9Config & VirtioOptions, VirtioPciState<P9State>, VirtioPciIrq, P9Backends> = virtioPci(p9Device)

class P9 implements VirtioDevice<P9State> {
  readonly features: readonly number[] = [mountTagFeature]
  readonly queueSizes: readonly number[]
  readonly configSize: number
  readonly #context: VirtioContext<P9Backends>
  readonly #config: ConfigSpace
  readonly #pool = new BufferPool(inFlightLimit)
  readonly #server: P9Server
  #inFlight = 0
  #stalled = false

  constructor({ tag, queueSize }: P9Config, context: VirtioContext<P9Backends>) {
    this.#context = context
    this.queueSizes = [queueSize]
    this.configSize = p9Config.tag + tag.length
    this.#config = new ConfigSpace(this.configSize)
    this.#config.view.setUint16(p9Config.tagLength, tag.length, true)
    for (let index = 0; index < tag.length; index++) this.#config.view.setUint8(p9Config.tag + index, tag.charCodeAt(index))
    this.#server = new P9Server(context.backends.files, this.#pool)
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  writeConfig(offset: number): void {
    this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
  }

  notify(queue: Virtqueue): void {
    for (let taken = 0; taken < queue.size; taken++) {
      if (this.#inFlight + 2 * messageSize.most > inFlightLimit) {
        this.#stalled = true
        return
      }
      const chain = queue.pop()
      if (chain === null) return queue.signal()
      this.#start(queue, chain)
    }
    this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  event(): void {
    const queue = this.#context.queue(0)
    if (queue?.ready === true) this.notify(queue)
  }

  reset(): void {
    // Memory of requests in flight stays counted: the tree is still at it.
    this.#server.reset()
    this.#context.clock.timer(again).cancel()
  }

  save(): P9State {
    const { session } = this.#server
    return { messageSize: session?.messageSize ?? 0, fids: session?.save() ?? [] }
  }

  restore(state: P9State): void {
    const part = this.#context.name
    const data = plainData(part, state, 'state')
    const size = data.integer('messageSize', 0, messageSize.most)
    const session = Session.restore(part, size, data)
    data.done()
    this.#server.reset()
    this.#server.session = size < messageSize.least ? null : session
  }

  outside(): Session | null {
    return this.#server.session?.copy((object) => object) ?? null
  }

  takeUp(held: unknown, standsFor: StandsFor): void {
    this.#server.session = held instanceof Session ? held.copy(standsFor) : null
  }

  dispose(): void {
    this.#server.reset()
  }

  #start(queue: Virtqueue, chain: Chain): void {
    const header = new Uint8Array(headerSize)
    if (!chain.read(0, header)) return this.#context.fail('a message without a header')
    const size = new DataView(header.buffer).getUint32(0, true)
    const most = this.#server.session?.messageSize ?? messageSize.least
    if (size < headerSize || size > chain.readableLength || size > most) return this.#context.fail(`a message of ${String(size)} bytes`)
    const buffer = this.#pool.take(size)
    const message = buffer.subarray(0, size)
    if (!chain.read(0, message)) {
      this.#pool.give(buffer)
      return this.#context.fail('a message outside RAM')
    }
    // Size, type and tag as they were checked: the guest may have changed them between.
    message.set(header)
    const room = chain.writableLength
    const cost = leastCost + size + Math.min(room, most)
    this.#inFlight += cost
    this.#server.request(message, room, (answer) => {
      this.#inFlight -= cost
      queue.push(chain, chain.write(0, answer) ? answer.length : 0)
      queue.signal()
      this.#pool.give(buffer)
      this.#goOn()
    })
  }

  #goOn(): void {
    if (!this.#stalled || this.#inFlight + 2 * messageSize.most > inFlightLimit) return
    this.#stalled = false
    // Not from here: a request that is answered at once would come back, as deep as the queue is long.
    this.#context.clock.timer(again).arm(this.#context.clock.now())
  }
}
