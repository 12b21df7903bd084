import { dirname, resolve } from 'node:path'
import type { MachineSpec, PoolSpec } from '@machinist/hypervisor'
import { didYouMean } from '../../command-line/suggest.ts'
import { exportOf, isFleet } from '../../machine-file.ts'
import { definitionAt, fieldsOfMachine, machineAt, numbered } from './machine.ts'
import { NAME } from '../names.ts'
import { fieldsAt, type Place, placeIn } from './place.ts'
import { resourcesAt } from './resources.ts'

/** Several machines and pools, as a machine file names them. */
export interface Fleet {
  /** Parents come before children. */
  readonly pools: readonly PoolSpec[]
  /** In the order of the file. Those that came of one entry follow one another. */
  readonly machines: readonly FleetMachine[]
}

/** A machine, and the entry of the file that it came of. */
export interface FleetMachine extends MachineSpec {
  readonly entry: string
}

const NAMES = 'Use letters, digits, ., _ and -, at most 64, and begin with a letter or a digit.'
const RESTARTS = ['never', 'on-failure', 'always'] as const
const MOST_MACHINES = 10_000

/** Those that a `count` of machines are called. */
const numberedName = (name: string, number: number): string => `${name}-${number}`

function poolsAt(input: unknown, place: Place): readonly PoolSpec[] {
  const entries = Object.entries(fieldsAt(input, place, null))
  const paths = entries.map(([path]) => path)
  for (const path of paths) {
    const steps = path.split('/')
    if (!steps.every((step) => NAME.test(step))) place.at(path).refuse(path, 'is not the path of a pool', `${NAMES} Pools in pools are named with /.`)
    const parent = steps.slice(0, -1).join('/')
    if (parent !== '' && !paths.includes(parent)) place.at(path).refuse(parent, 'stands in a pool that is not there', `${didYouMean(parent, paths)}Name that pool, too.`)
  }
  return entries.map(([path, resources]) => ({ path, resources: resourcesAt(resources, place.at(path)) }))
    .sort((one, other) => one.path.split('/').length - other.path.split('/').length)
}

function countAt(input: unknown, place: Place): number {
  if (typeof input === 'number' && Number.isInteger(input) && input >= 1 && input <= MOST_MACHINES) return input
  return place.refuse(input, 'is not a number of machines', `Use a whole number from 1 to ${MOST_MACHINES}.`)
}

/** What is true of every machine of an entry. */
function termsAt(fields: Readonly<Record<string, unknown>>, place: Place, pools: readonly PoolSpec[]): Omit<MachineSpec, 'name' | 'machine'> {
  const { pool, group, resources, autostart, restart } = fields
  const paths = pools.map(({ path }) => path)
  if (pool !== undefined && (typeof pool !== 'string' || !paths.includes(pool))) {
    place.at('pool').refuse(pool, 'there is no such pool', `${didYouMean(String(pool), paths)}${paths.length === 0 ? 'Name it under "pools".' : `The pools are ${paths.join(', ')}.`}`)
  }
  if (group !== undefined && (typeof group !== 'string' || !NAME.test(group))) place.at('group').refuse(group, 'is not the name of a group', NAMES)
  if (autostart !== undefined && typeof autostart !== 'boolean') place.at('autostart').refuse(autostart, 'is neither true nor false', 'Use true or false.')
  if (restart !== undefined && !RESTARTS.some((each) => each === restart)) place.at('restart').refuse(restart, 'is not known', `Use ${RESTARTS.join(', ')}.`)
  return {
    ...(typeof pool === 'string' && { pool }), ...(typeof group === 'string' && { group }), ...(typeof autostart === 'boolean' && { autostart }),
    ...(resources !== undefined && { resources: resourcesAt(resources, place.at('resources')) }),
    ...(restart !== undefined && { restart: restart as typeof RESTARTS[number] }),
  }
}

/** Disks that several machines would write. */
function checkShared(fields: Readonly<Record<string, unknown>>, count: number, place: Place): void {
  if (count === 1) return
  if (typeof fields['snapshots'] === 'string' && !fields['snapshots'].includes('{n}')) place.at('snapshots').refuse(fields['snapshots'], `would be the folder of ${count} machines`, 'Name one for each with {n}, which is the number of the machine.')
  for (const name of ['disk', 'boot', 'pmem']) {
    const written = [fields[name]].flat().find((value) => typeof value === 'string' && !/\{n\}|,(ro|overlay)(,|$)/.test(value))
    if (written !== undefined) place.at(name).refuse(written, `would be written by ${count} machines`, 'Add ,overlay or ,ro, or name one for each with {n}, which is the number of the machine.')
  }
}

async function entryAt(entry: string, input: unknown, place: Place, pools: readonly PoolSpec[], folder: string): Promise<FleetMachine[]> {
  const fields = fieldsOfMachine(input, place)
  const count = fields['count'] === undefined ? null : countAt(fields['count'], place.at('count'))
  const names = count === null ? [entry] : Array.from({ length: count }, (_, index) => numberedName(entry, index + 1))
  const strange = names.find((name) => !NAME.test(name))
  if (strange !== undefined) place.refuse(strange, 'is not a name for a machine', NAMES)
  const terms = termsAt(fields, place, pools)
  checkShared(fields, names.length, place)
  // Machines that are all alike are described once.
  const alike = !JSON.stringify(fields, (_, value: unknown) => typeof value === 'bigint' ? String(value) : value).includes('{n}')
  const machines: FleetMachine[] = []
  for (const [index, name] of names.entries()) {
    const { snapshots } = numbered(fields, index + 1)
    if (snapshots !== undefined && (typeof snapshots !== 'string' || snapshots === '')) place.at('snapshots').refuse(snapshots, 'is not the path of a folder', 'Give one, such as "vm", in which the machine is kept with its snapshots.')
    const machine = alike && machines[0] !== undefined ? machines[0].machine : await machineAt(numbered(fields, index + 1), place, folder)
    machines.push({ name, machine, ...(typeof snapshots === 'string' && { snapshots: resolve(folder, snapshots) }), ...terms, entry })
  }
  return machines
}

/** The name of a blueprint's machine. */
function nameOf(exported: unknown): string {
  return (exported as { readonly definition: { readonly name: string } }).definition.name
}

/** What a machine file holds, as machines and pools. @throws typed errors that name the place in the file */
export async function fleetOf(exported: unknown, file: string): Promise<Fleet> {
  const place = placeIn(file)
  const folder = dirname(resolve(file))
  if (!isFleet(exported)) {
    const machine = await definitionAt(exported, place, folder, resolve(file))
    const name = 'file' in machine ? nameOf(exported) : machine.name
    return { pools: [], machines: [{ name, machine, entry: name }] }
  }
  const { pools: poolFields = {}, machines: machineFields = {} } = fieldsAt(exported, place, ['pools', 'machines'])
  const pools = poolsAt(poolFields, place.at('pools'))
  const machines: FleetMachine[] = []
  const at = place.at('machines')
  for (const [name, input] of Object.entries(fieldsAt(machineFields, at, null))) {
    machines.push(...await entryAt(name, input, at.at(name), pools, folder))
    const twice = machines.find((one, index) => machines.findIndex((other) => other.name === one.name) < index)
    if (twice !== undefined) at.at(name).refuse(twice.name, 'is the name of two machines', 'Choose another.')
  }
  if (machines.length > MOST_MACHINES) at.refuse(machines.length, 'are too many machines', `Name at most ${MOST_MACHINES}.`)
  return { pools, machines }
}

/**
 * Reads a machine file that may name several machines and pools: JSON, or a module whose default export is that, or makes it. A file with one machine is a fleet of one.
 *
 * @throws typed errors that name the place in the file
 */
export async function loadFleet(file: string): Promise<Fleet> {
  return fleetOf(await exportOf(file), file)
}
