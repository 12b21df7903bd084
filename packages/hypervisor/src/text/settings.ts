import { machinistError } from '@machinist/api'
import type { AllocationTable } from '../contract/hypervisor.ts'
import type { MachineSpec } from '../contract/machines.ts'
import { RESOURCE_KINDS, type ResourceKind, type Resources, type Terms } from '../contract/resources.ts'
import { checkTerms, type Refuse, termOf, TERMS } from './terms.ts'

/** What a machine is set to while it runs. */
export type Changes = Partial<Pick<MachineSpec, 'resources' | 'pool' | 'autostart' | 'restart'>>

/**
 * Refuses a setting that somebody wrote.
 *
 * @param part - which: its key, or the whole word where it has none
 * @param known - the keys that there are, when it is none of them
 */
export type RefuseSetting = (part: string, problem: string, remedy: string, value?: string, known?: readonly string[]) => never

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const RESTARTS = ['never', 'on-failure', 'always'] as const

/**
 * Settings as people write them: `cpu.shares=2000`, one after the other.
 *
 * @param ofMachine - of a machine; else of a pool, which has terms alone
 * @throws what `refuse` throws
 */
export function changesOf(words: readonly string[], ofMachine: boolean, refuse: RefuseSetting): Changes {
  const resources: Partial<Record<ResourceKind, Terms>> = {}
  const changes: { -readonly [Name in keyof Changes]: Changes[Name] } = {}
  const keys = [...ofMachine ? ['pool', 'restart', 'autostart'] : [], ...RESOURCE_KINDS.flatMap((kind) => TERMS.map((name) => `${kind}.${name}`))]
  for (const word of words) {
    const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(word) ?? []
    if (!word.includes('=')) return refuse(word, 'is not a setting', 'Use KEY=VALUE, such as cpu.shares=2000.')
    if (!keys.includes(key)) return refuse(key, 'there is no such setting', `The settings are ${keys.join(', ')}.`, word, keys)
    const refuseValue: Refuse = (given, problem, remedy) => refuse(key, problem, remedy, String(given))
    if (key === 'pool') {
      if (value !== '' && value !== '/' && !value.split('/').every((step) => NAME.test(step))) return refuse('PATH', 'is not the path of a pool', 'Use names with letters, digits, ., _ and -, and / between pools in pools.', value)
      changes.pool = value === '/' ? '' : value
    } else if (key === 'restart') changes.restart = RESTARTS.find((each) => each === value) ?? refuseValue(value, 'is not known', `Use ${RESTARTS.join(', ')}.`)
    else if (key === 'autostart') changes.autostart = value === 'yes' || value === 'true' ? true : value === 'no' || value === 'false' ? false : refuseValue(value, 'is neither yes nor no', 'Use yes or no.')
    else {
      const kind = RESOURCE_KINDS.find((each) => key.startsWith(`${each}.`)) ?? 'cpu'
      const name = TERMS.find((each) => key.endsWith(`.${each}`)) ?? 'shares'
      resources[kind] = { ...resources[kind], [name]: termOf(kind, name, value, refuseValue) }
      checkTerms(kind, resources[kind] ?? {}, refuseValue)
    }
  }
  return { ...changes, ...(Object.keys(resources).length > 0 && { resources }) }
}

/** What a machine or a pool has, with some of it changed: what is not said stays. @throws a typed error `'parameter'` */
export function mergedResources(table: AllocationTable, kind: 'machine' | 'pool', name: string, changes: Resources): Resources {
  const row = table.rows.find((each) => each.kind === kind && each.name === name)
  const before = Object.entries(row?.resources ?? {}).map(([resource, { shares, reservation, limit }]) => [resource, { shares, reservation, limit: limit ?? Infinity }] as const)
  const merged: Partial<Record<ResourceKind, Terms>> = Object.fromEntries(before)
  for (const [resource, terms] of Object.entries(changes) as [ResourceKind, Terms][]) {
    const all = { ...merged[resource], ...terms }
    const refuse: Refuse = (value, problem, remedy) => { throw machinistError({ code: 'parameter', part: `${name} ${resource}`, value: String(value), remedy }, problem) }
    checkTerms(resource, all, refuse)
    merged[resource] = all
  }
  return merged
}
