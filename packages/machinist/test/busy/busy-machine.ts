/** Machines of counted time with every device of the catalogue, all of them busy, that go on as if nothing had happened when they are saved. */
import { pciHost } from '@machinist/bus'
import { riscv } from '@machinist/cpu-riscv'
import { goldfishRtc, syscon, uart16550a, vmgenid } from '@machinist/devices'
import { nodeHost } from '@machinist/host-node'
import { aplic, clint, imsic, plic } from '@machinist/interrupts'
import { createMachine, defineMachine, type DevicePart, type Machine, type MachineBlueprint, type MachineHost, part, resolve } from '@machinist/machine'
import { Random } from '@machinist/testkit'
import {
  virtio9p, virtio9pPci, virtioBalloon, virtioBalloonPci, virtioBlock, virtioBlockPci, virtioConsole, virtioConsolePci, virtioEntropy, virtioEntropyPci, virtioGpu, virtioGpuPci, virtioInput,
  virtioInputPci, virtioMem, virtioMemPci, virtioNet, virtioNetPci, virtioPlaceholders, virtioPmem, virtioPmemPci, virtioSound, virtioSoundPci, virtioVsock, virtioVsockPci,
} from '@machinist/virtio'
import { guestCode } from './guest-code.ts'
import { operatorSpec } from './operator.ts'
import { drive, type Plan } from './program.ts'
import { type BehaviourName, type WorldBackend, worldBackend } from './world.ts'

const RAM = 0x8000_0000
const RAM_SIZE = 4 << 20
const AREA = RAM + 0x1_0000
const IDENTITIES = 255

/** Backends by part and port. */
export type World = Readonly<Record<string, WorldBackend>>

export interface BusyMachine {
  readonly machine: Machine
  readonly world: World
}

export interface Busy {
  readonly blueprint: MachineBlueprint
  make(): BusyMachine
}

/** A host without a clock: a slice is a turn, whose length the machine's own time decides. */
export const busyHost: MachineHost = { ...nodeHost({ maximumMemory: 1 << 30 }), loop: { now: () => 0, soon(callback) { setImmediate(callback) }, after: () => () => {} } }

/**
 * What is around it. `'prompt'`: what answers in the turn in which it is asked. `'late'`: besides, a disk and a folder that take some time, so that a machine
 * that is to be saved waits for them, and goes on otherwise than one that is not. `'sockets'`: besides, sockets, whose connections end where it is restored.
 */
export type Surroundings = 'prompt' | 'late' | 'sockets'

/** A machine at random: where devices are, what they are told, and what harts do with them. */
export function busyMachine(seed: number, around: Surroundings): Busy {
  const random = new Random(seed, 1000)
  const harts = random.pick([1, 1, 2])
  const aia = random.chance(0.4)
  const backendKinds: Record<string, BehaviourName> = {}
  const devices: Record<string, DevicePart> = {
    ...(aia
      ? { imsic: part(imsic, { config: { harts, identities: IDENTITIES } }), aplic: part(aplic, { config: { harts } }) }
      : { plic: part(plic, { config: { harts } }) }),
    clint: part(clint, { config: { harts } }),
    pci: part(pciHost, { ...(aia && { config: { messages: 'imsic' } }) }),
    test: part(syscon), rtc: part(goldfishRtc), vmgenid: part(vmgenid), empty: part(virtioPlaceholders, { config: { count: 2 } }),
    uart0: part(uart16550a),
    operator: part(operatorSpec(harts, (hart, run) => drive(plan(), hart, harts, run))),
  }
  backendKinds['uart0.console'] = 'char'
  const virtio: readonly (readonly [name: string, spec: readonly [DevicePart['spec'], DevicePart['spec']], backend: string, kind: BehaviourName, config?: object, legacy?: boolean])[] = [
    ['disk0', [virtioBlock, virtioBlockPci], 'disk', around === 'prompt' ? 'block' : 'block, late', { queues: 2 }, true], ['disk1', [virtioBlock, virtioBlockPci], 'disk', 'block', { readOnly: true }, true],
    ['net0', [virtioNet, virtioNetPci], 'net', 'net', { pairs: 2 }, true], ['hvc', [virtioConsole, virtioConsolePci], 'console', 'char', {}, true],
    ['balloon', [virtioBalloon, virtioBalloonPci], 'host', 'balloon', {}, true],
    ['hotplug', [virtioMem, virtioMemPci], 'host', 'hotplug', { size: 64 << 20 }], ['pmem', [virtioPmem, virtioPmemPci], 'disk', 'block, 2 MiB', { size: 2 << 20 }],
    ['gpu', [virtioGpu, virtioGpuPci], 'display', 'display', { memory: 1 << 16 }], ['keyboard', [virtioInput, virtioInputPci], 'input', 'input', { model: 'keyboard' }],
    ['sound', [virtioSound, virtioSoundPci], 'audio', 'audio', {}], ...(around === 'prompt' ? [] : [['share', [virtio9p, virtio9pPci], 'files', 'files', {}, true] as const]),
    ...(around === 'sockets' ? [['vsock', [virtioVsock, virtioVsockPci], 'host', 'vsock', {}] as const] : []),
  ]
  const put = (name: string, [inSlot, onPci]: readonly [DevicePart['spec'], DevicePart['spec']], config: object, legacy: boolean): void => {
    const where = random.below(4)
    const spec = where < 2 ? onPci : inSlot
    devices[name] = { spec, options: { config: where === 2 && legacy ? { ...config, legacy: true } : { ...config, ring: random.pick(['split', 'packed']) } } }
  }
  put('rng', [virtioEntropy, virtioEntropyPci], {}, true)
  for (const [name, specs, port, kind, config = {}, legacy = false] of virtio) {
    put(name, specs, config, legacy)
    backendKinds[`${name}.${port}`] = kind
  }
  const translate = random.pick([{ translate: 'off' }, { translate: 'now', hot: 2 }] as const)
  const described = (world: World): MachineBlueprint => defineMachine({
    name: 'busy',
    memory: { base: RAM, size: RAM_SIZE },
    cpu: part(riscv, { config: { harts, firmware: 'none', ...(aia && { identities: IDENTITIES }), ...translate }, backends: { console: 'null' } }),
    devices: Object.fromEntries(Object.entries(devices).map(([name, each]) => {
      const backends = Object.entries(world).filter(([id]) => id.startsWith(`${name}.`)).map(([id, backend]) => [id.slice(name.length + 1), backend])
      return [name, { ...each, options: { ...each.options, backends: Object.fromEntries(backends) } }]
    })),
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: code }], entry: RAM },
    time: { instructionsPerSecond: 1e7 },
    interruptController: aia ? 'aplic' : 'plic',
  })
  const world = (): World => Object.fromEntries(Object.entries(backendKinds).map(([id, kind], index) => [id, worldBackend(kind, index)]))
  let code: Uint8Array = new Uint8Array(4)
  const { devices: placed } = resolve(described(world()).definition, described(world()).catalogue)
  const plan = (): Plan => ({ seed, devices: placed, area: AREA })
  const baseOf = (name: string): number => placed.find((device) => device.name === name)?.regions[0]?.base ?? 0
  code = guestCode({ operator: baseOf('operator'), clint: baseOf('clint'), plic: aia ? null : baseOf('plic') })
  const blueprint = described(world())
  return {
    blueprint,
    make() {
      const its = world()
      const machine = createMachine(blueprint, busyHost, { backends: new Map(Object.entries(its)) })
      machine.start({ drive: 'caller' })
      return { machine, world: its }
    },
  }
}
