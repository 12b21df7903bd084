import type { Backend, BackendClock, Deliver, NetPort } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { isGroup, macOfName, macText, parseMac } from '@machinist/packets'
import type { Capture } from './capture.ts'

/** Most bandwidth in one direction. */
export interface BandwidthLimit {
  /** Bytes a second of frames, at least 1000. */
  readonly rate: number
  /** Bytes that may pass at once after a pause. Default: a hundredth of a second's worth, at least 65536. */
  readonly burst?: number
}

/** What every kind of port may be told. */
export interface PortOptions {
  /** For errors and captures. */
  readonly name?: string
  /** Largest IP packet in bytes, 68 to 65535. Default: 1500. */
  readonly mtu?: number
  /** Frames that may wait for the machine, 1 to 65536; those that come then are dropped. Default: 1024. */
  readonly queueFrames?: number
  /** Bytes that may wait for it, 64 KiB to 256 MiB. Default: 4 MiB. */
  readonly queueBytes?: number
  /** What the machine may send. It waits, and nothing is dropped. */
  readonly sendLimit?: BandwidthLimit
  /** What the machine is given. More waits in the queue. */
  readonly receiveLimit?: BandwidthLimit
  /** Records every frame that passes. */
  readonly capture?: Capture
  /** Whether the cable is in at first. Default: true. */
  readonly link?: boolean
  /** What a device without an address of its own is called. No frame from this address comes from another port of a switch that was not given it. Default: made of the port's name. */
  readonly address?: string
}

/** Counts since the port was made. */
export interface PortStats {
  /** Frames and bytes that the machine sent, and those that it was given. */
  readonly sentFrames: number
  readonly sentBytes: number
  readonly receivedFrames: number
  readonly receivedBytes: number
  /** Dropped because the queue was full, the cable was out or no machine was there. */
  readonly dropped: number
  /** Dropped because they were too short, too long, or said what could not be. */
  readonly invalid: number
}

/** A place for one network device: hand it to a machine as the backend of that device. */
export interface Port extends Backend<NetPort> {
  readonly kind: 'net'
  readonly name: string
  readonly stats: PortStats
  /** Puts the cable in or pulls it out; the guest sees its carrier come and go. */
  setLink(up: boolean): void
  /** @throws typed errors `'port-in-use'`, and `'port-clock'` when it has limits and is given no clock */
  connect(deliver: Deliver, clock?: BackendClock): NetPort
  /** Unplugs the machine. The port may be connected again. */
  close(): void
}

/** Options with their defaults, checked. */
export interface CheckedPort {
  readonly name: string
  readonly mtu: number
  readonly queueFrames: number
  readonly queueBytes: number
  readonly sendLimit: Required<BandwidthLimit> | null
  readonly receiveLimit: Required<BandwidthLimit> | null
  readonly capture: Capture | null
  readonly link: boolean
  readonly address: string
}

/** @throws a typed error `'port-option'` */
export function checkPort(options: PortOptions, fallbackName: string): CheckedPort {
  const { name = fallbackName, mtu = 1500, queueFrames = 1024, queueBytes = 4 << 20, capture = null, link = true, address } = options
  checkRange(`${name}.mtu`, mtu, 68, 65535)
  checkRange(`${name}.queueFrames`, queueFrames, 1, 65536)
  checkRange(`${name}.queueBytes`, queueBytes, 65536, 256 << 20)
  return {
    name, mtu, queueFrames, queueBytes, capture, link,
    address: macText(address === undefined ? macOfName(name) : parseStation(`${name}.address`, address)),
    sendLimit: checkLimit(`${name}.sendLimit`, options.sendLimit), receiveLimit: checkLimit(`${name}.receiveLimit`, options.receiveLimit),
  }
}

function checkLimit(part: string, limit: BandwidthLimit | undefined): Required<BandwidthLimit> | null {
  if (limit === undefined) return null
  const { rate, burst = Math.max(Math.ceil(rate / 100), 65536) } = limit
  checkRange(`${part}.rate`, rate, 1000, 1e12)
  checkRange(`${part}.burst`, burst, 1, 1e12)
  return { rate, burst }
}

/** @throws a typed error `'port-option'` */
export function checkRange(part: string, value: number, from: number, to: number): void {
  if (Number.isInteger(value) && value >= from && value <= to) return
  throw machinistError({ code: 'port-option', part, value, remedy: `Give an integer from ${String(from)} to ${String(to)}.` }, 'out of range')
}

/** @throws a typed error `'port-option'` */
export function parseStation(part: string, text: string): number {
  const mac = parseMac(text)
  if (mac !== null && !isGroup(mac)) return mac
  throw machinistError({ code: 'port-option', part, value: text.slice(0, 40), remedy: "Give an address such as '02:00:00:00:00:01'." }, 'not the address of one station')
}
