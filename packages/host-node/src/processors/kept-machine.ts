import { isMachinistError, machinistError } from '@machinist/api'
import type { BackendDescriptor, Machine, MachineDefinition } from '@machinist/machine'
import { diskOptions } from '../disks/machine-disks.ts'
import { SnapshotTree, type TreeDiskChoice } from '../snapshot-tree/snapshot-tree.ts'
import { listenForSnapshots } from '../snapshot-tree/tree-control.ts'
import { TreeSession } from '../snapshot-tree/tree-session.ts'

/** How often is looked whether another has closed a tree, and for how long, in milliseconds. */
const LOOK = 50
const PATIENCE = 10_000

/** A machine of a hypervisor that is kept in a folder with its snapshots. */
export interface KeptMachineSession {
  /** Its disks, by part and port. */
  readonly disks: ReadonlyMap<string, TreeSession['disks'][number]['disk']>
  /** The file of memory that it goes on from, unless it is told otherwise. */
  readonly memory: string | null
  /** The disks as they are: others stand in their place when it went back to a snapshot. */
  readonly at: readonly string[]
  /** Before it runs: snapshots can be taken. */
  begin(machine: Machine): Promise<void>
  /** When it was disposed of. */
  end(): Promise<void>
}

/** Disks that are written, by part and port. */
function writtenDisks({ devices }: MachineDefinition): Map<string, TreeDiskChoice> {
  const found = new Map<string, TreeDiskChoice>()
  for (const [name, { backends = {} }] of Object.entries(devices)) {
    for (const [port, descriptor] of Object.entries(backends)) {
      const choice = choiceOf(name, port, descriptor)
      if (choice !== null) found.set(`${name}.${port}`, choice)
    }
  }
  return found
}

function choiceOf(name: string, port: string, descriptor: BackendDescriptor): TreeDiskChoice | null {
  if (typeof descriptor === 'string' || descriptor.type !== 'disk') return null
  const part = `${name}.${port}`
  if (typeof descriptor['datastore'] === 'string') {
    if (descriptor['mode'] === 'ro') return null
    throw machinistError({ code: 'snapshot-disk', part, value: descriptor['datastore'], remedy: 'Use an image, or leave out snapshots.' }, 'a disk of a datastore cannot be kept in snapshots')
  }
  const { path, mode, options: { format, files, lock } } = diskOptions(descriptor, part)
  if (mode === 'ro') return null
  if (mode === 'overlay') throw machinistError({ code: 'snapshot-disk', part, value: path, remedy: 'Leave out overlay: with snapshots, the image is not written to.' }, 'what is written to an overlay is forgotten when the machine ends')
  return { name, path, ...(format !== undefined && { format }), ...(files !== undefined && { files }), ...(lock !== undefined && { lock }) }
}

/** A thread in which the machine was may be about to close its tree. */
async function openTree(folder: string, disks: readonly TreeDiskChoice[]): Promise<SnapshotTree> {
  for (let waited = 0; ; waited += LOOK) {
    try {
      return SnapshotTree.isIn(folder) ? await SnapshotTree.open(folder) : await SnapshotTree.create(folder, disks, { program: 'machinist', hypervisor: true })
    } catch (error) {
      if (!isMachinistError(error) || error.code !== 'snapshot-tree-busy' || waited >= PATIENCE) throw error
      await new Promise((resolve) => { setTimeout(resolve, LOOK) })
    }
  }
}

/**
 * Opens the folder in which a machine is kept, or makes it, where the machine has its snapshots from then on: its disks stand on its images, which are not written any more.
 *
 * @param definition - with absolute paths
 * @throws typed errors: `'snapshot-disk'` for a disk that cannot be kept; `'snapshot-parts'` for a folder of other disks; as `SnapshotTree.open` and `SnapshotTree.create`
 */
export async function openKept(folder: string, definition: MachineDefinition): Promise<KeptMachineSession> {
  const written = writtenDisks(definition)
  const tree = await openTree(folder, [...written.values()])
  const [names, own] = [tree.index.disks.map(({ name }) => name), [...written.values()].map(({ name }) => name)].map((each) => each.sort().join(', '))
  if (names !== own) {
    await tree.close()
    throw machinistError({ code: 'snapshot-parts', part: folder, value: own, remedy: `Give the machine the disks that it had (${names ?? ''}), or another folder.` }, 'the snapshots there are of a machine with other disks')
  }
  const session = await TreeSession.open(tree, { disks: Object.fromEntries([...written.keys()].map((id) => [id, id])) })
  let deaf: (() => void) | null = null
  return {
    disks: new Map([...written].flatMap(([id, { name }]) => session.disks.filter((each) => each.name === name).map(({ disk }) => [id, disk] as const))),
    memory: session.memory,
    at: tree.index.current.disks,
    async begin(machine) {
      await session.begin(machine)
      deaf = await listenForSnapshots(folder, ({ action, name }) => (action === 'take' ? session.take(name) : session.delete(name)))
    },
    async end() {
      deaf?.()
      await session.end()
    },
  }
}
