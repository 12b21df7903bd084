import { Datastore, type DatastoreList } from '@machinist/host-node'
import { shortSize } from '../disk/text.ts'
import type { DatastoreCommand } from './arguments.ts'

/**
 * The `machinist datastore` command.
 *
 * @returns the exit status
 * @throws typed errors
 */
export async function runDatastore(command: DatastoreCommand): Promise<number> {
  const { folder } = command
  if (command.action === 'create') {
    await Datastore.create(folder, { quota: command.quota })
    return 0
  }
  const store = Datastore.open(folder)
  switch (command.action) {
    case 'list': process.stdout.write(command.json ? `${JSON.stringify(store.list(), null, 2)}\n` : listText(store.list())); break
    case 'add': await store.createDisk(command.name, command.size); break
    case 'clone': await store.cloneDisk(command.base, command.name); break
    case 'resize': await store.resizeDisk(command.name, command.size, { shrink: command.shrink }); break
    case 'delete': await store.deleteDisk(command.name); break
    case 'quota': await store.setQuota(command.quota); break
  }
  return 0
}

/** A datastore, a line for each disk. */
function listText({ quota, used, promised, disks }: DatastoreList): string {
  const rows = [['DISK', 'SIZE', 'TAKES', 'CLONE OF'], ...disks.map((disk) => [disk.name, shortSize(disk.size), shortSize(disk.used), disk.base ?? ''])]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)) + 2)
  const lines = disks.length === 0 ? [] : rows.map((row) => row.map((text, column) => text.padEnd(widths[column] ?? 0)).join('').trimEnd())
  const kept = promised > 0 ? `, and ${shortSize(promised)} promised to disks that are open` : ''
  return [...lines, `${shortSize(used)} taken${quota === null ? '' : ` of ${shortSize(quota)}`}${kept}`, ''].join('\n')
}
