import type { CharLine, DeviceSpec } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import { consoleConfig, consoleFeature, controlQueue, receiveQueueOf } from './layout.ts'
import { ConsoleControl } from './control.ts'
import { ConsolePort, settleInterval, settleTurns } from './port.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import type { Virtqueue } from '../queue/queue.ts'

/** Saved state of its own. */
export interface ConsoleState {
  /** For each port: bytes of the output in flight that the host has taken. */
  readonly sent: readonly number[]
  /** For each port: 1 when the guest takes input. */
  readonly open: readonly number[]
  /** For each port: 1 when the guest has been told that there will be no more. */
  readonly hungUp: readonly number[]
  /** Control messages that wait for a buffer of the driver. */
  readonly messages: readonly (readonly number[])[]
  /** Of a console that has yet to be given input: whether it waits for its driver, and how often it will yet look. */
  readonly settling?: { readonly waits: boolean; readonly turns: number }
}

/** Backends of a console: a byte stream for each port. */
export type ConsoleBackends<Name extends string = 'console'> = Readonly<Record<Name, 'char'>>

const again = 'again'
const settle = 'settle'
const queueSize = 64

/**
 * A console device (virtio 1.2, 5.3) with the given ports, each a backend of that name. The first is the console; the
 * others are plain byte channels that the guest finds under their names (VIRTIO_CONSOLE_F_MULTIPORT).
 *
 * @param kind - name in machine definitions
 * @param ports - 1 to 31 names
 */
export function consoleWith<const Name extends string>(kind: string, ports: readonly Name[]): VirtioSpec<object, ConsoleState, ConsoleBackends<Name>> {
  const backends: Partial<Record<Name, 'char'>> = {}
  for (const name of ports) backends[name] = 'char'
  return {
    kind,
    deviceId: 3,
    stateVersion: 2,
    backends: backends as ConsoleBackends<Name>,
    configure(input, name) {
      plainData(name, input, 'configuration').done()
      return {}
    },
    create: (_config, context) => new Console(context, ports.map((name) => ({ name, char: context.backends[name] }))),
  }
}

/** A console of one port, `console`. It has no configuration: `{}`. */
export const consoleDevice: VirtioSpec<object, ConsoleState, ConsoleBackends> = consoleWith('virtio-console', ['console'])

/** {@link consoleDevice} behind the MMIO transport. */
export const virtioConsole: DeviceSpec<MmioOptions, MmioState<ConsoleState>, VirtioIrq, ConsoleBackends> = virtioMmio(consoleDevice)

/** {@link consoleDevice} behind the PCI transport. */
export const virtioConsolePci: DeviceSpec<VirtioOptions, VirtioPciState<ConsoleState>, VirtioPciIrq, ConsoleBackends> = virtioPci(consoleDevice)

class Console implements VirtioDevice<ConsoleState> {
  readonly features: readonly number[]
  readonly queueSizes: readonly number[]
  readonly configSize: number = consoleConfig.size
  readonly #context: Pick<VirtioContext, 'name' | 'clock' | 'trace' | 'running' | 'queue' | 'has' | 'configChanged'>
  readonly #config = new ConfigSpace(consoleConfig.size)
  readonly #ports: readonly ConsolePort[]
  readonly #control: ConsoleControl
  /** A timer runs after which the console may be given input. */
  #settling = false

  constructor(context: VirtioContext<ConsoleBackends<string>>, ports: readonly { readonly name: string, readonly char: CharLine | undefined }[]) {
    this.#context = context
    const turnAgain = (): void => { context.clock.timer(again).arm(context.clock.now()) }
    const list: ConsolePort[] = []
    for (const { char } of ports) {
      const index = list.length
      // A console has no end: its reader is a terminal, and the end of a terminal's input is a character.
      const onEnd = (): void => { if (index > 0) this.#control.hangUp(index) }
      if (char !== undefined) list.push(new ConsolePort(char, receiveQueueOf(index), context, turnAgain, onEnd))
    }
    this.#ports = list
    this.#control = new ConsoleControl(context, ports.map(({ name }) => name), () => list[0]?.char.size, (index, open) => {
      const port = list[index]
      if (index > 0 && port !== undefined) port.open = open
    })
    const several = list.length > 1
    this.queueSizes = new Array<number>(several ? 2 * list.length + 2 : 2).fill(queueSize)
    const first = list[0]?.char
    const sized = first?.size !== undefined || first?.onResize !== undefined
    this.features = [
      consoleFeature.emergencyWrite,
      ...sized ? [consoleFeature.size] : [],
      ...several ? [consoleFeature.multiport] : [],
    ]
    this.#config.view.setUint32(consoleConfig.maxPorts, list.length, true)
    this.#takeSize(first)
    for (const port of list) port.char.listen({ readable: () => { port.receive() }, writable: () => { port.transmit() } })
    first?.onResize?.(() => {
      this.#takeSize(first)
      if (this.#multiport) this.#control.resized()
      else if (context.has(consoleFeature.size)) context.configChanged()
    })
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  writeConfig(offset: number, _width: 1 | 2 | 4, value: number): void {
    // At any time, even before the driver is there, and without a queue on which it could be made to wait (5.3.5).
    if (offset === consoleConfig.emergencyWrite) this.#ports[0]?.char.send(Uint8Array.of(value & 0xff))
    else this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
  }

  notify(queue: Virtqueue): void {
    if (this.#context.running && this.#ports[0]?.isOpen === false && !this.#settling) this.#wait()
    if (this.#multiport && (queue.index === controlQueue.receive || queue.index === controlQueue.transmit)) return this.#control.pump()
    for (const port of this.#ports) {
      if (port.receiveQueue === queue.index) port.receive()
      else if (port.transmitQueue === queue.index) port.transmit()
    }
  }

  event(timer: string): void {
    if (timer === settle) {
      this.#settling = false
      if (this.#ports[0]?.settle() === false) this.#wait()
      return
    }
    if (this.#multiport) this.#control.pump()
    for (const port of this.#ports) port.pump()
  }

  reset(): void {
    this.#context.clock.timer(again).cancel()
    this.#context.clock.timer(settle).cancel()
    this.#settling = false
    this.#control.reset()
    for (const port of this.#ports) port.reset()
  }

  save(): ConsoleState {
    const { messages, hungUp } = this.#control.save()
    const [first] = this.#ports
    return {
      sent: this.#ports.map((port) => port.save()), open: this.#ports.map(({ isOpen }) => Number(isOpen)),
      hungUp: this.#ports.map((_, index) => Number(hungUp.includes(index))), messages,
      ...(first?.isOpen === false && { settling: { waits: this.#settling, turns: first.settling } }),
    }
  }

  restore(state: ConsoleState): void {
    const data = plainData(this.#context.name, state, 'state')
    const sent = data.integers('sent', this.#ports.length, 0, 2 ** 32)
    const open = data.integers('open', this.#ports.length, 0, 1)
    const hungUp = data.integers('hungUp', this.#ports.length, 0, 1)
    const messages = data.unknown('messages')
    const settling = plainData(this.#context.name, data.unknown('settling') ?? {}, 'state')
    const waits = settling.boolean('waits', false)
    const turns = settling.integer('turns', 0, settleTurns, settleTurns)
    settling.done()
    data.done()
    this.#control.restore(messages, hungUp.flatMap((flag, index) => flag === 1 ? [index] : []))
    for (const [index, port] of this.#ports.entries()) port.restore(sent[index] ?? 0, open[index] === 1)
    this.#ports[0]?.goOn(turns)
    this.#context.clock.timer(settle).cancel()
    this.#settling = false
    if (waits) this.#wait()
  }

  /** The driver of the console gets a little more time. */
  #wait(): void {
    this.#settling = true
    this.#context.clock.timer(settle).arm(this.#context.clock.now() + settleInterval)
  }

  get #multiport(): boolean {
    return this.#context.has(consoleFeature.multiport)
  }

  #takeSize(char: CharLine | undefined): void {
    this.#config.view.setUint16(consoleConfig.columns, char?.size?.columns ?? 0, true)
    this.#config.view.setUint16(consoleConfig.rows, char?.size?.rows ?? 0, true)
  }
}
