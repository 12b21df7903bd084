import { type MachinistError, machinistError } from '@machinist/api'
import type { LiveDevice, Parts } from '../assembly/parts.ts'

/** State of all devices of a machine: plain data that the structured clone algorithm can copy. */
export interface DevicesState {
  readonly version: 1
  readonly devices: Readonly<Record<string, { readonly kind: string; readonly version: number; readonly state: unknown }>>
  /** Levels of interrupt lines, by output. */
  readonly lines: Readonly<Record<string, boolean>>
}

function bad(part: string, problem: string, remedy: string, value?: string | number): MachinistError {
  return machinistError({ code: 'state', part, value, remedy }, problem)
}

/** Takes the state of all devices. */
export function saveDevices(parts: Parts): DevicesState {
  return {
    version: 1,
    devices: Object.fromEntries(parts.devices.map(({ resolved, device }) => [
      resolved.name, { kind: resolved.spec.kind, version: resolved.spec.stateVersion, state: device.save() },
    ])),
    lines: parts.wiring.save(),
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
}

/** The state for one device, brought up to date. */
function stateFor({ resolved: { name, spec } }: LiveDevice, saved: unknown): unknown {
  if (!isObject(saved)) throw bad(name, 'the saved state lacks this device', 'Restore it into the machine that it was saved from.')
  const { kind, version, state } = saved
  if (kind !== spec.kind) throw bad(name, `the saved state is that of another kind of device, not of ${spec.kind}`, 'Restore it into the machine that it was saved from.', String(kind))
  if (typeof version !== 'number') throw bad(name, 'the saved state has no version', 'Save it again.')
  if (version === spec.stateVersion) return state
  if (version > spec.stateVersion || spec.migrate === undefined) {
    throw bad(name, `the saved state has a version that this one cannot read; it reads ${spec.stateVersion}`, 'Use the version of the package that saved it.', version)
  }
  return spec.migrate(state, version)
}

/** A saved state, as far as it is not the devices' own: what each of them gets, and the levels of the lines. */
function checked(parts: Parts, input: unknown): { readonly states: readonly { readonly device: LiveDevice['device']; readonly state: unknown }[]; readonly levels: Readonly<Record<string, boolean>> } {
  if (!isObject(input) || input['version'] !== 1 || !isObject(input['devices']) || !isObject(input['lines'])) {
    throw bad('machine', 'not a saved state of devices', 'Give what saveDevices returned.')
  }
  const { devices, lines } = input
  for (const name of Object.keys(devices)) {
    if (!parts.devices.some(({ resolved }) => resolved.name === name)) throw bad(name, 'the machine has no such device', 'Restore it into the machine that it was saved from.')
  }
  const levels: Record<string, boolean> = {}
  for (const [name, level] of Object.entries(lines)) {
    if (typeof level !== 'boolean' || !parts.wiring.lines.some((line) => line.name === name)) throw bad(name, 'not the level of an interrupt line', 'Give what saveDevices returned.')
    levels[name] = level
  }
  return { levels, states: parts.devices.map((each) => ({ device: each.device, state: stateFor(each, devices[each.resolved.name]) })) }
}

/**
 * Gives the devices of a machine that has not run yet a state; when one refuses, the machine is of no use.
 *
 * @throws a typed error `'state'`, or what the device's `restore` threw
 */
export function beginDevices(parts: Parts, input: unknown): void {
  const { states, levels } = checked(parts, input)
  for (const { device, state } of states) device.restore(state)
  parts.wiring.restore(levels)
}

/**
 * Gives all devices their state back. All or none: when one refuses, the others get back what they had.
 *
 * @throws a typed error `'state'`, or what the device's `restore` threw
 */
export function restoreDevices(parts: Parts, input: unknown): void {
  const { states, levels } = checked(parts, input)
  const before = parts.devices.map(({ device }) => device.save())
  const linesBefore = parts.wiring.save()
  try {
    for (const { device, state } of states) device.restore(state)
  } catch (error) {
    parts.devices.forEach(({ device }, index) => { device.restore(before[index]) })
    parts.wiring.restore(linesBefore)
    throw error
  }
  parts.wiring.restore(levels)
}
