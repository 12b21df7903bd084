import { closeSync, constants, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { type Backend, type Deliver, type Frame, machinistError, type MachinistError, maximumFrame, type NetPort, noOffloads, type Offloads, type Segmentation } from '@machinist/api'
import { adapt, parseIp } from '@machinist/packets'
import { systemCode } from '../system/errors.ts'
import { libc, type Libc } from '../system/libc.ts'

const DEVICE = '/dev/net/tun'
/** linux/if_tun.h */
const request = { setInterface: 0x4004_54ca, setOffload: 0x4004_54d0 } as const
const flag = { tap: 0x0002, noInformation: 0x1000, header: 0x4000 } as const
const offload = { checksum: 1, tcp4: 2, tcp6: 4, ecn: 8 } as const
/** struct virtio_net_hdr (linux/virtio_net.h), in the order of the machine's bytes: Node.js runs on little-endian machines alone. */
const header = { flags: 0, kind: 1, headerLength: 2, size: 4, start: 6, offset: 8, length: 10 } as const
const NEEDS_CHECKSUM = 1
const HOLDS = 2
const kinds = { tcp4: 1, tcp6: 4 } as const
const ECN = 0x80
/** Longest name of an interface. */
const MOST_NAME = 15
const POLLIN = 1
/** How long one wait for packets takes in Node's pool of threads, at most; closing takes as long. */
const WAIT_MS = 500
/** Frames that are read before the guest takes them. */
const MOST_WAITING = 128

function tapError(code: string, part: string, value: string, problem: string, remedy: string): MachinistError {
  return machinistError({ code, part, value, remedy }, problem)
}

/** Options of {@link tap}. */
export interface TapOptions {
  /** How errors name it; the device's name unless given. */
  readonly part?: string
}

function open(name: string, part: string): { fd: number; calls: Libc } {
  if (process.platform !== 'linux') throw tapError('tap-system', part, process.platform, 'TAP devices are of Linux', 'Use a NAT.')
  if (name.length < 1 || name.length > MOST_NAME || !/^[\w.-]+$/.test(name)) throw tapError('tap-name', part, name, 'no name of an interface', 'Use one such as tap0.')
  const system = libc()
  if (system === null) throw tapError('tap-library', part, 'koffi', 'a TAP device needs a package that is not installed', 'Run npm install koffi.')
  const permit = `Run: sudo ip tuntap add dev ${name} mode tap user "$USER" vnet_hdr && sudo ip link set ${name} up.`
  let fd = -1
  try {
    fd = openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    const missing = systemCode(error) === 'ENOENT'
    throw tapError(missing ? 'tap-missing' : 'tap-permission', part, DEVICE, missing ? 'this system has no TAP devices' : 'it cannot be opened', missing ? 'Run: sudo modprobe tun.' : permit)
  }
  const interfaceRequest = Buffer.alloc(40)
  interfaceRequest.write(name, 'latin1')
  interfaceRequest.writeUInt16LE(flag.tap | flag.noInformation | flag.header, 16)
  if (system.ioctl(fd, request.setInterface, interfaceRequest) < 0) {
    const busy = system.errno() === 16
    closeSync(fd)
    throw busy
      ? tapError('tap-busy', part, name, 'another program uses it', 'End that program, or use another device.')
      : tapError('tap-permission', part, name, 'this user may not use it', permit)
  }
  // What the kernel need not do for us; an old one refuses, and does it.
  system.ioctl(fd, request.setOffload, offload.checksum | offload.tcp4 | offload.tcp6 | offload.ecn)
  return { fd, calls: system }
}

function readMtu(name: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/mtu`, 'utf8')) || 1500
  } catch {
    return 1500
  }
}

/** A frame as the kernel gives it, behind its header. Null when that makes no sense. */
function frameOf(packet: Buffer): Frame | null {
  if (packet.length < header.length) return null
  const bytes = new Uint8Array(packet.subarray(header.length))
  const flags = packet[header.flags] ?? 0
  if ((flags & NEEDS_CHECKSUM) === 0) return { bytes, ...((flags & HOLDS) !== 0 && { trusted: true }) }
  const checksum = { start: packet.readUInt16LE(header.start), offset: packet.readUInt16LE(header.offset) }
  const kind = packet[header.kind] ?? 0
  const name = (['tcp4', 'tcp6'] as const).find((each) => kinds[each] === (kind & ~ECN))
  if (kind === 0) return { bytes, checksum, trusted: true }
  const headerLength = parseIp(bytes)?.payload
  if (name === undefined || headerLength === undefined || headerLength === null) return null
  return { bytes, checksum, trusted: true, segmentation: { kind: name, size: packet.readUInt16LE(header.size), headerLength, ecn: (kind & ECN) !== 0 } }
}

function headerOf(frame: Frame): Buffer {
  const result = Buffer.alloc(header.length)
  const { checksum, segmentation } = frame
  if (checksum === undefined) {
    if (frame.trusted === true) result[header.flags] = HOLDS
    return result
  }
  result[header.flags] = NEEDS_CHECKSUM
  result.writeUInt16LE(checksum.start, header.start)
  result.writeUInt16LE(checksum.offset, header.offset)
  if (segmentation !== undefined && segmentation.kind !== 'udp') putSegmentation(result, segmentation, segmentation.kind)
  return result
}

function putSegmentation(result: Buffer, { size, headerLength, ecn }: Segmentation, kind: keyof typeof kinds): void {
  result[header.kind] = kinds[kind] | (ecn ? ECN : 0)
  result.writeUInt16LE(headerLength, header.headerLength)
  result.writeUInt16LE(size, header.size)
}

/**
 * A TAP device of Linux: the guest is a station at an interface of the host, which may be part of a bridge. The device is made if the user
 * may do that; otherwise somebody who may makes it for this user, as the error says. Snapshots have nothing of it: connections go on if their other ends are
 * still there. A copy of the machine needs another device, or another network.
 *
 * @param name - of the interface, 1 to 15 characters
 * @throws typed errors `'tap-…'`
 */
export function tap(name: string, options: TapOptions = {}): Backend<NetPort> {
  const part = options.part ?? name
  const { fd, calls: system } = open(name, part)
  const mtu = readMtu(name)
  const waiting: Frame[] = []
  const buffer = Buffer.alloc(header.length + maximumFrame)
  const fds = Buffer.alloc(8)
  let accepted: Offloads = noOffloads
  let closed = false
  let polling = false
  let listener: Parameters<NetPort['listen']>[0] | null = null
  let deliver: Deliver = () => {}

  /** Reads what there is. True when the device is empty, false when enough waits. */
  const read = (): boolean => {
    while (waiting.length < MOST_WAITING) {
      try {
        const count = readSync(fd, buffer)
        if (count <= 0) return true
        const frame = frameOf(buffer.subarray(0, count))
        if (frame !== null) waiting.push(...adapt(frame, accepted))
      } catch {
        return true
      }
    }
    return false
  }
  const watch = (): void => {
    if (polling || closed) return
    polling = true
    fds.writeInt32LE(fd, 0)
    fds.writeInt16LE(POLLIN, 4)
    fds.writeInt16LE(0, 6)
    system.poll(fds, 1, WAIT_MS, () => {
      polling = false
      if (closed) {
        closeSync(fd)
        return
      }
      const before = waiting.length
      const empty = read()
      if (waiting.length > before) deliver(() => { listener?.readable() })
      if (empty) watch()
    })
  }
  return {
    kind: 'net',
    connect(through): NetPort {
      deliver = through
      watch()
      return {
        mtu,
        link: true,
        offloads: { checksum: true, tcp4: true, tcp6: true, udp: false, ecn: true },
        send(frame) {
          for (const each of frame.segmentation?.kind === 'udp' ? adapt(frame, noOffloads) : [frame]) {
            try {
              if (!closed) writeSync(fd, Buffer.concat([headerOf(each), each.bytes]))
            } catch {
              // The interface is down, or full: as a cable would, it loses the frame.
            }
          }
          return true
        },
        receive() {
          const frame = waiting.shift() ?? null
          if (frame !== null && waiting.length === 0) watch()
          return frame
        },
        accept(offloads) { accepted = offloads },
        listen(given) { listener = given },
      }
    },
    close() {
      if (closed) return
      closed = true
      if (!polling) closeSync(fd)
    },
  }
}
