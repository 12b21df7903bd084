import type { DmaSpace } from '@machinist/api'
import type { PlainData } from '@machinist/registers'
import { Command, COMMAND_WORDS } from './command.ts'
import { COMPLETION, LEAST_ENTRIES, MOST_ENTRIES, MOST_QUEUES, SUBMISSION } from './registers.ts'

/** Where a queue is, and how many entries it has. */
export interface NvmeQueuePlace {
  readonly id: number
  readonly base: number
  readonly entries: number
}

/** Saved state of a submission queue. */
export interface NvmeSubmissionState extends NvmeQueuePlace {
  readonly completion: number
  readonly head: number
  readonly tail: number
}

/** A submission queue (NVMe 1.4, 4.1). */
export class SubmissionQueue {
  readonly id: number
  readonly base: number
  readonly entries: number
  /** Identifier of the queue that its completions go to. */
  readonly completion: number
  head = 0
  tail = 0

  constructor({ id, base, entries }: NvmeQueuePlace, completion: number) {
    this.id = id
    this.base = base
    this.entries = entries
    this.completion = completion
  }

  /** The next command; null when it is not memory. */
  fetch(dma: DmaSpace): Command | null {
    const words = new Uint32Array(COMMAND_WORDS)
    if (!dma.readWords(this.base + this.head * SUBMISSION, words)) return null
    this.head = (this.head + 1) % this.entries
    return new Command(this.id, words)
  }

  save(): NvmeSubmissionState {
    const { id, base, entries, completion, head, tail } = this
    return { id, base, entries, completion, head, tail }
  }
}

/** What is told of a command that has ended. */
export interface NvmeCompletion {
  readonly result: number
  readonly queue: number
  readonly command: number
  /** Status field (4.6.1), without the phase. */
  readonly status: number
}

/** Saved state of a completion queue. */
export interface NvmeCompletionState extends NvmeQueuePlace {
  readonly vector: number
  readonly interrupts: boolean
  readonly head: number
  readonly tail: number
  readonly phase: boolean
  /** What has no room yet. */
  readonly waiting: readonly NvmeCompletion[]
}

/** A completion queue (NVMe 1.4, 4.1). */
export class CompletionQueue {
  readonly id: number
  readonly base: number
  readonly entries: number
  readonly vector: number
  readonly interrupts: boolean
  head = 0
  tail = 0
  /** The phase tag of entries of this round. */
  phase = true
  /** What has no room yet. */
  waiting: NvmeCompletion[] = []

  constructor({ id, base, entries }: NvmeQueuePlace, vector: number, interrupts: boolean) {
    this.id = id
    this.base = base
    this.entries = entries
    this.vector = vector
    this.interrupts = interrupts
  }

  /** Entries that the host has not taken. */
  get posted(): number {
    return (this.tail - this.head + this.entries) % this.entries
  }

  get full(): boolean {
    return this.posted === this.entries - 1
  }

  /** Puts an entry, with the head of its submission queue, where the host looks; false when that is not memory. */
  post(dma: DmaSpace, { result, queue, command, status }: NvmeCompletion, head: number): boolean {
    const entry = new Uint8Array(COMPLETION)
    const view = new DataView(entry.buffer)
    view.setUint32(0, result, true)
    view.setUint16(8, head, true)
    view.setUint16(10, queue, true)
    view.setUint16(12, command, true)
    view.setUint16(14, status << 1 | (this.phase ? 1 : 0), true)
    const at = this.base + this.tail * COMPLETION
    // The host looks at the phase: it comes last.
    if (!dma.write(at, entry.subarray(0, 14))) return false
    dma.fence?.()
    if (!dma.write(at + 14, entry.subarray(14))) return false
    if (++this.tail === this.entries) {
      this.tail = 0
      this.phase = !this.phase
    }
    return true
  }

  save(): NvmeCompletionState {
    const { id, base, entries, vector, interrupts, head, tail, phase, waiting } = this
    return { id, base, entries, vector, interrupts, head, tail, phase, waiting: waiting.map((each) => ({ ...each })) }
  }
}

/** Completions that wait in one queue, at most. */
const MOST_WAITING = 4096

function placeOf(data: PlainData): NvmeQueuePlace {
  return { id: data.integer('id', 0, MOST_QUEUES), base: data.integer('base', 0, 2 ** 64), entries: data.integer('entries', LEAST_ENTRIES, 4096) }
}

/** Checks what {@link SubmissionQueue.save} gave. */
export function submissionQueue(data: PlainData): SubmissionQueue {
  const place = placeOf(data)
  const queue = new SubmissionQueue(place, data.integer('completion', 0, MOST_QUEUES))
  queue.head = data.integer('head', 0, place.entries - 1)
  queue.tail = data.integer('tail', 0, place.entries - 1)
  return queue
}

/** Checks what {@link CompletionQueue.save} gave. */
export function completionQueue(data: PlainData): CompletionQueue {
  const place = placeOf(data)
  const queue = new CompletionQueue(place, data.integer('vector', 0, MOST_QUEUES), data.boolean('interrupts'))
  queue.head = data.integer('head', 0, place.entries - 1)
  queue.tail = data.integer('tail', 0, place.entries - 1)
  queue.phase = data.boolean('phase')
  queue.waiting = data.list('waiting', MOST_WAITING, (each) => ({
    result: each.integer('result', 0, 0xffff_ffff), queue: each.integer('queue', 0, MOST_QUEUES), command: each.integer('command', 0, 0xffff), status: each.integer('status', 0, 0x7fff),
  }))
  return queue
}

/** Whether a size is one that a queue may have. */
export function queueSize(entries: number): boolean {
  return entries >= LEAST_ENTRIES && entries <= MOST_ENTRIES
}
