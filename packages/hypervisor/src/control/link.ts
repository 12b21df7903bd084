import { machinistError } from '@machinist/api'
import { errorOf, type FromProcessor, type Order, type ProcessorChannel, type ToProcessor } from '../channel/messages.ts'
import type { Room } from '../contract/controller.ts'
import type { ResourceKind } from '../contract/resources.ts'

/** What a processor says of itself, besides answers. */
export type Said = Exclude<FromProcessor, { readonly type: 'done' | 'ready' }>

/** The control's idea of a processor: asks, and is answered or hears that it has gone. */
export class Link {
  readonly index: number
  /** Kinds of resources that it shares out by grants; empty until it is ready. */
  kinds: readonly ResourceKind[] = []
  /** What it has of memory by itself, when it has said so. */
  room: Room | null = null
  /** What it was told last, so as not to tell it again. */
  told: string = ''
  readonly granted: Map<string, string> = new Map<string, string>()
  readonly #channel: ProcessorChannel
  readonly #answers = new Map<number, { readonly done: () => void; readonly failed: (error: Error) => void }>()
  #next = 0
  #gone = false

  /**
   * @param said - told what it says
   * @param lost - told that it has gone, once
   */
  constructor(index: number, channel: ProcessorChannel, said: (message: Said) => void, lost: (reason: string) => void) {
    this.index = index
    this.#channel = channel
    channel.onMessage = (message) => {
      if (message.type === 'ready') this.kinds = message.kinds
      else if (message.type === 'done') this.#answered(message.id, message.error)
      else said(message)
    }
    channel.onClosed = (reason) => {
      this.#leave(reason)
      lost(reason)
    }
  }

  get gone(): boolean {
    return this.#gone
  }

  /** @throws what the processor answers, or a typed error `'processor-lost'` */
  ask(order: Order): Promise<void> {
    return new Promise((done, failed) => {
      if (this.#gone) {
        failed(this.#lost('it has gone'))
        return
      }
      const id = this.#next++
      this.#answers.set(id, { done, failed })
      this.#channel.post({ type: 'order', id, order })
    })
  }

  tell(message: Exclude<ToProcessor, { readonly type: 'order' }>): void {
    if (!this.#gone) this.#channel.post(message)
  }

  close(): void {
    this.#leave('the hypervisor was closed')
    this.#channel.close('the hypervisor was closed')
  }

  #answered(id: number, error: Parameters<typeof errorOf>[0] | undefined): void {
    const answer = this.#answers.get(id)
    this.#answers.delete(id)
    if (error === undefined) answer?.done()
    else answer?.failed(errorOf(error))
  }

  #leave(reason: string): void {
    this.#gone = true
    const answers = [...this.#answers.values()]
    this.#answers.clear()
    for (const { failed } of answers) failed(this.#lost(reason))
  }

  #lost(reason: string): Error {
    return machinistError({ code: 'processor-lost', part: `processor ${String(this.index)}`, value: reason, remedy: 'Start its machines again.' }, 'the processor has gone')
  }
}
