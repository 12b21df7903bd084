import { machinistError } from '@machinist/api'
import type { BackendDescriptor, ImageSource, MachineDefinition } from '@machinist/machine'

/** A ready-made machine as plain data: what of the options of `virt` or `microvm` (`@machinist/boards`) JSON holds. */
export interface BoardDescription {
  /** `'virt'` is RISC-V, `'microvm'` a small PC. */
  readonly board: 'virt' | 'microvm'
  /** Bytes, or text such as `'256M'`. */
  readonly memory?: number | string
  readonly harts?: number
  readonly kernel?: ImageSource | string
  readonly initrd?: ImageSource | string
  /** The kernel's command line. */
  readonly append?: string
  /** `'terminal'` unless given. */
  readonly console?: BackendDescriptor
  readonly disks?: readonly BackendDescriptor[]
  readonly nets?: readonly BackendDescriptor[]
  readonly virtioConsole?: BackendDescriptor
  readonly time?: MachineDefinition['time']
}

/** A machine as plain data: a definition with all its parts, or a ready-made one. Files are named by URLs relative to the description's own. */
export type MachineDescription = MachineDefinition | BoardDescription

const OPTIONS: readonly string[] = ['board', 'memory', 'harts', 'kernel', 'initrd', 'append', 'console', 'disks', 'nets', 'virtioConsole', 'time']

/** Whether it is a ready-made machine. */
export function isBoard(description: MachineDescription): description is BoardDescription {
  return 'board' in description
}

/** Which of the workers has its CPU. @throws a typed error `'machine-description'` */
export function cpuOf(description: MachineDescription): 'riscv' | 'x86' {
  const refuse = (value: unknown, remedy: string, problem: string): never => {
    throw machinistError({ code: 'machine-description', part: 'machine', value: String(value), remedy }, problem)
  }
  if (typeof description !== 'object' || (description as object | null) === null) return refuse(typeof description, 'Give a definition, or { "board": "virt", … }.', 'it is no machine')
  if (!isBoard(description)) return (description.cpu as { kind?: string } | undefined)?.kind === 'x86' ? 'x86' : 'riscv'
  const unknown = Object.keys(description).find((name) => !OPTIONS.includes(name))
  if (unknown !== undefined) return refuse(unknown, `Use ${OPTIONS.join(', ')}.`, 'no such option')
  if (description.board === 'virt') return 'riscv'
  return description.board === 'microvm' ? 'x86' : refuse(description.board, "Use 'virt' or 'microvm'.", 'no such board')
}

/** An image that is named by its URL alone. */
export function imageOf(source: ImageSource | string): ImageSource {
  return typeof source === 'string' ? { file: source } : source
}
