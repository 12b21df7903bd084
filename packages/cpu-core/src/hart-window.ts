import type { Cluster } from './cluster.ts'

/** Whoever is in the window: a hart. */
export interface WindowClient {
  readonly cluster: Cluster
  readonly record: { moveTo(to: number): void }
}

/** Where generated code has the record of the hart that runs. Harts move in and out of it, a copy of some kilobytes. */
export class HartWindow<Client extends WindowClient> {
  readonly address: number
  readonly #ramTable: number
  #current: Client | null = null
  #home = 0

  /** @param ramTable - offset of the copy of the machine's `ramTable` in a record */
  constructor(address: number, ramTable: number) {
    this.address = address
    this.#ramTable = ramTable
  }

  get current(): Client | null {
    return this.#current
  }

  /** The hart in it. @throws a RangeError when there is none */
  get client(): Client {
    if (this.#current === null) throw new RangeError('no hart is in the window')
    return this.#current
  }

  /**
   * Makes `client` the hart in the window.
   *
   * @param home - where its record lies when it is in it no more
   */
  enter(client: Client, home: number): void {
    if (this.#current === client) return
    this.leave()
    this.#current = client
    this.#home = home
    client.record.moveTo(this.address)
    client.cluster.copyRamTable(this.address + this.#ramTable)
  }

  /** Moves the hart in the window back to its own place. */
  leave(): void {
    this.#current?.record.moveTo(this.#home)
    this.#current = null
  }
}
