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

/** A machine that was saved, here (`PageMachine.snapshot`) or by `machinist` in a terminal: it goes on from there. */
export interface SnapshotDescription {
  /** The file: a URL, of which memory is read by ranges as it is touched; a name of a file that is given; or the file itself. */
  readonly snapshot: string | Blob
  /** What parts are connected to, by part and port, as `'net0.net'`. Of what is not given, consoles are terminals, and networks that browsers have not are unplugged. */
  readonly connect?: Readonly<Record<string, BackendDescriptor>>
  /** True: networks that are not given are unplugged, as a copy's should be, which has the addresses of the machine that it is a copy of. */
  readonly unplug?: boolean
  /** Of the machine; as it was, unless given. */
  readonly name?: string
  /** The CPU that it has; `'riscv'` is tried before `'x86'` unless given. */
  readonly cpu?: WorkerCpu
}

/** A machine as plain data: a definition with all its parts, a ready-made one, or one that was saved. Files are named by URLs relative to the description's own. */
export type MachineDescription = MachineDefinition | BoardDescription | SnapshotDescription

const OPTIONS: readonly string[] = ['board', 'memory', 'harts', 'kernel', 'initrd', 'append', 'console', 'disks', 'nets', 'virtioConsole', 'time']

/** Whether it is a ready-made machine. */
export function isBoard(description: MachineDescription): description is BoardDescription {
  return 'board' in description
}

const SNAPSHOT_OPTIONS: readonly string[] = ['snapshot', 'connect', 'unplug', 'name', 'cpu']

/** Whether it is a machine that was saved. */
export function isSnapshot(description: MachineDescription): description is SnapshotDescription {
  return 'snapshot' in description
}

/** The CPUs that there are workers for. */
export type WorkerCpu = 'riscv' | 'x86'

/** Which of the workers has its CPU; of one that was saved, the one that is most likely. @throws a typed error `'machine-description'` */
export function cpuOf(description: MachineDescription): WorkerCpu {
  const refuse = (value: unknown, remedy: string, problem: string): never => {
    throw machinistError({ code: 'machine-description', part: 'machine', value: String(value), remedy }, problem)
  }
  if (typeof description !== 'object' || (description as object | null) === null) return refuse(typeof description, 'Give a definition, or { "board": "virt", … }.', 'it is no machine')
  if (isSnapshot(description)) {
    const { snapshot, connect, name, unplug, cpu = 'riscv' } = description
    const other = Object.keys(description).find((each) => !SNAPSHOT_OPTIONS.includes(each))
    if (other !== undefined) return refuse(other, `Use ${SNAPSHOT_OPTIONS.join(', ')}.`, 'no such option')
    if (typeof snapshot !== 'string' && !(snapshot instanceof Blob)) return refuse(typeof snapshot, 'Give a URL, or a Blob.', 'it is no snapshot')
    if (connect !== undefined && (typeof connect !== 'object' || (connect as object | null) === null)) return refuse(typeof connect, "Give backends by part and port, as { 'net0.net': … }.", 'it connects to nothing')
    if (name !== undefined && typeof name !== 'string') return refuse(typeof name, 'Give a text.', 'it is no name')
    if (unplug !== undefined && typeof unplug !== 'boolean') return refuse(typeof unplug, 'Use true or false.', 'unplug is a question of yes or no')
    return cpu === 'riscv' || cpu === 'x86' ? cpu : refuse(cpu, "Use 'riscv' or 'x86'.", 'no such CPU')
  }
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
