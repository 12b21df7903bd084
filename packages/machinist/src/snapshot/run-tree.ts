import { isMachinistError, machinistError } from '@machinist/api'
import { listenForSnapshots, openSnapshotFile, SnapshotTree, type TreeDiskChoice, TreeSession } from '@machinist/host-node'
import type { Machine } from '@machinist/machine'
import { checkMachine, restoreOptions, type RunOptions, type SnapshotsChoice } from '../arguments.ts'
import type { DiskChoice } from '../disk-option.ts'
import { run } from '../run.ts'
import { usageError } from '../usage.ts'
import { timeName } from './snapshot.ts'

/** The disks that are written, by their parts: those that are kept. */
function keptDisks({ disks, pmems = [] }: RunOptions): Map<string, DiskChoice> {
  const named = [...disks.map((choice, index) => [`disk${index}`, choice] as const), ...pmems.map((choice, index) => [`pmem${index}`, choice] as const)]
  return new Map(named.filter(([, { mode }]) => mode === 'rw'))
}

function treeDisks(options: RunOptions): TreeDiskChoice[] {
  return [...keptDisks(options)].map(([name, { path, format, files, lock, datastoreDisk }]) => {
    if (datastoreDisk !== undefined) throw usageError('--snapshots', 'a disk of a datastore cannot be kept in snapshots', 'Give it with ,ro or ,overlay, or use an image.', datastoreDisk)
    return { name, path, ...(format !== undefined && { format }), ...(files !== undefined && { files }), ...(lock !== undefined && { lock }) }
  })
}

function isLine(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((word) => typeof word === 'string')
}

/** What the command line that made a tree says, and what this one says besides. */
function optionsFor(tree: SnapshotTree, { path, line, decided }: SnapshotsChoice): RunOptions {
  const { about } = tree.index
  const first = typeof about === 'object' && about !== null && 'line' in about ? about.line : undefined
  if (!isLine(first)) throw machinistError({ code: 'snapshot-program', part: path, remedy: 'Use the program that made it.' }, 'it was not made by machinist run')
  const same = first.length === line.length && first.every((word, index) => word === line[index])
  if (!same && decided !== null) throw usageError(decided, `was decided when ${path} was made`, 'Leave it out, or use another folder.')
  return restoreOptions(same ? [first] : [first, line], path)
}

/**
 * Runs the machine that is kept in a folder, from where it is, to its end.
 *
 * @returns the exit status
 * @throws typed errors, before the machine runs
 */
export async function runTree(given: RunOptions, choice: SnapshotsChoice): Promise<number> {
  const isThere = SnapshotTree.isIn(choice.path)
  if (!isThere) checkMachine(given)
  const tree = isThere ? await SnapshotTree.open(choice.path) : await SnapshotTree.create(choice.path, treeDisks(given), { program: 'machinist', line: choice.line })
  let options: RunOptions
  try {
    options = optionsFor(tree, choice)
  } catch (error) {
    await tree.close()
    throw error
  }
  const session = await TreeSession.open(tree, { program: 'machinist', tree: true })
  try {
    const stored = session.memory === null ? undefined : openSnapshotFile(session.memory)
    try {
      return await run({ ...withDisks(options, session), ...(stored && { restore: stored }), tree: session, snapshots: choice })
    } finally {
      stored?.close()
    }
  } finally {
    await session.end()
  }
}

/** Options with the disks of a tree in the place of the images that they were. */
function withDisks(options: RunOptions, session: TreeSession): RunOptions {
  const opened = (part: string) => (disk: DiskChoice, index: number): DiskChoice => {
    const found = session.disks.find(({ name }) => name === `${part}${index}`)
    return found === undefined ? disk : { ...disk, opened: found }
  }
  const disks = options.disks.map(opened('disk'))
  const { bootDisk, pmems } = options
  const [first] = disks
  return { ...options, disks, ...(bootDisk !== undefined && first !== undefined && { bootDisk: first }), ...(pmems !== undefined && { pmems: pmems.map(opened('pmem')) }) }
}

/** Takes a snapshot at the terminal. */
export async function takeAtTerminal(session: TreeSession): Promise<void> {
  const name = timeName()
  try {
    await session.take(name)
    process.stderr.write(`\r\nTook the snapshot ${name}.\r\n`)
  } catch (error) {
    process.stderr.write(`\r\nmachinist: ${isMachinistError(error) ? error.message : String(error)}\r\n`)
  }
}

/** Begins to keep the snapshots of a machine, and lets other programs ask for some; returns what ends that. */
export async function beginTree(session: TreeSession, machine: Machine, folder: string): Promise<() => void> {
  await session.begin(machine)
  const end = await listenForSnapshots(folder, ({ action, name }) => action === 'take' ? session.take(name) : session.delete(name))
  return end ?? ((): void => {})
}
