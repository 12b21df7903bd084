import type { MachinistError, WallClockPort } from '@machinist/api'
import { isMachinistError, machinistError } from '@machinist/api'
import { parseFdt } from '@machinist/boot'
import type { DmaMemory } from './dma-memory.ts'
import { goldfishClock, RTC_COMPATIBLE } from './goldfish-rtc.ts'
import { type Hardware, hardwareError, type InterruptController } from './hardware.ts'
import { APLIC_COMPATIBLE } from './interrupts/aplic.ts'
import { PLIC_COMPATIBLE } from './interrupts/plic.ts'
import { InterruptTable } from './interrupts/table.ts'
import { type HardwareNode, hardwareNodes } from './probe.ts'
import { type HardwarePower, sysconPower } from './syscon.ts'
import { Uart16550a, UART_COMPATIBLE } from './uart-16550a.ts'
import { VirtioBlock } from './virtio/block.ts'
import { VirtioNet } from './virtio/net.ts'
import { resetVirtio, virtioKind } from './virtio/transport.ts'

/** What the hardware has, and is driven. */
export interface Board {
  /** Serial lines, in the order of the device tree; the console of firmware (`stdout-path`) first. */
  readonly consoles: readonly Uart16550a[]
  readonly disks: readonly VirtioBlock[]
  readonly networks: readonly VirtioNet[]
  readonly clock: WallClockPort | null
  readonly power: HardwarePower
  /** What could not be used, and why. */
  readonly problems: readonly MachinistError[]
  /** Serves interrupts that are pending. @returns how many there were; as many as a turn holds mean that there may be more */
  dispatch(): number
  /** Looks after devices that do not answer. @returns when to be called again, of the hardware's time */
  poll(): number
}

/** What {@link openBoard} is told. */
export interface BoardOptions {
  /** Memory that drivers share with devices: 2 MiB for each disk and each network. */
  readonly memory: DmaMemory
  readonly interrupts: InterruptController
  /** Told of what is found out later. */
  readonly warn?: (text: string) => void
}

const VIRTIO_MMIO = 'virtio,mmio'
/** Devices of one kind that are opened at most. */
const MOST = 32
const NANOSECONDS = 1e9

interface Polled {
  readonly deadline: number
  poll(): void
}

/** Opens all devices that a device tree names and there are drivers for. One that cannot be used does not keep the others from it. */
export function openBoard(hardware: Hardware, fdt: Uint8Array, { memory, interrupts, warn = () => {} }: BoardOptions): Board {
  const tree = parseFdt(fdt, 'the device tree of the hardware')
  const nodes = hardwareNodes(tree)
  const problems: MachinistError[] = []
  const table = new InterruptTable(interrupts, warn)
  const polled: Polled[] = []
  const consoles: Uart16550a[] = []
  const disks: VirtioBlock[] = []
  const networks: VirtioNet[] = []
  let clock: WallClockPort | null = null

  const attempt = (node: string, work: () => void): void => {
    try {
      work()
    } catch (error) {
      problems.push(isMachinistError(error) ? error : machinistError({ code: 'hardware-broken', part: node, remedy: 'Report it.' }, error instanceof Error ? error.message : String(error)))
    }
  }
  const controllers = nodes.filter(({ compatible }) => compatible.some((name) => PLIC_COMPATIBLE.includes(name) || name === APLIC_COMPATIBLE)).map(({ phandle }) => phandle)
  const serve = (node: HardwareNode, handler: () => boolean): void => {
    // What goes to another controller, behind this one say, has numbers that mean something else.
    const source = node.interrupts.find(({ controller }) => controllers.includes(controller))?.cells[0]
    if (source === undefined) throw hardwareError('hardware-unsupported', node.path, 'has no interrupt that comes here')
    table.attach(source, handler)
  }
  const virtio = (node: HardwareNode): void => {
    const [range] = node.ranges
    if (range === undefined) return
    const kind = virtioKind(hardware, range, node.path)
    try {
      if (kind === 'block' && disks.length < MOST) {
        const disk = new VirtioBlock(hardware, memory, range, node.path)
        serve(node, () => disk.interrupt())
        disks.push(disk)
        polled.push(disk)
      } else if (kind === 'net' && networks.length < MOST) {
        const network = new VirtioNet(hardware, memory, range, node.path)
        serve(node, () => network.interrupt())
        networks.push(network)
        polled.push(network)
      }
    } catch (error) {
      // It may have been given memory, and write there.
      resetVirtio(hardware, range)
      throw error
    }
  }

  const stdout = stdoutPath(tree)
  for (const node of [...nodes].sort((one, other) => Number(other.path === stdout) - Number(one.path === stdout))) {
    const is = (names: readonly string[]): boolean => node.compatible.some((name) => names.includes(name))
    if (is(UART_COMPATIBLE) && consoles.length < MOST) {
      attempt(node.path, () => {
        const line = Uart16550a.at(hardware, node)
        serve(node, () => line.interrupt())
        consoles.push(line)
      })
    } else if (is([VIRTIO_MMIO])) attempt(node.path, () => { virtio(node) })
    else if (is(RTC_COMPATIBLE) && clock === null && node.ranges[0] !== undefined) clock = goldfishClock(hardware, node.ranges[0])
  }
  let power: HardwarePower = { off: () => {}, reset: () => {} }
  attempt('power', () => { power = sysconPower(hardware, nodes) })
  return {
    consoles, disks, networks, clock, power, problems,
    dispatch: () => table.dispatch(),
    poll() {
      const now = hardware.now()
      let next = now + NANOSECONDS
      for (const device of polled) {
        if (device.deadline <= now + NANOSECONDS) device.poll()
        next = Math.min(next, Math.max(now, device.deadline))
      }
      return next
    },
  }
}

/** The path of the console that firmware used; '' when it is not said. */
function stdoutPath(tree: ReturnType<typeof parseFdt>): string {
  const value = tree.find('/chosen')?.properties.get('stdout-path')
  const text = value === undefined ? '' : String.fromCharCode(...value.subarray(0, 256)).replace(/[\0:].*$/s, '')
  if (text.startsWith('/')) return text
  const alias = tree.find('/aliases')?.properties.get(text)
  return alias === undefined ? '' : String.fromCharCode(...alias.subarray(0, 256)).replace(/\0.*$/s, '')
}
