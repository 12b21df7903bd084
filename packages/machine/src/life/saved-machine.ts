import { type Backend, type MachinistError, machinistError } from '@machinist/api'
import type { SavedDisk } from '../assembly/backends.ts'
import type { Parts } from '../assembly/parts.ts'
import { saveBackends, type SavedBackends } from '../assembly/saved-backends.ts'
import { CPU_PART } from '../definition/definition.ts'
import type { Leaving, RunLoop } from '../running/run-loop.ts'
import { checkedTurns, type SavedTurns } from '../running/turn.ts'
import type { SavedTimer } from '../running/timers.ts'
import type { SavedTime } from '../running/virtual-time.ts'
import { beginDevices, type DevicesState, saveDevices } from './state.ts'

/** All of a machine but its memory, between slices and with nothing under way: plain data. */
export interface SavedMachine {
  readonly version: 2
  readonly devices: DevicesState
  /** The CPU's kind, the version of its harts' state, and that of each. */
  readonly cpu: { readonly kind: string; readonly version: number; readonly harts: readonly unknown[] }
  readonly time: SavedTime
  /** What the counter was at time zero. */
  readonly counterBase: bigint
  /** Timers of devices that are armed, in the order in which they will expire. */
  readonly timers: readonly SavedTimer[]
  readonly turns: SavedTurns
  /** Where the machine's own generator of random bytes is; null when they come from the host. */
  readonly randomness: readonly number[] | null
  /** What backends keep, by part and port. */
  readonly backends: SavedBackends
  /** The disks that it has, by part and port; absent in what was saved before they were noted. */
  readonly disks?: Readonly<Record<string, SavedDisk>>
  /** Output that the host has yet to take, by part and port; empty where a part has some itself. */
  readonly output: Readonly<Record<string, Uint8Array>>
  /** What the guest asked for, which waits for that output. */
  readonly leaving: Leaving | null
}

function bad(problem: string, value?: string | number): MachinistError {
  return machinistError({ code: 'state', part: 'machine', value, remedy: 'Restore it into the machine that it was saved from.' }, problem)
}

/**
 * Takes the state of a machine.
 *
 * @param wanted - of which backends, by part and port
 */
export function saveMachine(parts: Parts, loop: RunLoop, wanted: (part: string, backend: Backend<unknown>) => boolean): SavedMachine {
  const { spec } = parts.resolved.cpu
  return {
    version: 2,
    devices: saveDevices(parts),
    cpu: { kind: spec.kind, version: spec.stateVersion, harts: parts.cpu.vcpus.map((vcpu) => vcpu.save()) },
    time: parts.time.save(),
    counterBase: parts.counter.base,
    timers: parts.timers.save(),
    turns: loop.save(),
    randomness: parts.generator?.save() ?? null,
    backends: saveBackends(parts.connector.connected, wanted),
    disks: Object.fromEntries(parts.connector.disks),
    output: parts.connector.output.save(),
    leaving: loop.leaving,
  }
}

/** Most bytes of output that a line is believed to have kept: what one access of a guest says, and some. */
const MOST_OUTPUT = 1 << 20
/** Most timers that a machine is believed to have armed. */
const MOST_TIMERS = 65536

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
}

/** A state from anywhere, as far as the machine itself uses it: devices and harts check theirs. */
function checked(input: unknown): SavedMachine {
  if (!isObject(input) || (input['version'] !== 1 && input['version'] !== 2)) throw bad('not the saved state of a machine of this version', isObject(input) ? String(input['version']) : undefined)
  // Version 1 had nothing of backends, and no output.
  const { cpu, time, counterBase, timers, turns, randomness, devices, backends = {}, disks = {}, output = {}, leaving = null } = input
  if (!isObject(cpu) || typeof cpu['version'] !== 'number' || !Array.isArray(cpu['harts'])) throw bad('the saved state has no harts')
  if (!isObject(time) || !Number.isSafeInteger(time['now']) || Number(time['now']) < 0 || typeof time['exact'] !== 'number' || !(time['exact'] >= 0 && time['exact'] < 2 ** 53)) throw bad('the saved time is none')
  if (typeof counterBase !== 'bigint' || counterBase !== BigInt.asUintN(64, counterBase)) throw bad('the saved counter is none')
  const isTimer = (each: unknown): boolean => isObject(each) && typeof each['name'] === 'string' && typeof each['at'] === 'number' && Number.isFinite(each['at'])
  if (!Array.isArray(timers) || timers.length > MOST_TIMERS || !timers.every(isTimer)) throw bad('the saved timers are none')
  if (!isObject(devices)) throw bad('the saved state has no devices')
  if (!isObject(disks) || !Object.values(disks).every((disk) => isObject(disk) && Number.isSafeInteger(disk['size']) && typeof disk['readOnly'] === 'boolean')) throw bad('the saved disks are none')
  if (!isObject(output) || !Object.values(output).every((bytes) => bytes instanceof Uint8Array && bytes.length <= MOST_OUTPUT)) throw bad('the saved output is none')
  const leaves = leaving === null || (isObject(leaving) && (leaving['kind'] === 'reset' || (leaving['kind'] === 'off' && Number.isInteger(leaving['status']))))
  if (!leaves) throw bad('the guest leaves in no such way')
  return { ...input, turns: checkedTurns(turns, cpu['harts'].length), randomness: randomness ?? null, backends, disks, output, leaving } as unknown as SavedMachine
}

/** The harts' states, brought up to date. */
function hartsOf({ kind, version, harts }: SavedMachine['cpu'], { resolved: { cpu: { spec } }, cpu: { vcpus } }: Parts): readonly unknown[] {
  if (kind !== spec.kind) throw bad('the saved state is of another kind of CPU', kind)
  if (harts.length !== vcpus.length) throw bad('the saved state is of another number of harts', harts.length)
  if (version === spec.stateVersion) return harts
  const { migrate } = spec
  if (version > spec.stateVersion || migrate === undefined) throw bad(`the harts' saved state has a version that this one cannot read; it reads ${spec.stateVersion}`, version)
  return harts.map((hart) => migrate.call(spec, hart, version))
}

/** Refuses disks that are not like those that the guest knows. */
function checkDisks(saved: NonNullable<SavedMachine['disks']>, { connector: { disks } }: Parts): void {
  for (const [part, { size, readOnly }] of disks) {
    const before = Object.hasOwn(saved, part) ? saved[part] : undefined
    if (before === undefined) continue
    if (size !== before.size) {
      throw machinistError({ code: 'restore-disk', part, value: `${size} bytes`, remedy: `Give it one of ${before.size} bytes.` }, 'the disk is of another size than the one that the guest knows')
    }
    if (readOnly !== before.readOnly) {
      throw machinistError({ code: 'restore-disk', part, value: readOnly ? 'read-only' : 'writable', remedy: `Give it one that is ${before.readOnly ? 'read-only' : 'writable'}.` }, `the guest knows a disk that is ${before.readOnly ? 'read-only' : 'writable'}`)
    }
  }
}

/** What backends have back of a state from anywhere, as the assembly of a machine wants it. */
export function savedBackends(input: unknown): unknown {
  return isObject(input) ? input['backends'] : undefined
}

/**
 * Gives a machine that has not run yet the state of another, whose memory it has already, and whose backends have what theirs kept.
 *
 * @param input - what {@link saveMachine} gave, perhaps long ago and elsewhere: it is checked
 * @throws a typed error `'state'`, `'restore-disk'` for a disk that is not like the one that the guest knows, or what a device or hart throws; the machine is of no use then
 */
export function restoreMachine(parts: Parts, input: unknown): SavedMachine {
  const saved = checked(input)
  const harts = hartsOf(saved.cpu, parts)
  checkDisks(saved.disks ?? {}, parts)
  parts.time.restore(saved.time)
  // What a hart is besides its state: its number, its TLBs.
  parts.cpu.reset('cold', { pc: 0, args: [] })
  parts.setCounterBase(saved.counterBase)
  parts.cpu.vcpus.forEach((vcpu, index) => { vcpu.restore(harts[index]) })
  // It comes before what devices have.
  parts.connector.output.restore(saved.output)
  beginDevices(parts, saved.devices)
  // Devices may have armed theirs anew, later than they were to expire; or earlier, where the world has moved on. What they armed besides is what a copy
  // does in addition.
  const anew = new Map(parts.timers.save().map(({ name, at }) => [name, at]))
  for (const { name, at } of saved.timers) {
    if (name.startsWith(`timer:${CPU_PART}.`)) continue
    const timer = parts.timer(name)
    if (timer === null) throw bad('no part has this timer', name)
    timer.arm(Math.min(at, anew.get(name) ?? at))
  }
  if (parts.generator !== null && saved.randomness !== null) parts.generator.restore(saved.randomness)
  return saved
}

/** What devices have from outside besides their state, by name. */
export function heldBy({ devices }: Parts): ReadonlyMap<string, unknown> {
  return new Map(devices.map(({ resolved: { name }, device }) => [name, device.outside?.()]))
}

/**
 * Makes a machine that got its state by {@link restoreMachine} exactly what the other was, in a replay: nothing of the outside has changed, and nothing may happen in addition.
 *
 * @param held - what {@link heldBy} gave
 * @param standsFor - gives what stands for an object of the outside
 */
export function resumeMachine(parts: Parts, saved: SavedMachine, held: ReadonlyMap<string, unknown>, standsFor: <T extends object>(object: T) => T): void {
  const expected = new Set(saved.timers.map(({ name }) => name))
  for (const { resolved: { name: part }, device } of parts.devices) {
    const has = held.get(part)
    if (has !== undefined) device.takeUp?.(has, standsFor)
    const prefix = `timer:${part}.`
    for (const { name } of parts.timers.save()) {
      if (expected.has(name) || !name.startsWith(prefix)) continue
      parts.timer(name)?.cancel()
      // To take again what it had taken, which it would do at the first opportunity. One that took up all that it had has that already.
      if (has === undefined) device.event?.(name.slice(prefix.length), undefined)
    }
  }
  // In the order in which they will expire.
  for (const { name, at } of saved.timers) if (!name.startsWith(`timer:${CPU_PART}.`)) parts.timer(name)?.arm(at)
}
