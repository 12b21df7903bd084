import type { DeviceSpec } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import {
  direction, infoSize, longestRequest, mostChannels, params, pcmHeaderSize, pinConfig, querySize, rates, request, sampleFormats, soundConfig, soundQueue, status,
  stereoPositions, transferSize, transferStatusSize,
} from './layout.ts'
import { finishMessage, longestBuffer, SoundStream } from './stream.ts'
import type { StreamState } from './stream.ts'

export type { Phase, StreamState } from './stream.ts'

/** Configuration of a sound device, checked. */
export interface SoundConfig {
  /** Streams to loudspeakers, 0 to 4. Default: 1. */
  readonly outputs: number
  /** Streams from microphones, 0 to 4. Default: 1. */
  readonly inputs: number
}

/** Saved state of its own. */
export interface SoundState {
  /** Outputs first. */
  readonly streams: readonly StreamState[]
}

/** Backends of a sound device: who listens. */
export type SoundBackends = Readonly<Record<'audio', 'audio'>>

const mostStreams = 4
/** Requests that are taken in one turn, of each queue. */
const turn = 128
const again = 'again'
const headerSize = 4

/** Sound device (virtio 1.2, 5.14): PCM streams, each with a jack that is plugged in and a map of its channels. */
export const soundDevice: VirtioSpec<SoundConfig, SoundState, SoundBackends> = {
  kind: 'virtio-sound',
  deviceId: 25,
  stateVersion: 1,
  backends: { audio: 'audio' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config = { outputs: data.integer('outputs', 0, mostStreams, 1), inputs: data.integer('inputs', 0, mostStreams, 1) }
    data.done()
    return config
  },
  create: (config, context) => new Sound(config, context),
}

/** {@link soundDevice} behind the MMIO transport. */
export const virtioSound: DeviceSpec<SoundConfig & MmioOptions, MmioState<SoundState>, VirtioIrq, SoundBackends> = virtioMmio(soundDevice)

/** {@link soundDevice} behind the PCI transport. */
export const virtioSoundPci: DeviceSpec<SoundConfig & VirtioOptions, VirtioPciState<SoundState>, VirtioPciIrq, SoundBackends> = virtioPci(soundDevice)

class Sound implements VirtioDevice<SoundState> {
  readonly features: readonly number[] = []
  readonly queueSizes: readonly number[] = [64, 64, 64, 64]
  readonly configSize: number = soundConfig.size
  readonly #context: VirtioContext<SoundBackends>
  readonly #config = new ConfigSpace(soundConfig.size)
  readonly #streams: readonly SoundStream[]
  readonly #outputs: number

  constructor({ outputs, inputs }: SoundConfig, context: VirtioContext<SoundBackends>) {
    this.#context = context
    this.#outputs = outputs
    const { clock, backends: { audio: port } } = context
    const scratch = new Uint8Array(longestBuffer)
    this.#streams = Array.from({ length: outputs + inputs }, (_, index) => new SoundStream(index, index < outputs, {
      port, clock, scratch,
      finish: (chain, written) => { context.queue(index < outputs ? soundQueue.transmit : soundQueue.receive)?.push(chain, written) },
    }))
    for (const field of [soundConfig.jacks, soundConfig.streams, soundConfig.chmaps]) this.#config.view.setUint32(field, outputs + inputs, true)
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  writeConfig(offset: number): void {
    this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
  }

  notify(queue: Virtqueue): void {
    // Jacks never change here, and nothing else makes events: those buffers stay where they are.
    if (queue.index === soundQueue.event) return
    let left = turn
    for (; left > 0; left--) {
      const chain = queue.pop()
      if (chain === null) break
      if (queue.index === soundQueue.control) this.#serve(queue, chain)
      else this.#take(queue, chain)
    }
    this.#signal()
    if (left === 0) this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  event(port: string): void {
    const stream = this.#streams.find(({ timerName }) => timerName === port)
    if (stream !== undefined) {
      stream.expired()
      return this.#signal()
    }
    for (const index of [soundQueue.control, soundQueue.transmit, soundQueue.receive]) {
      const queue = this.#context.queue(index)
      if (queue?.ready === true) this.notify(queue)
    }
  }

  reset(): void {
    this.#context.clock.timer(again).cancel()
    for (const stream of this.#streams) stream.reset()
  }

  resetQueue(queue: Virtqueue): void {
    for (const stream of this.#streams) if (queue.index === (stream.output ? soundQueue.transmit : soundQueue.receive)) stream.drop()
  }

  save(): SoundState {
    return { streams: this.#streams.map((stream) => stream.save()) }
  }

  restore(state: SoundState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const given = data.unknown('streams')
    data.done()
    const list: readonly unknown[] = Array.isArray(given) ? given : []
    if (list.length !== this.#streams.length) {
      throw machinistError({ code: 'state', part: `${name}.streams`, value: list.length, remedy: 'Restore it with the configuration that it was saved with' }, 'another number of streams')
    }
    const states = this.#streams.map((stream, index) => stream.check(`${name}.streams`, list[index]))
    for (const [index, stream] of this.#streams.entries()) {
      const saved = states[index]
      if (saved !== undefined) stream.restore(saved)
    }
  }

  dispose(): void {
    this.reset()
  }

  #signal(): void {
    for (const index of [soundQueue.control, soundQueue.transmit, soundQueue.receive]) this.#context.queue(index)?.signal()
  }

  /** A message with sound, or for sound (5.14.6.8). */
  #take(queue: Virtqueue, chain: Chain): void {
    if (chain.writableLength < transferStatusSize) {
      this.#context.fail('a message without room for its status')
      return
    }
    const header = new Uint8Array(transferSize)
    const id = chain.read(0, header) ? new DataView(header.buffer).getUint32(0, true) : this.#streams.length
    const stream = this.#streams[id]
    const code = stream === undefined || stream.output !== (queue.index === soundQueue.transmit) ? status.badMessage : stream.add(chain)
    if (code !== status.ok) finishMessage({ finish: (done, written) => { queue.push(done, written) } }, chain, code, 0)
  }

  /** A request of the control queue, and its answer. */
  #serve(queue: Virtqueue, chain: Chain): void {
    if (chain.readableLength < headerSize || chain.writableLength < headerSize) {
      this.#context.fail('a request without a header or without room for an answer')
      return
    }
    const bytes = new Uint8Array(longestRequest)
    const length = Math.min(chain.readableLength, longestRequest)
    const readable = chain.read(0, bytes.subarray(0, length))
    const { code, body } = readable ? this.#run(new DataView(bytes.buffer), length, chain.writableLength - headerSize) : { code: status.badMessage }
    const answer = new Uint8Array(headerSize + (body?.length ?? 0))
    new DataView(answer.buffer).setUint32(0, code, true)
    if (body !== undefined) answer.set(body, headerSize)
    queue.push(chain, chain.write(0, answer) ? answer.length : 0)
  }

  #run(view: DataView, length: number, room: number): { readonly code: number, readonly body?: Uint8Array } {
    const code = view.getUint32(0, true)
    switch (code) {
      case request.jackInfo: return this.#info(view, length, room, infoSize.jack, jackInfo)
      case request.pcmInfo: return this.#info(view, length, room, infoSize.pcm, pcmInfo)
      case request.chmapInfo: return this.#info(view, length, room, infoSize.chmap, chmapInfo)
      case request.pcmSetParams: case request.pcmPrepare: case request.pcmRelease: case request.pcmStart: case request.pcmStop: {
        const stream = length < pcmHeaderSize ? undefined : this.#streams[view.getUint32(4, true)]
        if (stream === undefined || (code === request.pcmSetParams && length < params.size)) return { code: status.badMessage }
        return { code: runStream(stream, code, view) }
      }
      default: return { code: status.notSupported }
    }
  }

  #info(view: DataView, length: number, room: number, size: number, fill: (into: DataView, output: boolean, node: number) => void): { readonly code: number, readonly body?: Uint8Array } {
    if (length < querySize) return { code: status.badMessage }
    const [first, count] = [view.getUint32(4, true), view.getUint32(8, true)]
    if (view.getUint32(12, true) !== size || first + count > this.#streams.length || count * size > room) return { code: status.badMessage }
    const body = new Uint8Array(count * size)
    for (let index = 0; index < count; index++) {
      const output = first + index < this.#outputs
      // Streams of both directions with one number are one device to the guest.
      fill(new DataView(body.buffer, index * size, size), output, first + index - (output ? 0 : this.#outputs))
    }
    return { code: status.ok, body }
  }
}

function runStream(stream: SoundStream, code: number, view: DataView): number {
  switch (code) {
    case request.pcmPrepare: return stream.prepare()
    case request.pcmRelease: return stream.release()
    case request.pcmStart: return stream.start()
    case request.pcmStop: return stream.stop()
    default: return stream.setParams(view.getUint32(params.bufferBytes, true), view.getUint32(params.periodBytes, true), view.getUint32(params.features, true),
      view.getUint8(params.channels), view.getUint8(params.format), view.getUint8(params.rate))
  }
}

/** `struct virtio_snd_jack_info` (5.14.6.4.1). */
function jackInfo(into: DataView, output: boolean, node: number): void {
  into.setUint32(0, node, true)
  into.setUint32(8, output ? pinConfig.output : pinConfig.input, true)
  into.setUint8(16, 1)
}

/** `struct virtio_snd_pcm_info` (5.14.6.6.2). */
function pcmInfo(into: DataView, output: boolean, node: number): void {
  const mask = (bits: Iterable<number>): number => [...bits].reduce((sum, bit) => sum + 2 ** bit, 0)
  into.setUint32(0, node, true)
  into.setUint32(8, mask(sampleFormats.keys()), true)
  into.setUint32(16, mask(rates.keys()), true)
  into.setUint8(24, output ? direction.output : direction.input)
  into.setUint8(25, 1)
  into.setUint8(26, mostChannels)
}

/** `struct virtio_snd_chmap_info` (5.14.6.7.1). */
function chmapInfo(into: DataView, output: boolean, node: number): void {
  into.setUint32(0, node, true)
  into.setUint8(4, output ? direction.output : direction.input)
  into.setUint8(5, stereoPositions.length)
  for (const [index, position] of stereoPositions.entries()) into.setUint8(6 + index, position)
}
