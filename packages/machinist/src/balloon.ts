import { type BackendDescriptor, type MachineBlueprint, parseNumber } from '@machinist/machine'
import { type BalloonConfig, type BalloonControl, balloonControl, memoryControl } from '@machinist/virtio'
import { usageError } from './usage.ts'

/** A balloon of `machinist run`. */
export interface BalloonChoice {
  /** Bytes that the guest is asked to give up. */
  readonly target: number
  readonly config: Partial<BalloonConfig>
}

const MIB = 2 ** 20
const REMEDY = 'Use --balloon 0, --balloon 64M or --balloon 64M,reporting=off,oom=off.'

/** `SIZE`, and behind commas `reporting=on|off`, `oom=on|off`. */
export function parseBalloon(value: string): BalloonChoice {
  const [size = '', ...options] = value.split(',')
  let target: number
  try {
    target = parseNumber(size, '--balloon')
  } catch {
    throw usageError('--balloon', 'not a size', REMEDY, size)
  }
  const config: { -readonly [Name in keyof BalloonConfig]?: boolean } = {}
  for (const option of options) {
    const [, name, choice] = /^(reporting|oom)=(on|off)$/.exec(option) ?? []
    if (name === undefined) throw usageError('--balloon', 'no such option of a balloon', REMEDY, option)
    config[name === 'oom' ? 'deflateOnOom' : 'pageReporting'] = choice === 'on'
  }
  return { target, config }
}

const CONTROLS = { balloon: balloonControl, memory: memoryControl } as const

/**
 * A machine whose backends `{ type: 'balloon', target }` and `{ type: 'memory', target }` are a control each: `target` is a number of
 * bytes, or text such as `'64M'`; 0 unless given.
 *
 * @throws typed errors `'definition'`, `'balloon-target'`, `'memory-target'`
 */
export function openControls(blueprint: MachineBlueprint): MachineBlueprint {
  const backends = new Map(blueprint.backends)
  const opened = (part: string, descriptor: BackendDescriptor): BackendDescriptor => {
    const { type, target = 0 } = typeof descriptor === 'string' ? { type: descriptor } : descriptor
    if ((type !== 'balloon' && type !== 'memory') || backends.has(type)) return descriptor
    backends.set(part, CONTROLS[type]({ target: parseNumber(target, part) }))
    return part
  }
  const devices = Object.fromEntries(Object.entries(blueprint.definition.devices).map(([name, device]) => [name, device.backends === undefined ? device : {
    ...device,
    backends: Object.fromEntries(Object.entries(device.backends).map(([port, descriptor]) => [port, opened(`${name}.${port}`, descriptor)])),
  }]))
  return { ...blueprint, definition: { ...blueprint.definition, devices }, backends }
}

/** The controls of a machine's balloons. */
export function balloonsOf(blueprint: MachineBlueprint): readonly BalloonControl[] {
  return [...blueprint.backends.values()].filter((backend): backend is BalloonControl => backend.kind === 'balloon' && 'askStats' in backend)
}

/** What `--stats` tells of a balloon: its size, and what its guest says of its memory. */
export function balloonText({ size, statistics: { available, free, total } }: BalloonControl): string {
  const guest = available ?? free
  const has = guest === undefined || total === undefined ? '' : `, which has ${(guest / MIB).toFixed(1)} of ${(total / MIB).toFixed(1)} MiB left`
  return `${(size / MIB).toFixed(1)} MiB given up by the guest${has}`
}
