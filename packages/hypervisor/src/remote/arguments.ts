import { machinistError } from '@machinist/api'
import type { MachineSpec, PoolSpec } from '../contract/machines.ts'
import { RESOURCE_KINDS, type Resources, type Terms } from '../contract/resources.ts'

/** Characters of the longest name, path or file. */
const MOST_TEXT = 4096
const RESTARTS: readonly unknown[] = ['never', 'on-failure', 'always']
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

function refuse(part: string, problem: string, value: unknown, remedy: string): never {
  throw machinistError({ code: 'parameter', part, value: typeof value === 'number' ? value : typeof value === 'string' ? value.slice(0, 80) : typeof value, remedy }, problem)
}

function object(value: unknown, part: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) refuse(part, 'is no object', value, 'Give an object.')
  const other = Object.keys(value).find((key) => !known.includes(key))
  if (other !== undefined) refuse(`${part}.${other}`, 'is not known', other, `Use ${known.join(', ')}.`)
  return value as Readonly<Record<string, unknown>>
}

/** @throws a typed error `'parameter'` */
export function checkText(value: unknown, part: string): string {
  return typeof value === 'string' && value !== '' && value.length <= MOST_TEXT ? value : refuse(part, 'is no text', value, `Give 1 to ${MOST_TEXT} characters.`)
}

/** The name that a machine may have. @throws a typed error `'parameter'` */
export function checkName(value: unknown, part: string = 'name'): string {
  return typeof value === 'string' && NAME.test(value) ? value : refuse(part, 'is no name of a machine', value, 'Use at most 64 letters, digits, dots, underscores and hyphens, and begin with a letter or a digit.')
}

function amount(value: unknown, part: string): number {
  return typeof value === 'number' && value >= 0 ? value : refuse(part, 'is no amount', value, 'Give a number that is not negative.')
}

/** @throws a typed error `'parameter'` */
export function checkResources(value: unknown, part: string = 'resources'): Resources {
  const given = object(value, part, RESOURCE_KINDS)
  return Object.fromEntries(Object.entries(given).filter(([, terms]) => terms !== undefined).map(([kind, terms]): [string, Terms] => {
    const { shares, reservation, limit } = object(terms, `${part}.${kind}`, ['shares', 'reservation', 'limit'])
    return [kind, {
      ...(shares !== undefined && { shares: amount(shares, `${part}.${kind}.shares`) }),
      ...(reservation !== undefined && { reservation: amount(reservation, `${part}.${kind}.reservation`) }),
      // JSON has no Infinity.
      ...(limit !== undefined && { limit: limit === null ? Infinity : amount(limit, `${part}.${kind}.limit`) }),
    }]
  }))
}

/** What `Hypervisor.set` may change. */
export type SpecChanges = Partial<Pick<MachineSpec, 'resources' | 'pool' | 'autostart' | 'restart'>>

const CHANGES = ['resources', 'pool', 'autostart', 'restart'] as const

/** The pool `''` is the host. */
function pool(value: unknown, part: string): string {
  return value === '' ? value : checkText(value, part)
}

/** @throws a typed error `'parameter'` */
export function checkChanges(value: unknown, part: string = 'changes'): SpecChanges {
  return readChanges(object(value, part, CHANGES), part)
}

function readChanges({ resources, pool: path, autostart, restart }: Readonly<Record<string, unknown>>, part: string): SpecChanges {
  if (autostart !== undefined && typeof autostart !== 'boolean') refuse(`${part}.autostart`, 'is neither true nor false', autostart, 'Use true or false.')
  if (restart !== undefined && !RESTARTS.includes(restart)) refuse(`${part}.restart`, 'is no such choice', restart, `Use ${RESTARTS.join(', ')}.`)
  return {
    ...(resources !== undefined && { resources: checkResources(resources, `${part}.resources`) }),
    ...(path !== undefined && { pool: pool(path, `${part}.pool`) }),
    ...(typeof autostart === 'boolean' && { autostart }),
    ...(restart !== undefined && { restart: restart as NonNullable<MachineSpec['restart']> }),
  }
}

/** Definitions are checked by whoever makes machines of them. */
function machine(value: unknown, part: string): MachineSpec['machine'] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(part, 'is no machine', value, 'Give a definition, { file } or { snapshot }.')
  const { file, snapshot } = value as Readonly<Record<string, unknown>>
  if (file !== undefined) return { file: checkText(object(value, part, ['file'])['file'], `${part}.file`) }
  if (snapshot !== undefined) return { snapshot: checkText(object(value, part, ['snapshot'])['snapshot'], `${part}.snapshot`) }
  return value as MachineSpec['machine']
}

/**
 * A machine's specification from anywhere: a message, a file. Its definition is left to whoever makes machines.
 *
 * @throws a typed error `'parameter'`
 */
export function checkSpec(value: unknown, part: string = 'machine'): MachineSpec {
  const { name, machine: what, group, snapshots, copyOf, ...changes } = object(value, part, ['name', 'machine', 'group', 'snapshots', 'copyOf', ...CHANGES])
  return {
    name: checkName(name, `${part}.name`), machine: machine(what, `${part}.machine`), ...(group !== undefined && { group: checkText(group, `${part}.group`) }),
    ...(snapshots !== undefined && { snapshots: checkText(snapshots, `${part}.snapshots`) }), ...(copyOf !== undefined && { copyOf: checkName(copyOf, `${part}.copyOf`) }), ...readChanges(changes, part),
  }
}

/** @throws a typed error `'parameter'` */
export function checkCopy(value: unknown, part: string = 'copy'): Pick<MachineSpec, 'name' | 'pool' | 'resources'> {
  const { name, pool: path, resources } = object(value, part, ['name', 'pool', 'resources'])
  return {
    name: checkName(name, `${part}.name`),
    ...(path !== undefined && { pool: pool(path, `${part}.pool`) }), ...(resources !== undefined && { resources: checkResources(resources, `${part}.resources`) }),
  }
}

/** @throws a typed error `'parameter'` */
export function checkPool(value: unknown, part: string = 'pool'): PoolSpec {
  const { path, resources } = object(value, part, ['path', 'resources'])
  return { path: checkText(path, `${part}.path`), ...(resources !== undefined && { resources: checkResources(resources, `${part}.resources`) }) }
}

/** A whole number from 0 on. @throws a typed error `'parameter'` */
export function checkWhole(value: unknown, part: string): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : refuse(part, 'is no whole number', value, 'Give one that is not negative.')
}
