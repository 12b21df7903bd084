import { machinistError } from '@machinist/api'
import { type BackendDescriptor, type ImageSource, type MachineDefinition, parseNumber } from '@machinist/machine'
import { type BoardDescription, imageOf } from '../description.ts'

/** What both boards take. */
export interface BoardOptions {
  readonly memory?: number
  readonly harts?: number
  readonly kernel?: ImageSource
  readonly initrd?: ImageSource
  readonly append?: string
  readonly console: BackendDescriptor
  readonly disks?: readonly BackendDescriptor[]
  readonly nets?: readonly BackendDescriptor[]
  readonly virtioConsole?: BackendDescriptor
  readonly time?: MachineDefinition['time']
}

/** A description as options of a board. @throws a typed error `'machine-description'` for one of another board */
export function boardOptions({ board, memory, kernel, initrd, console = 'terminal', ...rest }: BoardDescription, own: BoardDescription['board']): BoardOptions {
  if (board !== own) throw machinistError({ code: 'machine-description', part: 'machine', value: board, remedy: 'Use the worker of its CPU.' }, 'this worker has no such board')
  return {
    ...rest, console,
    ...(memory !== undefined && { memory: parseNumber(memory, 'memory') }),
    ...(kernel !== undefined && { kernel: imageOf(kernel) }),
    ...(initrd !== undefined && { initrd: imageOf(initrd) }),
  }
}
