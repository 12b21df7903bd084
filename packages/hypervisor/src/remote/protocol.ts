import { isMachinistError, machinistError, type MachinistError } from '@machinist/api'
import type { HypervisorEvent } from '../contract/hypervisor.ts'
import { decodeCbor } from './cbor.ts'

/** What the first message of either end says that it speaks. */
export const PROTOCOL = 'machinist-hypervisor'
/** The version of the protocol. Others are refused: both ends come with the same package. */
export const PROTOCOL_VERSION = 1

/** An error on its way. Those that are not typed have a message alone. */
export interface WireError {
  readonly message: string
  readonly code?: string
  readonly part?: string
  readonly value?: string | number
  readonly remedy?: string
}

/** The first message of a client. */
export interface Greeting {
  readonly hello: string
  readonly version: number
}

/** What a client sends after its greeting. */
export type ClientMessage =
  | { readonly id: number; readonly call: string; readonly args: readonly unknown[] }
  /** Bytes for the console that the call of this number opened; or its end. */
  | { readonly console: number; readonly bytes: Uint8Array }
  | { readonly console: number; readonly end: true }

/** What a server sends. */
export type ServerMessage =
  | Greeting
  /** The last message of a connection that the server ends. */
  | { readonly refused: WireError }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: WireError }
  | { readonly event: HypervisorEvent }
  /** Output of a console; before it, so many bytes were left out. */
  | { readonly console: number; readonly bytes: Uint8Array; readonly lost?: number }
  | { readonly console: number; readonly end: true }

/** An error as it goes over a stream. The stack stays. */
export function toWire(error: unknown): WireError {
  if (!isMachinistError(error)) return { message: error instanceof Error ? error.message : String(error) }
  const { message, code, part, value, remedy } = error
  return { message, code, part, ...(value !== undefined && { value }), remedy }
}

const isText = (value: unknown): value is string => typeof value === 'string'

/** What {@link toWire} was given. */
export function fromWire(error: unknown): Error {
  const { message, code, part, value, remedy } = fields(error)
  const text = isText(message) ? message : 'an error without a message'
  if (!isText(code) || !isText(part) || !isText(remedy)) return new Error(text)
  return Object.assign(machinistError({ code, part, remedy, ...((isText(value) || typeof value === 'number') && { value }) }, ''), { message: text })
}

/** A message that is not understood. */
export function badMessage(problem: string, value?: string | number): MachinistError {
  return machinistError({ code: 'message', part: 'message', value, remedy: 'Use the same version of machinist at both ends.' }, problem)
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array) throw badMessage('it is no message')
  return value as Readonly<Record<string, unknown>>
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

/** @throws a typed error `'message'`, and `'version'` for another version */
export function readGreeting(bytes: Uint8Array): void {
  const { hello, version, refused } = fields(decodeCbor(bytes))
  if (refused !== undefined) throw fromWire(refused)
  if (hello !== PROTOCOL) throw badMessage('the other end is no hypervisor, or no client of one')
  if (version !== PROTOCOL_VERSION) {
    throw machinistError(
      { code: 'version', part: 'protocol', value: isNumber(version) ? version : String(version), remedy: 'Use the same version of machinist at both ends: stop the one that runs in the background, and start it anew.' },
      `the other end speaks another version than ${PROTOCOL_VERSION}`)
  }
}

/** @throws a typed error `'message'` */
export function readClientMessage(bytes: Uint8Array): ClientMessage {
  const { id, call, args, console, bytes: input, end } = fields(decodeCbor(bytes))
  if (isNumber(id) && isText(call) && Array.isArray(args)) return { id, call, args }
  if (isNumber(console) && input instanceof Uint8Array) return { console, bytes: input }
  if (isNumber(console) && end === true) return { console, end }
  throw badMessage('it is no message of a client')
}

/** @throws a typed error `'message'`, or what the server refuses with */
export function readServerMessage(bytes: Uint8Array): Exclude<ServerMessage, Greeting | { readonly refused: WireError }> {
  const message = fields(decodeCbor(bytes))
  const { id, error, event, console, bytes: output, lost, end, refused } = message
  if (refused !== undefined) throw fromWire(refused)
  if (isNumber(id) && error !== undefined) return { id, error: fields(error) as unknown as WireError }
  if (isNumber(id) && 'result' in message) return { id, result: message['result'] }
  if (isNumber(console) && output instanceof Uint8Array) return { console, bytes: output, ...(isNumber(lost) && { lost }) }
  if (isNumber(console) && end === true) return { console, end }
  if (event !== undefined) {
    const { at, kind, name, text } = fields(event)
    if (typeof at === 'bigint' && isText(kind) && isText(name) && isText(text)) return { event: { at, kind, name, text } }
  }
  throw badMessage('it is no message of a hypervisor')
}
