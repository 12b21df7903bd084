import { type MachinistErrorFields, isMachinistError } from '@machinist/api'
import type { HandedMachine, MachineState } from '@machinist/machine'
import type { Grant, Room } from '../contract/controller.ts'
import type { MachineReport, MachineSpec } from '../contract/machines.ts'
import type { ResourceKind, Usage } from '../contract/resources.ts'
import type { LocalTree } from '../table/local.ts'
import type { Channel } from './channel.ts'

/** What the control asks of a processor, which answers each. Machines are named. */
export type Order =
  /** Makes a machine and starts it, as its specification says, or from a snapshot. */
  | { readonly do: 'make'; readonly spec: MachineSpec; readonly snapshot?: string }
  | { readonly do: 'pause' | 'resume' | 'reset'; readonly name: string }
  /** Presses its power button; a typed error `'no-power-button'` when nobody was asked. */
  | { readonly do: 'press'; readonly name: string }
  /** Switches it off, and forgets it. */
  | { readonly do: 'off'; readonly name: string }
  | { readonly do: 'fork'; readonly name: string; readonly spec: MachineSpec }
  | { readonly do: 'save'; readonly name: string; readonly file: string }
  /** Hands a machine over: it says `handed`, hears a verdict, and is done when the machine has gone, or goes on. */
  | { readonly do: 'give'; readonly name: string }
  /** Makes a machine of what another processor handed over. It is paused. */
  | { readonly do: 'take'; readonly spec: MachineSpec; readonly handed: HandedMachine; readonly typed: Uint8Array }

/** What the control says to a processor. */
export type ToProcessor =
  | { readonly type: 'order'; readonly id: number; readonly order: Order }
  /** Terms of CPU time, for this processor. */
  | { readonly type: 'tree'; readonly tree: LocalTree }
  /** What machines may have of the rest. */
  | { readonly type: 'grants'; readonly grants: readonly { readonly name: string; readonly kind: ResourceKind; readonly grant: Grant }[] }
  /** Whether another processor has the machine that was handed over. */
  | { readonly type: 'verdict'; readonly name: string; readonly taken: boolean }
  | { readonly type: 'input'; readonly name: string; readonly bytes: Uint8Array }
  /** So many bytes of its output have been taken. */
  | { readonly type: 'taken'; readonly name: string; readonly count: number }

/** What a processor measured of a machine. Totals, since it was made here, are in the report; usage is that since the last one. */
export interface Measured {
  readonly name: string
  /** It can live nowhere else. */
  readonly stays?: boolean
  readonly usage: Readonly<Partial<Record<ResourceKind, Usage>>>
  readonly report: Pick<MachineReport, 'cpu' | 'memory' | 'disk' | 'network' | 'retired'>
}

/** An error, as plain data. */
export type Fault = { readonly message: string } & Partial<MachinistErrorFields>

/** What a processor says to the control. */
export type FromProcessor =
  /** It takes orders. Kinds of resources that it shares out by grants. */
  | { readonly type: 'ready'; readonly kinds: readonly ResourceKind[] }
  | { readonly type: 'done'; readonly id: number; readonly error?: Fault }
  /** Also a sign of life. `room` is of memory. */
  | { readonly type: 'report'; readonly machines: readonly Measured[]; readonly room?: Room }
  /** A machine is in another state, of itself or because it was told to. One that is off has been forgotten; `by` says who switched it off. */
  | { readonly type: 'state'; readonly name: string; readonly state: MachineState; readonly status: number | null; readonly error: Fault | null; readonly by?: 'guest' | 'host' }
  /** All of a machine, which stands still, with what was typed and not read; whether it is to run; and what it was and did here. */
  | { readonly type: 'handed'; readonly name: string; readonly runs: boolean; readonly handed: HandedMachine; readonly typed: Uint8Array; readonly measured: Measured }
  | { readonly type: 'event'; readonly kind: string; readonly name: string; readonly text: string }
  | { readonly type: 'output'; readonly name: string; readonly bytes: Uint8Array }

/** The control's end of the line to a processor. */
export type ProcessorChannel = Channel<ToProcessor, FromProcessor>

/** The processor's end. */
export type ControlChannel = Channel<FromProcessor, ToProcessor>

/** An error as plain data. */
export function faultOf(error: unknown): Fault {
  if (!isMachinistError(error)) return { message: error instanceof Error ? error.message : String(error) }
  const { message, code, part, value, remedy } = error
  return { message, code, part, value, remedy }
}

/** The error that was plain data. */
export function errorOf({ message, ...fields }: Fault): Error {
  const error = new Error(message)
  if (fields.code !== undefined) error.name = 'MachinistError'
  return Object.assign(error, fields)
}
