import type { DeviceSpec, InputEvent, InputPort } from '@machinist/api'
import { machinistError, maximumInputPacket } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import { ev, inputConfig, inputEvent, inputQueue, longestConfig } from './layout.ts'
import { describeInput, hasLight, inputModels } from './models.ts'
import type { InputModel } from './models.ts'

export { tabletRange } from './models.ts'
export type { InputModel } from './models.ts'

/** Configuration of an input device, checked. */
export interface InputConfig {
  /** What it is. A tablet is a pointer with absolute positions, 0 to {@link tabletRange}; a power button has KEY_POWER alone. Default: `'keyboard'`. */
  readonly model: InputModel
  /** Shown to the guest; printable ASCII, at most 128 characters. Default: none. */
  readonly serial: string
}

/** Saved state of its own. */
export interface InputState {
  /** What the driver reads of the configuration. */
  readonly select: number
  readonly subsel: number
  /** Type, code and value of each event that waits for a buffer: the rest of a packet. */
  readonly waiting: readonly number[]
}

/** Backends of an input device: who types. */
export type InputBackends = Readonly<Record<'input', 'input'>>

/** Requests that are looked at in one turn, in each queue. */
const turn = 256
const again = 'again'

/** Input device (virtio 1.2, 5.8). */
export const inputDevice: VirtioSpec<InputConfig, InputState, InputBackends> = {
  kind: 'virtio-input',
  deviceId: 18,
  stateVersion: 1,
  backends: { input: 'input' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config = { model: data.oneOf('model', inputModels, 'keyboard'), serial: data.string('serial', '') }
    data.done()
    if (!/^[ -~]*$/.test(config.serial) || config.serial.length > longestConfig) {
      throw machinistError({ code: 'config', part: `${name}.serial`, value: config.serial.slice(0, 80), remedy: `Give at most ${String(longestConfig)} printable ASCII characters.` }, 'not an acceptable value')
    }
    return config
  },
  create: (config, context) => new Input(config, context),
}

/** {@link inputDevice} behind the MMIO transport. */
export const virtioInput: DeviceSpec<InputConfig & MmioOptions, MmioState<InputState>, VirtioIrq, InputBackends> = virtioMmio(inputDevice)

/** {@link inputDevice} behind the PCI transport. */
export const virtioInputPci: DeviceSpec<InputConfig & VirtioOptions, VirtioPciState<InputState>, VirtioPciIrq, InputBackends> = virtioPci(inputDevice)

class Input implements VirtioDevice<InputState> {
  readonly features: readonly number[] = []
  readonly queueSizes: readonly number[] = [256, 256]
  readonly configSize: number = inputConfig.length
  readonly #config: InputConfig
  readonly #context: VirtioContext<InputBackends>
  readonly #port: InputPort
  readonly #space = new ConfigSpace(inputConfig.length)
  #waiting: InputEvent[] = []

  constructor(config: InputConfig, context: VirtioContext<InputBackends>) {
    this.#config = config
    this.#context = context
    this.#port = context.backends.input
    this.#port.listen({ readable: () => { this.#give() } })
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#space.read(offset, width)
  }

  writeConfig(offset: number, width: 1 | 2 | 4, value: number): void {
    const bytes = [this.#select, this.#subsel]
    for (let index = 0; index < width; index++) {
      if (offset + index <= inputConfig.subsel) bytes[offset + index] = (value >>> (8 * index)) & 0xff
    }
    if (offset > inputConfig.subsel) this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
    this.#show(bytes[inputConfig.select] ?? 0, bytes[inputConfig.subsel] ?? 0)
  }

  notify(queue: Virtqueue): void {
    if (queue.index === inputQueue.event) this.#give()
    else this.#take(queue)
  }

  event(): void {
    this.#give()
    const status = this.#context.queue(inputQueue.status)
    if (status !== null) this.#take(status)
  }

  reset(): void {
    this.#context.clock.timer(again).cancel()
    this.#waiting = []
    this.#show(0, 0)
  }

  save(): InputState {
    return { select: this.#select, subsel: this.#subsel, waiting: this.#waiting.flatMap(({ type, code, value }) => [type, code, value]) }
  }

  restore(state: InputState): void {
    const data = plainData(this.#context.name, state, 'state')
    const [select, subsel] = [data.integer('select', 0, 255), data.integer('subsel', 0, 255)]
    const given = data.unknown('waiting')
    const count = Array.isArray(given) ? Math.min(Math.ceil(given.length / 3), maximumInputPacket) : 0
    const numbers = data.integers('waiting', 3 * count, -(2 ** 31), 2 ** 31 - 1)
    data.done()
    this.#waiting = Array.from({ length: count }, (_, index) => ({ type: numbers[3 * index] ?? 0, code: numbers[3 * index + 1] ?? 0, value: numbers[3 * index + 2] ?? 0 }))
    this.#show(select, subsel)
  }

  get #select(): number {
    return this.#space.bytes[inputConfig.select] ?? 0
  }

  get #subsel(): number {
    return this.#space.bytes[inputConfig.subsel] ?? 0
  }

  #show(select: number, subsel: number): void {
    const shown = describeInput(this.#config.model, this.#config.serial, select, subsel)
    this.#space.bytes.fill(0)
    this.#space.bytes.set([select, subsel, shown.length])
    this.#space.bytes.set(shown, inputConfig.union)
  }

  /** Events to the driver, each in a buffer of its own, as long as there are buffers. What the host has beyond that stays with it. */
  #give(): void {
    const queue = this.#context.running ? this.#context.queue(inputQueue.event) : null
    if (queue?.ready !== true) return
    const bytes = new Uint8Array(inputEvent.size)
    const view = new DataView(bytes.buffer)
    let left = turn
    for (; left > 0; left--) {
      if (this.#waiting.length === 0) this.#waiting = [...this.#port.receive() ?? []].slice(0, maximumInputPacket)
      const [next] = this.#waiting
      const chain = next === undefined ? null : queue.pop()
      if (next === undefined || chain === null) break
      if (chain.writableLength < inputEvent.size) {
        this.#context.fail('an event buffer that is too small')
        return
      }
      this.#waiting.shift()
      view.setUint16(inputEvent.type, next.type, true)
      view.setUint16(inputEvent.code, next.code, true)
      view.setInt32(inputEvent.value, next.value, true)
      queue.push(chain, chain.write(0, bytes) ? bytes.length : 0)
    }
    queue.signal()
    if (left === 0) this.#later()
  }

  /** What the driver says (5.8.6.2): which lights are on. */
  #take(queue: Virtqueue): void {
    const bytes = new Uint8Array(inputEvent.size)
    const view = new DataView(bytes.buffer)
    let left = turn
    for (; left > 0; left--) {
      const chain = queue.pop()
      if (chain === null) break
      if (chain.read(0, bytes)) {
        const [type, code, value] = [view.getUint16(inputEvent.type, true), view.getUint16(inputEvent.code, true), view.getInt32(inputEvent.value, true)]
        if (type === ev.led && hasLight(this.#config.model, code)) this.#port.status({ type, code, value: value === 0 ? 0 : 1 })
      }
      queue.push(chain, 0)
    }
    queue.signal()
    if (left === 0) this.#later()
  }

  #later(): void {
    this.#context.clock.timer(again).arm(this.#context.clock.now())
  }
}
