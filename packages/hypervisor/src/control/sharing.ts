import type { HostLoop } from '@machinist/machine'
import type { AllocationTable } from '../contract/hypervisor.ts'
import type { Capacity, Usage } from '../contract/resources.ts'
import { allocate } from '../table/allocate.ts'
import type { Tree } from '../table/tree.ts'
import { grantsFor, treeFor } from './grants.ts'
import type { Link } from './link.ts'
import type { MachineRecord } from './record.ts'

/** How often what there is is divided anew, in nanoseconds. */
const ROUND = 250_000_000

/** Divides what there is, and tells processors what their machines may have. */
export class Sharing {
  readonly #loop: HostLoop
  readonly #tree: Tree
  readonly #records: ReadonlyMap<string, MachineRecord>
  readonly #links: () => readonly Link[]
  #cancelRound: () => void = () => {}

  /** @param links - to the processors that are there */
  constructor(loop: HostLoop, tree: Tree, records: ReadonlyMap<string, MachineRecord>, links: () => readonly Link[]) {
    this.#loop = loop
    this.#tree = tree
    this.#records = records
    this.#links = links
  }

  /** What everybody is entitled to, as of now. */
  get table(): AllocationTable {
    const usage = (name: string, kind: keyof Capacity): Usage | undefined => this.#records.get(name)?.measured?.usage[kind]
    return allocate(this.#tree.capacity, this.#tree.pools, this.#tree.machines, usage, this.#loop.now())
  }

  /** Tells all processors what their machines may have. */
  distribute(): AllocationTable {
    const { table } = this
    for (const link of this.#links()) {
      this.tellTree(link, table)
      const grants = grantsFor(link, table, this.#records)
      if (grants.length > 0) link.tell({ type: 'grants', grants })
    }
    return table
  }

  /** Tells a processor the terms of CPU time. */
  tellTree(link: Link, table: AllocationTable = this.table): void {
    const tree = treeFor(link, this.#tree, table, this.#records)
    if (tree !== null) link.tell({ type: 'tree', tree })
  }

  /** Does it again and again. @param look - given each table */
  begin(look: (table: AllocationTable) => void): void {
    this.#cancelRound = this.#loop.after(ROUND, () => {
      look(this.distribute())
      this.begin(look)
    })
  }

  end(): void {
    this.#cancelRound()
  }
}
