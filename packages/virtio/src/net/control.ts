import { ethernet, isGroup, macAt } from '@machinist/packets'
import type { VirtioContext } from '../device/spec.ts'
import type { Chain, Virtqueue } from '../queue/queue.ts'
import type { ReceiveFilter } from './filter.ts'
import { mostAddresses } from './filter.ts'
import {
  announceAck, controlAck, controlClass, controlHeaderSize, guestOffloadsSet, macCommand, netFeature, pairsSet, vlanCommand,
} from './layout.ts'

/** What commands of the driver change. */
export interface ControlHost {
  readonly filter: ReceiveFilter
  readonly maximumPairs: number
  setMac(mac: number): void
  setPairs(pairs: number): void
  announced(): void
  /** @param bits - features of the guest's offloads that stay on; false refuses */
  setGuestOffloads(bits: readonly number[]): boolean
}

const commandsPerTurn = 64
/** Longest command: a MAC table with as many addresses as anybody has; longer ones are refused unread. */
const longestCommand = 65536
const addressSize = 6

/** The control queue (5.1.6.5). */
export class NetControl {
  readonly #context: Pick<VirtioContext, 'has'>
  readonly #host: ControlHost

  constructor(context: Pick<VirtioContext, 'has'>, host: ControlHost) {
    this.#context = context
    this.#host = host
  }

  /** Carries out commands. Returns whether there may be more. */
  pump(queue: Virtqueue): boolean {
    for (let count = 0; count < commandsPerTurn; count++) {
      const chain = queue.pop()
      if (chain === null) {
        queue.signal()
        return false
      }
      const stored = chain.write(0, Uint8Array.of(this.#run(chain) ? controlAck.ok : controlAck.error))
      queue.push(chain, stored ? 1 : 0)
    }
    queue.signal()
    return true
  }

  #run(chain: Chain): boolean {
    const { readableLength } = chain
    if (readableLength < controlHeaderSize || readableLength > longestCommand) return false
    const bytes = new Uint8Array(readableLength)
    if (!chain.read(0, bytes)) return false
    const command = bytes[1] ?? 0
    const data = new DataView(bytes.buffer, controlHeaderSize)
    const { filter } = this.#host
    const has = (feature: number): boolean => this.#context.has(feature)
    switch (bytes[0]) {
      case controlClass.rx: {
        const negotiated = has(command < 2 ? netFeature.ctrlRx : netFeature.ctrlRxExtra)
        return negotiated && data.byteLength === 1 && filter.setMode(command, data.getUint8(0) !== 0)
      }
      case controlClass.mac:
        if (command === macCommand.tableSet) return has(netFeature.ctrlRx) && this.#tables(data)
        return command === macCommand.addrSet && has(netFeature.ctrlMacAddr) && this.#address(bytes.subarray(controlHeaderSize))
      case controlClass.vlan:
        if (!has(netFeature.ctrlVlan) || data.byteLength !== 2 || (command !== vlanCommand.add && command !== vlanCommand.del)) return false
        return filter.setVlan(data.getUint16(0, true), command === vlanCommand.add)
      case controlClass.announce:
        if (!has(netFeature.guestAnnounce) || command !== announceAck) return false
        this.#host.announced()
        return true
      case controlClass.mq: {
        if (!has(netFeature.mq) || command !== pairsSet || data.byteLength !== 2) return false
        const pairs = data.getUint16(0, true)
        if (pairs < 1 || pairs > this.#host.maximumPairs) return false
        this.#host.setPairs(pairs)
        return true
      }
      case controlClass.guestOffloads: {
        if (!has(netFeature.ctrlGuestOffloads) || command !== guestOffloadsSet || data.byteLength !== 8) return false
        const words = [data.getUint32(0, true), data.getUint32(4, true)]
        return this.#host.setGuestOffloads(Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (((words[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) !== 0))
      }
      default:
        return false
    }
  }

  #address(bytes: Uint8Array): boolean {
    const mac = macAt(bytes, 0)
    if (bytes.length !== addressSize || isGroup(mac) || mac === 0) return false
    this.#host.setMac(mac)
    return true
  }

  /** Two tables, each a count and addresses (`struct virtio_net_ctrl_mac`). */
  #tables(data: DataView): boolean {
    let at = 0
    const table = (): readonly number[] | null | undefined => {
      if (at + 4 > data.byteLength) return undefined
      const count = data.getUint32(at, true)
      at += 4
      if (count > (data.byteLength - at) / addressSize) return undefined
      const bytes = new Uint8Array(data.buffer, data.byteOffset + at, count * addressSize)
      at += bytes.length
      return count > mostAddresses ? null : Array.from({ length: count }, (_, index) => macAt(bytes, index * addressSize + ethernet.destination))
    }
    const unicast = table()
    const multicast = table()
    if (unicast === undefined || multicast === undefined || at !== data.byteLength) return false
    this.#host.filter.setTables(unicast, multicast)
    return true
  }
}
