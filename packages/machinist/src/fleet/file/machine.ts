import { dirname, resolve } from 'node:path'
import { isMachinistError } from '@machinist/api'
import { boardCatalogue } from '@machinist/boards'
import { parseDefinition } from '@machinist/machine'
import type { MachineSpec } from '@machinist/hypervisor'
import { parseCommand, type RunOptions } from '../../arguments.ts'
import { exportOf, isFleet } from '../../machine-file.ts'
import { describeMachine } from './describe.ts'
import { plainDefinition } from './plain.ts'
import { fieldsAt, type Place, placed, refusedAt } from './place.ts'

/** What a machine is made of, besides options. */
export const WHAT = ['machine', 'file', 'snapshot'] as const
/** The disk whose own system is booted. */
const BOOT = 'boot'
/** Options of `machinist run` that say what a machine is. */
export const MACHINE_OPTIONS: readonly string[] = [
  BOOT, 'kernel', 'initrd', 'append', 'firmware', 'arch', 'memory', 'harts', 'virtio', 'interrupts', 'disk', 'pmem', 'share', 'net', 'vsock', 'balloon', 'console',
]

/** The text of an option's value, or texts. */
function textsAt(value: unknown, place: Place): readonly string[] {
  return [value].flat().map((each) => typeof each === 'string' || typeof each === 'number' ? String(each) : place.refuse(each, 'is neither text nor a number', 'Give what would follow the option of machinist run.'))
}

/** Options as `machinist run` would understand them. */
function optionsAt(fields: Readonly<Record<string, unknown>>, place: Place): RunOptions {
  const words = Object.entries(fields).flatMap(([name, value]) => {
    const texts = textsAt(value, place.at(name))
    if (name === BOOT) return texts
    return name === 'net' && texts.length === 0 ? ['--net=none'] : texts.map((text) => `--${name}=${text}`)
  })
  try {
    const command = parseCommand(['run', ...words])
    if (command.kind !== 'run') return place.refuse(undefined, 'is no machine', 'Give options of machinist run.')
    const { machineFile } = command.options
    if (machineFile !== undefined) return place.at(BOOT).refuse(machineFile, 'is not the image of a disk', 'Give a .qcow2, .img or other image; a machine file is given as "file".')
    return command.options
  } catch (error) {
    if (!isMachinistError(error) || error.code === 'machine-file') throw error
    const flag = error.part.startsWith('--') ? error.part.slice(2) : null
    throw placed(error, flag === null || !MACHINE_OPTIONS.includes(flag) ? place : place.at(flag))
  }
}

/**
 * A definition, or what `defineMachine` returns, as plain data.
 *
 * @param file - the module that gave it alone, which processors can run themselves: for parts of its own
 */
export async function definitionAt(input: unknown, place: Place, folder: string, file?: string): Promise<Exclude<MachineSpec['machine'], { readonly snapshot: string }>> {
  const blueprint = typeof input === 'object' && input !== null && 'definition' in input && 'backends' in input ? input : null
  if (blueprint?.backends instanceof Map && blueprint.backends.size > 0) {
    place.refuse(String([...blueprint.backends.keys()][0]), 'is connected to an object of this process, which no processor can have', "Describe it, as { type: 'disk', path: 'disk.img' }.")
  }
  const definition = refusedAt(place, () => parseDefinition(blueprint === null ? input : blueprint.definition))
  const kinds = [definition.cpu, ...Object.values(definition.devices)].map(({ kind }) => kind)
  const strange = kinds.find((kind) => !boardCatalogue.some((spec) => spec.kind === kind))
  if (strange === undefined) return plainDefinition(definition, folder)
  if (blueprint !== null && file !== undefined) return { file }
  return place.refuse(strange, 'is a part that processors do not know', 'Use the parts of the machines of @machinist/boards, or export what defineMachine returns from a module of its own, and name that as "file".')
}

/** What a machine is: one of `machine`, `file`, `snapshot`, or options of `machinist run`. */
export async function machineAt(fields: Readonly<Record<string, unknown>>, place: Place, folder: string): Promise<MachineSpec['machine']> {
  const [what, second] = WHAT.filter((name) => fields[name] !== undefined)
  const options = Object.fromEntries(Object.entries(fields).filter(([name, value]) => MACHINE_OPTIONS.includes(name) && value !== undefined))
  const [option] = Object.keys(options)
  if (what !== undefined && (second ?? option) !== undefined) place.at(second ?? option ?? '').refuse(undefined, `says what the machine is, as "${what}" does`, 'Leave one of them out.')
  if (what === undefined) return describeMachine(optionsAt(options, place), folder)
  const at = place.at(what)
  const given = fields[what]
  if (what === 'machine') return definitionAt(given, at, folder)
  if (typeof given !== 'string' || given === '') return at.refuse(given, 'is not a path', 'Give the path of a file.')
  const path = resolve(folder, given)
  if (what === 'snapshot') return { snapshot: path }
  const exported = await exportOf(path).catch((error: unknown) => { throw error instanceof Error ? placed(error, at) : error })
  if (isFleet(exported)) return at.refuse(given, 'names several machines itself', 'Give a file with one machine.')
  return definitionAt(exported, at, dirname(path), path)
}

/** Its fields, with `{n}` in texts replaced by the number of the machine. */
export function numbered(fields: Readonly<Record<string, unknown>>, number: number): Readonly<Record<string, unknown>> {
  const put = (value: unknown): unknown => typeof value === 'string' ? value.replaceAll('{n}', String(number)) : Array.isArray(value) ? value.map(put) : value
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, MACHINE_OPTIONS.includes(name) || ['file', 'snapshot', 'snapshots'].includes(name) ? put(value) : value]))
}

/** The keys of a machine in a file. */
export const fieldsOfMachine = (input: unknown, place: Place): Readonly<Record<string, unknown>> =>
  fieldsAt(input, place, [...WHAT, ...MACHINE_OPTIONS, 'pool', 'group', 'resources', 'snapshots', 'count', 'autostart', 'restart'])
