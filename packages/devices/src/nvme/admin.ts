import type { DmaSpace } from '@machinist/api'
import type { Command } from './command.ts'
import type { Events } from './events.ts'
import type { Features } from './features.ts'
import { Feature } from './features.ts'
import { identifyController, identifyNamespace, namespaceDescriptors, namespaceList } from './identify.ts'
import { type NvmeErrorEntry, errorLog, firmwareLog, healthLog } from './log-pages.ts'
import type { Namespace } from './namespace.ts'
import { placesOf } from './prp.ts'
import { CompletionQueue, queueSize, SubmissionQueue } from './queues.ts'
import { Admin, ALL_NAMESPACES, COMPLETION_SHIFT, MOST_TRANSFER, Result, SUBMISSION_SHIFT } from './registers.ts'

/** What admin commands work on. */
export interface Controller {
  readonly dma: DmaSpace
  readonly page: number
  readonly vendor: number
  readonly serial: string
  /** Pairs of queues for I/O. */
  readonly queues: number
  /** Sizes of entries of queues for I/O that the host has said, as powers of two. */
  readonly shifts: { readonly submission: number; readonly completion: number }
  readonly submissions: Map<number, SubmissionQueue>
  readonly completions: Map<number, CompletionQueue>
  readonly namespace: Namespace
  readonly features: Features
  readonly events: Events
  readonly errors: { readonly count: number; readonly list: readonly NvmeErrorEntry[] }
  /** Nobody waits any more for what a submission queue has under way. */
  abandon(queue: number): void
  /** A completion queue is gone, and what it asked for. */
  changed(): void
  /** Ends a command for events. */
  endEvent(command: number, status: number, result: number): void
}

/** How a command ended. */
export interface Ended {
  readonly status: number
  readonly result: number
}

const ended = (status: number, result: number = 0): Ended => ({ status, result })

/** Carries out an admin command (NVMe 1.4, 5); null when it ends later. */
export function runAdmin(command: Command, host: Controller): Ended | null {
  if (!command.plain) return ended(Result.invalidField)
  switch (command.opcode) {
    case Admin.createCq:
      return ended(createCompletion(command, host))
    case Admin.createSq:
      return ended(createSubmission(command, host))
    case Admin.deleteCq:
      return ended(deleteCompletion(command.word(10) & 0xffff, host))
    case Admin.deleteSq:
      return ended(deleteSubmission(command.word(10) & 0xffff, host))
    case Admin.identify:
      return ended(identify(command, host))
    case Admin.logPage:
      return ended(logPage(command, host))
    case Admin.abort:
      return abort(command, host)
    case Admin.setFeatures:
      return setFeatures(command, host)
    case Admin.getFeatures:
      // Only what is set now: there is nothing else to select.
      return (command.word(10) & 0x700) === 0 ? host.features.get(command.word(10) & 0xff, command.word(11)) : ended(Result.invalidField)
    case Admin.asyncEvent:
      if (!host.events.room) return ended(Result.asyncLimit)
      host.events.request(command.id)
      return null
    default:
      return ended(Result.invalidOpcode)
  }
}

function createCompletion(command: Command, host: Controller): number {
  const [id, entries, flags, vector] = [command.word(10) & 0xffff, (command.word(10) >>> 16) + 1, command.word(11) & 0xffff, command.word(11) >>> 16]
  if (id === 0 || id > host.queues || host.completions.has(id)) return Result.queueIdentifier
  if (!queueSize(entries) || host.shifts.completion !== COMPLETION_SHIFT) return Result.queueSize
  if (command.prp1 % host.page !== 0) return Result.prpOffset
  // It has vectors for every queue and for the admin queue.
  if (vector > host.queues) return Result.interruptVector
  if ((flags & 1) === 0) return Result.invalidField
  host.completions.set(id, new CompletionQueue({ id, base: command.prp1, entries }, vector, (flags & 2) !== 0))
  return Result.ok
}

function createSubmission(command: Command, host: Controller): number {
  const [id, entries, flags, completion] = [command.word(10) & 0xffff, (command.word(10) >>> 16) + 1, command.word(11) & 0xffff, command.word(11) >>> 16]
  if (completion === 0 || !host.completions.has(completion)) return Result.completionQueue
  if (id === 0 || id > host.queues || host.submissions.has(id)) return Result.queueIdentifier
  if (!queueSize(entries) || host.shifts.submission !== SUBMISSION_SHIFT) return Result.queueSize
  if (command.prp1 % host.page !== 0) return Result.prpOffset
  if ((flags & 1) === 0) return Result.invalidField
  host.submissions.set(id, new SubmissionQueue({ id, base: command.prp1, entries }, completion))
  return Result.ok
}

function deleteCompletion(id: number, host: Controller): number {
  if (id === 0 || !host.completions.has(id)) return Result.queueIdentifier
  for (const queue of host.submissions.values()) if (queue.completion === id) return Result.queueDeletion
  host.completions.delete(id)
  host.changed()
  return Result.ok
}

function deleteSubmission(id: number, host: Controller): number {
  if (id === 0 || !host.submissions.delete(id)) return Result.queueIdentifier
  host.abandon(id)
  return Result.ok
}

/** Gives bytes to the host. */
function give(bytes: Uint8Array, command: Command, { dma, page }: Controller): number {
  const places = placesOf(dma, page, command.prp1, command.prp2, bytes.length)
  if (typeof places === 'number') return places
  return places.write(bytes) ? Result.ok : Result.dataTransfer
}

function identify(command: Command, host: Controller): number {
  const { namespace } = command
  switch (command.word(10) & 0xff) {
    case 0x00:
      if (namespace !== 1 && namespace !== ALL_NAMESPACES) return Result.invalidNamespace
      // What namespaces have in common, which is what the one has, but for its size.
      return give(namespace === 1 ? identifyNamespace(host.namespace) : identifyNamespace(host.namespace).fill(0, 0, 24), command, host)
    case 0x01:
      return give(identifyController(host.vendor, host.serial, host.namespace), command, host)
    case 0x02:
      return namespace >= 0xffff_fffe ? Result.invalidNamespace : give(namespaceList(namespace), command, host)
    case 0x03:
      return namespace === 1 ? give(namespaceDescriptors(), command, host) : Result.invalidNamespace
    default:
      return Result.invalidField
  }
}

function logPage(command: Command, host: Controller): number {
  const page = command.word(10) & 0xff
  const length = ((command.word(10) >>> 16) + (command.word(11) & 0xffff) * 0x1_0000 + 1) * 4
  const offset = command.long(12)
  if (command.namespace !== 0 && command.namespace !== ALL_NAMESPACES) return Result.invalidField
  const { errors, namespace, features } = host
  const bytes = page === 1 ? errorLog(errors.list) : page === 2 ? healthLog(features.warning, namespace.traffic, errors.count) : page === 3 ? firmwareLog() : null
  if (bytes === null) return Result.logPage
  if (length > MOST_TRANSFER || offset % 4 !== 0 || offset > bytes.length) return Result.invalidField
  const given = new Uint8Array(length)
  given.set(bytes.subarray(offset, offset + length))
  const status = give(given, command, host)
  // Bit 15 retains the event.
  if (status === Result.ok && (command.word(10) & 0x8000) === 0) host.events.read(page)
  return status
}

/** Only commands that wait for events can be taken back: what a disk was asked for cannot. */
function abort(command: Command, host: Controller): Ended {
  const [queue, id] = [command.word(10) & 0xffff, command.word(10) >>> 16]
  if (queue !== 0 || !host.events.abort(id)) return ended(Result.ok, 1)
  host.endEvent(id, Result.abortRequested, 0)
  return ended(Result.ok)
}

function setFeatures(command: Command, host: Controller): Ended {
  const select = command.word(10)
  if (select >= 0x8000_0000) return ended(Result.notSaveable)
  const set = host.features.set(select & 0xff, command.word(11), host.submissions.size > 1 || host.completions.size > 1)
  return (select & 0xff) === Feature.queues ? set : ended(set.status)
}
