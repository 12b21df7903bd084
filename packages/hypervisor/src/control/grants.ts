import type { ToProcessor } from '../channel/messages.ts'
import type { AllocationTable } from '../contract/hypervisor.ts'
import type { ResourceKind } from '../contract/resources.ts'
import { ceilings } from '../table/ceilings.ts'
import { localTree, type LocalTree } from '../table/local.ts'
import type { Tree } from '../table/tree.ts'
import type { Link } from './link.ts'
import type { MachineRecord } from './record.ts'

type Grants = Extract<ToProcessor, { readonly type: 'grants' }>['grants']

/** What a processor is to be told of CPU time; null when it knows. */
export function treeFor(link: Link, tree: Tree, table: AllocationTable, records: ReadonlyMap<string, MachineRecord>): LocalTree | null {
  const local = localTree(tree.pools, tree.machines, table, (name) => records.get(name)?.link === link, (name) => records.get(name)?.alive ?? false, tree.width)
  const told = JSON.stringify(local)
  if (told === link.told) return null
  link.told = told
  return local
}

/** Resources that a processor shares out anew more often than it is told of what there is. */
const RATES: readonly ResourceKind[] = ['disk', 'network', 'space']

/** What machines of a processor may have of other resources than CPU time, as far as it does not know. */
export function grantsFor(link: Link, table: AllocationTable, records: ReadonlyMap<string, MachineRecord>): Grants {
  const grants: Grants[number][] = []
  const kinds = link.kinds.filter((kind) => kind !== 'cpu')
  const processors = new Set([...records.values()].flatMap(({ link: each }) => (each === null ? [] : [each]))).size
  const most = new Map(kinds.filter((kind) => RATES.includes(kind)).map((kind) => [kind, ceilings(table, kind, Math.max(1, processors))]))
  for (const { kind: what, name, pool, resources } of table.rows) {
    if (what !== 'machine' || records.get(name)?.link !== link) continue
    for (const kind of kinds) {
      const allotment = resources[kind]
      if (allotment === undefined) continue
      const { shares, reservation, limit, entitled, demand } = allotment
      const ceiling = most.get(kind)?.get(name)
      const key = `${kind} ${name}`
      const told = `${String(shares)} ${String(reservation)} ${String(limit)} ${String(entitled)} ${String(demand)} ${String(ceiling)} ${pool}`
      if (link.granted.get(key) === told) continue
      link.granted.set(key, told)
      grants.push({ name, kind, grant: { shares, reservation, limit, entitled, demand, pool, ...(ceiling !== undefined && { ceiling }) } })
    }
  }
  for (const key of link.granted.keys()) if (records.get(key.slice(key.indexOf(' ') + 1))?.link !== link) link.granted.delete(key)
  return grants
}
