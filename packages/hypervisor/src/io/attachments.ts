import type { Backend, BackendKind } from '@machinist/api'
import type { MachineHost } from '@machinist/machine'

/** A machine's host, and what was attached to machines that were made with it and that nobody has claimed. */
interface Maker {
  readonly name: string
  readonly groups: Map<string, unknown>[]
  claimed: boolean
  /** Attachments that are open. */
  open: number
}

/** What stands between machines and their backends, until it is known which machine it is. Copies of a machine are made with the host of the first one. */
export class Attachments<Item> {
  readonly #makers = new Set<Maker>()

  /**
   * A host that has backends of a kind go through `between`.
   *
   * @param between - what is connected in the place of a backend, and what is to be known of it; null to leave it
   */
  host(name: string, host: MachineHost, kind: BackendKind, between: (backend: Backend<unknown>, part: string) => { readonly backend: Backend<unknown>, readonly item: Item } | null): MachineHost {
    for (const other of this.#makers) {
      // A machine that was never made: its host is of no use to the next one.
      if (other.name === name && (!other.claimed || other.open === 0)) this.#makers.delete(other)
    }
    const maker: Maker = { name, groups: [], claimed: false, open: 0 }
    this.#makers.add(maker)
    return {
      ...host,
      attach: (found, wanted, part) => {
        const backend = host.attach?.(found, wanted, part) ?? found
        const made = wanted === kind ? between(backend, part) : null
        return made === null ? backend : this.#watched(maker, part, backend, made.backend, made.item)
      },
    }
  }

  /** What belongs to a machine that has just been made. */
  claim(name: string): Item[] {
    const own = [...this.#makers].findLast((maker) => maker.name === name && !maker.claimed)
    if (own !== undefined) own.claimed = true
    // A copy: what was made with the host of a machine that has its own.
    const group = own === undefined ? [...this.#makers].find(({ claimed, groups }) => claimed && groups.length > 0)?.groups.shift() : own.groups.shift()
    return [...group?.values() ?? []] as Item[]
  }

  #watched(maker: Maker, part: string, found: Backend<unknown>, backend: Backend<unknown>, item: Item): Backend<unknown> {
    let group = maker.groups.at(-1)
    if (group === undefined || group.has(part)) maker.groups.push(group = new Map())
    const own = group
    own.set(part, item)
    maker.open += 1
    this.#makers.add(maker)
    let open = true
    return {
      ...backend,
      // Who stands above may want to know it too.
      ...('space' in found && { space: found.space }),
      close: () => {
        if (open) {
          open = false
          maker.open -= 1
          // It was never made.
          own.delete(part)
          if (own.size === 0 && maker.groups.includes(own)) maker.groups.splice(maker.groups.indexOf(own), 1)
          if (maker.open === 0) this.#makers.delete(maker)
        }
        return backend.close?.()
      },
    }
  }
}
