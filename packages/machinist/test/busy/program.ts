/** What harts do with the devices of a busy machine. */
import type { ResolvedDevice } from '@machinist/machine'
import { Random } from '@machinist/testkit'
import { action, interrupt } from './guest-code.ts'
import type { HartRun, Program } from './operator.ts'
import { legacyMmio, mmio, pci, read, type Transport, VirtioProgram, write } from './virtio-program.ts'

/** Where everything is. */
export interface Plan {
  readonly seed: number
  readonly devices: readonly ResolvedDevice[]
  /** RAM for drivers. */
  readonly area: number
}

const AREA = 0x2_0000
/** Bytes for the BARs of a PCI device, and where the bus has them. */
const BAR = 0x2_0000
const BUS = 0x4000_0000
const IDENTITIES = 255

interface Driver {
  step(): Program
}

/** The program of one hart, which has the devices whose turn it is: `hart`, `hart + harts` and so on. */
export function* drive(plan: Plan, hart: number, harts: number, run: HartRun): Program {
  const random = new Random(plan.seed, hart)
  const byName = (name: string): number => plan.devices.find((device) => device.name === name)?.regions[0]?.base ?? 0
  const [plicBase, imsic, aplic, clint] = [byName('plic'), byName('imsic'), byName('aplic'), byName('clint')]
  yield* setUpInterrupts()
  const drivers = plan.devices.flatMap((device, index) => {
    const driver = index % harts === hart ? driverOf(device, index) : null
    return driver === null ? [] : [driver]
  })
  for (;;) {
    const noted = run.interrupt()
    if (noted > 0 && noted < interrupt.software) yield* handle(noted)
    // Most work is at one device at a time, as in an interrupt handler.
    const driver = random.pick(drivers)
    for (let steps = random.between(1, 6); steps > 0; steps--) yield* driver.step()
    if (random.chance(0.2)) yield { action: action.delay, value: random.below(200) }
    if (random.chance(0.02)) yield* sleep()
  }

  function* setUpInterrupts(): Program {
    if (plicBase !== 0) {
      for (let source = 1; source < 64; source++) if (source % harts === hart) yield* write(plicBase + 4 * source, random.between(1, 7))
      for (const word of [0, 1]) yield* write(plicBase + 0x2000 + 0x80 * 2 * hart + 4 * word, 0xffff_ffff)
      yield* write(plicBase + 0x20_0000 + 0x1000 * 2 * hart, 0)
    } else {
      yield* write(aplic, 0x104)
      for (let source = 1; source < 64; source++) {
        if (source % harts !== hart) continue
        yield* write(aplic + 4 * source, random.pick([6, 6, 6, 4, 5, 7]))
        yield* write(aplic + 0x3000 + 4 * source, hart << 18 | source)
      }
      for (const word of [0, 1]) yield* write(aplic + 0x1e00 + 4 * word, 0xffff_ffff)
    }
  }

  function* handle(id: number): Program {
    if (plicBase === 0) return
    // Devices are asked to be quiet at random, or it comes again.
    for (const driver of drivers) if (driver instanceof VirtioProgram && random.chance(0.4)) yield* driver.transport.acknowledge()
    yield* write(plicBase + 0x20_0004 + 0x1000 * 2 * hart, id)
    yield { action: action.listen }
  }

  /** Waits for an interrupt: that of the timer, at the latest. */
  function* sleep(): Program {
    const now = yield* read(clint + 0xbff8)
    yield* write(clint + 0x4000 + 8 * hart, (now + random.between(1000, 5000)) >>> 0)
    yield* write(clint + 0x4004 + 8 * hart, 0)
    yield { action: action.wait }
  }

  function driverOf(device: ResolvedDevice, index: number): Driver | null {
    const { name, spec: { kind }, config, regions, slot, memory } = device
    const base = regions[0]?.base ?? 0
    const area = plan.area + AREA * index
    if (kind.startsWith('virtio-') && kind !== 'virtio-placeholders') {
      return new VirtioProgram(kind, transportOf(), run, random, area, memory[0]?.base ?? 0)
    }
    const anywhere = (size: number, most = 0xff): Driver => ({
      * step() {
        const width = random.pick([1, 2, 4, 4] as const)
        const at = base + width * random.below(size / width)
        if (random.chance(0.5)) yield* write(at, random.below(most + 1), width)
        else yield* read(at, width)
      },
    })
    switch (kind) {
      case 'uart-16550a': return anywhere(8)
      case 'goldfish-rtc': return { * step() {
        const now = yield* read(base)
        const high = yield* read(base + 4)
        yield* random.pick([
          () => write(base + 0x10, random.below(2)), () => write(base + 0x1c, 1), () => write(base + 0x14, 1), () => read(base + 0x18),
          function* () {
            yield* write(base + 0xc, high)
            yield* write(base + 8, (now + random.below(1_000_000)) >>> 0)
          },
          function* () {
            yield* write(base + 4, random.below(100))
            yield* write(base, random.u32())
          },
        ])()
      } }
      case 'plic': return { * step() {
        yield* random.pick([
          () => read(base + 0x1000), () => read(base + 0x2000), () => write(base + 4 * random.between(1, 60), random.below(8)), () => write(base + 0x20_0000 + 0x1000 * (2 * hart + 1), random.below(8)),
          () => write(base + 0x2080 + 0x100 * hart, random.u32()), () => read(base + 0x20_1004 + 0x2000 * hart), () => write(base + 0x20_1004 + 0x2000 * hart, random.below(40)),
        ])()
      } }
      case 'aplic': return { * step() {
        yield* random.pick([
          () => read(base + 0x1c00), () => read(base + 0x1d00), () => write(base + 0x1cdc, random.below(60)), () => write(base + 0x1ddc, random.below(60)),
          () => write(base + 0x3000, hart << 18 | random.below(IDENTITIES)), () => write(base + 4 * random.between(1, 60), random.pick([0, 1, 4, 5, 6, 7])), () => write(base + 0x2000, random.below(60)),
        ])()
      } }
      case 'imsic': return { * step() { yield* write(base + 0x1000 * random.below(harts), random.below(IDENTITIES + 1)) } }
      case 'clint': return { * step() {
        yield* random.pick([
          () => write(base + 4 * random.below(harts), random.below(2)), () => read(base + 0xbff8), () => read(base + 0xbffc), () => read(base + 0x4000 + 8 * hart),
          function* () {
            const now = yield* read(base + 0xbff8)
            yield* write(base + 0x4000 + 8 * hart, (now + random.below(3000)) >>> 0)
            yield* write(base + 0x4004 + 8 * hart, 0)
          },
        ])()
      } }
      case 'vmgenid': return { * step() { yield* read(base + 4 * random.below(4)) } }
      case 'virtio-placeholders': return anywhere(16)
      case 'syscon': return { * step() { yield* read(base) } }
      // A slot where nothing is, and the bridge.
      case 'pci-host': return { * step() {
        const config = base + 0x8000 * random.pick([0, 30])
        const offset = 4 * random.below(64)
        if (random.chance(0.3)) yield* write(config + offset, random.u32())
        else yield* read(config + offset)
      } }
      case 'operator': return null
      default: throw new Error(`nothing drives ${name}, a ${kind}`)
    }

    function transportOf(): Transport {
      if (slot === null) return typeof config === 'object' && config !== null && 'legacy' in config && config.legacy === true ? legacyMmio(base) : mmio(base)
      const host = plan.devices.find((each) => each.name === slot.host)
      return pci((host?.regions[0]?.base ?? 0) + 0x8000 * slot.device, (host?.regions[2]?.base ?? 0) + BAR * slot.device, BUS + BAR * slot.device, imsic === 0 || random.chance(0.3) ? null : { address: imsic + 0x1000 * hart, data: 64 + 2 * slot.device })
    }
  }
}
