import { machinistError } from '@machinist/api'
import type { Link, Said } from './link.ts'
import type { MachineRecord } from './record.ts'

type Handed = Extract<Said, { readonly type: 'handed' }>

/** Takes machines from one processor to another while they run. */
export class Moving {
  /** Machines that are being handed over, and who waits for them. */
  readonly #waiting = new Map<string, (handed: Handed) => void>()
  /** Tells a processor of its machines. */
  readonly #tellTree: (link: Link) => void

  constructor(tellTree: (link: Link) => void) {
    this.#tellTree = tellTree
  }

  /** A processor handed a machine over. */
  handed(link: Link, message: Handed): void {
    const waiter = this.#waiting.get(message.name)
    if (waiter === undefined) link.tell({ type: 'verdict', name: message.name, taken: false })
    else waiter(message)
  }

  /**
   * Whatever happens, there is one machine afterwards, or none because a processor died: the source lets it go when the target has all of it, and the target lets it run when the source was told so.
   *
   * @throws what keeps it from being moved; it goes on where it was
   */
  async move(record: MachineRecord, source: Link, target: Link): Promise<void> {
    const { name } = record.spec
    record.typed = []
    try {
      const giving = source.ask({ do: 'give', name })
      const { handed, typed, runs, measured } = await this.#handedBy(name, giving)
      try {
        await target.ask({ do: 'take', spec: record.spec, handed, typed })
        // It may have gone since it answered.
        if (target.gone) throw machinistError({ code: 'processor-lost', part: name, value: target.index, remedy: 'Try again, or another processor.' }, 'the other processor has gone')
      } catch (error) {
        source.tell({ type: 'verdict', name, taken: false })
        await giving.catch(() => {})
        throw error
      }
      if (record.link !== source) {
        // What the target has is whole, but it was said that the machine is lost.
        await target.ask({ do: 'off', name })
        throw machinistError({ code: 'processor-lost', part: name, remedy: 'Start it again.' }, 'its processor has gone while it was moved')
      }
      record.moved(target, measured)
      source.tell({ type: 'verdict', name, taken: true })
      this.#tellTree(target)
      if (runs) await target.ask({ do: 'resume', name })
      await giving.catch(() => {})
    } finally {
      const typed = record.typed
      record.typed = null
      for (const bytes of typed) record.type(bytes)
    }
  }

  #handedBy(name: string, giving: Promise<void>): Promise<Handed> {
    return new Promise<Handed>((resolve, reject) => {
      this.#waiting.set(name, resolve)
      giving.catch(reject)
    }).finally(() => { this.#waiting.delete(name) })
  }
}
