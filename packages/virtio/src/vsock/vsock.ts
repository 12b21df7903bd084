import type { DeviceSpec, VsockPort, VsockStream } from '@machinist/api'
import { plainData } from '@machinist/registers'
import { ConfigSpace } from '../device/config-space.ts'
import type { MmioOptions, VirtioOptions } from '../device/options.ts'
import type { VirtioContext, VirtioDevice, VirtioSpec } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import { virtioMmio } from '../transport/mmio.ts'
import type { MmioState, VirtioIrq } from '../transport/mmio.ts'
import { virtioPci } from '../transport/pci.ts'
import type { VirtioPciIrq, VirtioPciState } from '../transport/pci.ts'
import { Connection, type ConnectionHost, creditSize } from './connection.ts'
import { configSize, eventSize, type Header, hostCid, operation, packet, readHeader, streamFeature, streamType, transportReset, vsockQueue } from './layout.ts'

/** Configuration of a socket device, checked. */
export interface VsockConfig {
  /** The guest's context identifier, 3 to 2^32 - 2. Default: 3. */
  readonly cid: number
}

/** Saved state of its own. After a restore all connections are gone, and the guest is told if there were any. */
export interface VsockState {
  /** Whether the guest is to be told. */
  readonly connected: boolean
  /** The host's port of the last connection that it asked for. */
  readonly port: number
  /** Packets that wait for the guest, of no connection any more: guest's port, host's port, operation, flags, and bytes that the host had taken, or −1. */
  readonly packets: readonly (readonly number[])[]
}

/** Backends of a socket device. */
export type VsockBackends = Readonly<Record<'host', 'vsock'>>

/** Most connections. */
const mostConnections = 256
/** Packets without data that may wait for the guest; the guest's packets wait while there are more. */
const mostWaiting = 1024
/** Data of a packet, and data that is moved in one turn. */
const mostData = 64 << 10
const turn = 512 << 10
const firstHostPort = 2 ** 30
const again = 'again'

/** A packet without data. */
interface Control {
  readonly connection: Connection | null
  readonly guestPort: number
  readonly hostPort: number
  readonly what: number
  readonly flags: number
}

/** Socket device (virtio 1.2, 5.10), for streams. */
export const vsockDevice: VirtioSpec<VsockConfig, VsockState, VsockBackends> = {
  kind: 'virtio-vsock',
  deviceId: 19,
  stateVersion: 1,
  backends: { host: 'vsock' },
  configure(input, name) {
    const data = plainData(name, input, 'configuration')
    const config = { cid: data.integer('cid', 3, 2 ** 32 - 2, 3) }
    data.done()
    return config
  },
  create: (config, context) => new Vsock(config, context),
}

/** {@link vsockDevice} behind the MMIO transport. */
export const virtioVsock: DeviceSpec<VsockConfig & MmioOptions, MmioState<VsockState>, VirtioIrq, VsockBackends> = virtioMmio(vsockDevice)

/** {@link vsockDevice} behind the PCI transport. */
export const virtioVsockPci: DeviceSpec<VsockConfig & VirtioOptions, VirtioPciState<VsockState>, VirtioPciIrq, VsockBackends> = virtioPci(vsockDevice)

class Vsock implements VirtioDevice<VsockState>, ConnectionHost {
  readonly features: readonly number[] = [streamFeature]
  readonly queueSizes: readonly number[] = [128, 128, 16]
  readonly configSize: number = configSize
  readonly #cid: number
  readonly #context: VirtioContext<VsockBackends>
  readonly #port: VsockPort
  readonly #config = new ConfigSpace(configSize)
  readonly #connections = new Map<string, Connection>()
  readonly #scratch = new Uint8Array(packet.size + mostData)
  readonly #view: DataView = new DataView(this.#scratch.buffer)
  #waiting: Control[] = []
  #resetDue = false
  #nextPort = firstHostPort

  constructor({ cid }: VsockConfig, context: VirtioContext<VsockBackends>) {
    this.#cid = cid
    this.#context = context
    this.#config.set64(0, cid)
    this.#port = context.backends.host
    this.#port.listen((port, stream, answered) => { this.#ask(port, stream, answered) })
  }

  readConfig(offset: number, width: 1 | 2 | 4): number {
    return this.#config.read(offset, width)
  }

  writeConfig(offset: number): void {
    this.#context.trace.warn(`${this.#context.name}: ignored a write to its configuration, at ${String(offset)}`)
  }

  notify(queue: Virtqueue): void {
    if (queue.index === vsockQueue.event) this.#sendEvent(queue)
    this.#pump()
  }

  event(): void {
    const events = this.#context.queue(vsockQueue.event)
    if (events?.ready === true && this.#context.running) this.#sendEvent(events)
    this.#pump()
  }

  reset(): void {
    for (const connection of [...this.#connections.values()]) connection.drop()
    this.#waiting = []
    this.#resetDue = false
    this.#context.clock.timer(again).cancel()
  }

  save(): VsockState {
    const over = this.#waiting.filter(({ connection }) => connection === null || this.#connections.get(keyOf(connection.guestPort, connection.hostPort)) !== connection)
    return {
      connected: this.#resetDue || this.#connections.size > 0,
      port: this.#nextPort,
      packets: over.map(({ connection, guestPort, hostPort, what, flags }) => [guestPort, hostPort, what, flags, connection?.forwarded ?? -1]),
    }
  }

  restore(state: VsockState): void {
    const { name, clock } = this.#context
    const data = plainData(name, state, 'state')
    const connected = data.boolean('connected', true)
    const port = data.integer('port', firstHostPort, 2 ** 32 - 2, firstHostPort)
    const packets = data.unknown('packets') ?? []
    data.done()
    const list: readonly unknown[] = Array.isArray(packets) ? packets.slice(0, mostWaiting + mostConnections) : []
    const waiting = list.map((packet): Control => {
      const [guestPort = 0, hostPort = 0, what = 0, flags = 0, forwarded = 0] = plainData(name, { packet }, 'state').integers('packet', 5, -1, 2 ** 32 - 1)
      // One that is over, in no table.
      const connection = forwarded < 0 ? null : new Connection(guestPort, hostPort, this)
      if (connection !== null) connection.forwarded = forwarded
      return { connection, guestPort: guestPort >>> 0, hostPort: hostPort >>> 0, what: what & 0xffff, flags: flags >>> 0 }
    })
    this.reset()
    this.#nextPort = port
    this.#waiting = waiting
    this.#resetDue = connected
    if (connected) clock.timer(again).arm(clock.now())
  }

  outside(): HeldConnections {
    return copyOf({ connections: [...this.#connections.values()], waiting: this.#waiting, resetDue: this.#resetDue }, this, (object) => object)
  }

  takeUp(held: unknown, standsFor: StandsFor): void {
    const { connections, waiting, resetDue } = copyOf(held as HeldConnections, this, standsFor)
    this.#connections.clear()
    for (const connection of connections) {
      this.#connections.set(keyOf(connection.guestPort, connection.hostPort), connection)
      if (connection.stream !== null) connection.join(connection.stream, () => { this.#pump() })
    }
    this.#waiting = [...waiting]
    this.#resetDue = resetDue
  }

  dispose(): void {
    this.reset()
  }

  send(connection: Connection, what: number, flags = 0): void {
    this.#waiting.push({ connection, guestPort: connection.guestPort, hostPort: connection.hostPort, what, flags })
    this.#later()
  }

  forget(connection: Connection): void {
    const key = keyOf(connection.guestPort, connection.hostPort)
    if (this.#connections.get(key) === connection) this.#connections.delete(key)
  }

  /** A program of the host wants to speak with one of the guest. */
  #ask(guestPort: number, stream: VsockStream, answered: (hostPort: number | null) => void): void {
    if (!this.#context.running || this.#connections.size >= mostConnections) return answered(null)
    do this.#nextPort = this.#nextPort === 2 ** 32 - 2 ? firstHostPort : this.#nextPort + 1
    while (this.#connections.has(keyOf(guestPort, this.#nextPort)))
    const connection = this.#add(guestPort, this.#nextPort)
    connection.answered = answered
    connection.join(stream, () => { this.#pump() })
    this.send(connection, operation.request)
    this.#pump()
  }

  #add(guestPort: number, hostPort: number): Connection {
    const connection = new Connection(guestPort, hostPort, this)
    this.#connections.set(keyOf(guestPort, hostPort), connection)
    return connection
  }

  /** Moves what can be moved, both ways, within bounds. */
  #pump(): void {
    const transmit = this.#context.queue(vsockQueue.transmit)
    const receive = this.#context.queue(vsockQueue.receive)
    if (transmit === null || receive === null || !this.#context.running) return
    let budget = turn
    while (budget > 0 && this.#waiting.length < mostWaiting) {
      const chain = transmit.pop()
      if (chain === null) break
      budget -= packet.size + Math.min(chain.readableLength, turn)
      this.#take(chain)
      transmit.push(chain, 0)
    }
    transmit.signal()
    const stuck = budget > 0 && this.#waiting.length >= mostWaiting
    budget = Math.min(budget, turn / 2) + turn / 2
    budget = this.#deliver(receive, budget)
    if (budget <= 0 || stuck && this.#waiting.length < mostWaiting) this.#later()
    receive.signal()
  }

  /** Packets to the guest, those without data first; the others by turns. */
  #deliver(queue: Virtqueue, budget: number): number {
    while (budget > 0) {
      const control = this.#waiting.shift()
      if (control === undefined) break
      const chain = queue.pop()
      if (chain === null) {
        this.#waiting.unshift(control)
        return budget
      }
      budget -= packet.size
      this.#put(queue, chain, control, 0)
    }
    let moved = true
    while (moved && budget > 0) {
      moved = false
      for (const connection of [...this.#connections.values()]) {
        const length = this.#sendData(queue, connection)
        if (length === null) return budget
        moved ||= length > 0
        budget -= length
      }
    }
    return budget
  }

  /** Sends what the host has for one connection. Returns the number of bytes; null when the guest has no buffer. */
  #sendData(queue: Virtqueue, connection: Connection): number | null {
    const { stream } = connection
    if (stream === null || !connection.open) return 0
    if (!stream.readable) {
      connection.checkEnd()
      return 0
    }
    const room = Math.min(connection.room, mostData)
    if (room === 0) return 0
    const chain = queue.pop()
    if (chain === null) return null
    const most = Math.min(room, Math.max(0, chain.writableLength - packet.size))
    const length = stream.read(this.#scratch.subarray(packet.size, packet.size + most))
    if (length === 0) {
      // Nothing came after all: the buffer is used for our credit.
      this.#put(queue, chain, { connection, guestPort: connection.guestPort, hostPort: connection.hostPort, what: operation.creditUpdate, flags: 0 }, 0)
      connection.checkEnd()
      return 0
    }
    connection.sent(length)
    this.#put(queue, chain, { connection, guestPort: connection.guestPort, hostPort: connection.hostPort, what: operation.data, flags: 0 }, length)
    connection.checkEnd()
    return length
  }

  #put(queue: Virtqueue, chain: Chain, { connection, guestPort, hostPort, what, flags }: Control, length: number): void {
    const view = this.#view
    view.setBigUint64(packet.sourceCid, BigInt(hostCid), true)
    view.setBigUint64(packet.destinationCid, BigInt(this.#cid), true)
    view.setUint32(packet.sourcePort, hostPort, true)
    view.setUint32(packet.destinationPort, guestPort, true)
    view.setUint32(packet.length, length, true)
    view.setUint16(packet.type, streamType, true)
    view.setUint16(packet.operation, what, true)
    view.setUint32(packet.flags, flags, true)
    view.setUint32(packet.allocated, connection === null ? 0 : creditSize, true)
    view.setUint32(packet.forwarded, connection?.forwarded ?? 0, true)
    connection?.told()
    if (chain.writableLength < packet.size) return this.#context.fail('a receive buffer without room for a header')
    queue.push(chain, chain.write(0, this.#scratch.subarray(0, packet.size + length)) ? packet.size + length : 0)
  }

  /** A packet of the guest. */
  #take(chain: Chain): void {
    const bytes = new Uint8Array(packet.size)
    if (!chain.read(0, bytes)) return this.#context.fail('a packet without a header')
    const header = readHeader(bytes, this.#cid)
    const { operation: what, length } = header
    if (length > chain.readableLength - packet.size) return this.#context.fail(`a packet that says ${String(length)} bytes and has fewer`)
    const connection = header.ours ? this.#connections.get(keyOf(header.sourcePort, header.destinationPort)) : undefined
    connection?.credit(header)
    if (connection === undefined) {
      if (what === operation.request && header.ours && this.#connections.size < mostConnections) this.#request(header)
      else if (what !== operation.reset) this.#refuse(header)
      return
    }
    switch (what) {
      case operation.response:
        if (connection.answered === null) return connection.reset()
        connection.open = true
        connection.answered(connection.hostPort)
        connection.answered = null
        return
      case operation.reset:
        return connection.drop()
      case operation.shutdown:
        return connection.open ? connection.shutdown(header.flags) : connection.reset()
      case operation.data: {
        if (length > creditSize) return connection.reset()
        const data = new Uint8Array(length)
        if (!chain.read(packet.size, data)) return this.#context.fail('a packet outside RAM')
        return connection.receive(data)
      }
      case operation.creditUpdate:
        return
      case operation.creditRequest:
        return this.send(connection, operation.creditUpdate)
      default:
        return connection.reset()
    }
  }

  #request(header: Header): void {
    const connection = this.#add(header.sourcePort, header.destinationPort)
    connection.credit(header)
    this.#port.connect(header.destinationPort, (stream) => {
      if (this.#connections.get(keyOf(header.sourcePort, header.destinationPort)) !== connection) return stream?.destroy()
      if (stream === null) return connection.reset()
      connection.open = true
      connection.join(stream, () => { this.#pump() })
      this.send(connection, operation.response)
      this.#pump()
    })
  }

  #refuse({ sourcePort, destinationPort }: Header): void {
    this.#waiting.push({ connection: null, guestPort: sourcePort, hostPort: destinationPort, what: operation.reset, flags: 0 })
  }

  /** Tells the guest that all connections are gone. */
  #sendEvent(queue: Virtqueue): void {
    if (!this.#resetDue) return
    const chain = queue.pop()
    if (chain === null) return
    this.#resetDue = false
    const bytes = new Uint8Array(eventSize)
    new DataView(bytes.buffer).setUint32(0, transportReset, true)
    queue.push(chain, chain.write(0, bytes) ? eventSize : 0)
    queue.signal()
  }

  #later(): void {
    this.#context.clock.timer(again).arm(this.#context.clock.now())
  }
}

type StandsFor = <T extends object>(object: T) => T

/** What a device has of connections. */
interface HeldConnections {
  readonly connections: readonly Connection[]
  readonly waiting: readonly Control[]
  readonly resetDue: boolean
}

function copyOf({ connections, waiting, resetDue }: HeldConnections, host: ConnectionHost, standsFor: StandsFor): HeldConnections {
  const copies = new Map<Connection, Connection>()
  const copy = (connection: Connection): Connection => {
    const made = copies.get(connection) ?? connection.copy(host, standsFor)
    copies.set(connection, made)
    return made
  }
  return { connections: connections.map(copy), waiting: waiting.map((control) => ({ ...control, connection: control.connection && copy(control.connection) })), resetDue }
}

function keyOf(guestPort: number, hostPort: number): string {
  return `${String(guestPort)}:${String(hostPort)}`
}
