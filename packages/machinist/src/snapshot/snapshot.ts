import { isMachinistError, machinistError } from '@machinist/api'
import { askForSnapshot, connectDaemon, listSnapshots, SnapshotTree, type TreeList } from '@machinist/host-node'
import { plainText, shortSize } from '../disk/text.ts'
import { NAME } from '../fleet/names.ts'
import type { SnapshotCommand } from './arguments.ts'

/** A name for a snapshot that is given none: the local time, `2026-11-29 18:02:37`. */
export function timeName(time: Date = new Date()): string {
  const two = (number: number): string => String(number).padStart(2, '0')
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`
}

/** Snapshots as a tree, with what is not known to any of them at its place. */
export function treeText({ snapshots, current }: TreeList): string {
  const rows: { readonly label: string; readonly about: readonly string[] }[] = []
  const add = (parent: string | null, indent: string): void => {
    const children = snapshots.filter((each) => each.parent === parent)
    const here = current.parent === parent
    children.forEach(({ name, time, running, size }, index) => {
      const last = index === children.length - 1 && !here
      rows.push({ label: `${indent}${last ? '└─ ' : '├─ '}${plainText(name)}`, about: [timeName(time), running ? 'running' : 'off', shortSize(size)] })
      add(name, `${indent}${last ? '   ' : '│  '}`)
    })
    if (here) rows.push({ label: `${indent}└─ (now)`, about: ['', current.resume ? 'goes on from here' : '', shortSize(current.size)] })
  }
  add(null, '')
  const width = Math.max(...rows.map(({ label }) => label.length))
  const widths = [0, 1].map((column) => Math.max(...rows.map(({ about }) => (about[column] ?? '').length)))
  return rows.map(({ label, about: [time = '', state = '', size = ''] }) => `${label.padEnd(width)}  ${time.padEnd(widths[0] ?? 0)}  ${state.padEnd(widths[1] ?? 0)}  ${size}`.trimEnd() + '\n').join('')
}

/** Does something with a tree that nobody else uses. */
async function alone(folder: string, work: (tree: SnapshotTree) => Promise<void>): Promise<void> {
  const tree = await SnapshotTree.open(folder)
  try {
    await work(tree)
  } finally {
    await tree.close()
  }
}

/** A folder; or that of a machine of the hypervisor, which is named. */
async function placeOf(given: string): Promise<{ readonly folder: string; readonly machine: string | null }> {
  if (SnapshotTree.isIn(given) || !NAME.test(given)) return { folder: given, machine: null }
  const client = await connectDaemon().catch((error: unknown) => {
    if (isMachinistError(error) && error.code === 'daemon-off') return null
    throw error
  })
  if (client === null) return { folder: given, machine: null }
  try {
    const report = (await client.machines()).find(({ name }) => name === given)
    if (report === undefined) return { folder: given, machine: null }
    if (report.snapshots !== undefined) return { folder: report.snapshots, machine: given }
    throw machinistError({ code: 'snapshot-none', part: given, remedy: 'Name a folder for them in its file, as "snapshots": "vm", or save it into a file: machinist snapshot save.' }, 'the machine is not kept with snapshots')
  } finally {
    client.close()
  }
}

/**
 * The command `machinist snapshot`.
 *
 * @returns the exit status
 * @throws typed errors
 */
export async function runSnapshot(command: SnapshotCommand): Promise<number> {
  if (command.action === 'save') return (await import('../fleet/run.ts')).runFleet(command)
  const { folder, machine } = await placeOf(command.folder)
  switch (command.action) {
    case 'list': {
      const list = listSnapshots(folder)
      process.stdout.write(command.json ? `${JSON.stringify({ folder, ...list }, null, 2)}\n` : treeText(list))
      return 0
    }
    case 'take': {
      const name = command.name ?? timeName()
      if (!await askForSnapshot(folder, { action: 'take', name })) await alone(folder, (tree) => tree.take(name))
      process.stderr.write(`Took ${plainText(name)}.\n`)
      return 0
    }
    case 'revert':
      await alone(folder, (tree) => tree.revert(command.name))
      process.stderr.write(`The machine goes on from ${plainText(command.name)} with: machinist ${machine === null ? `run --snapshots ${folder}` : `start ${machine}`}\n`)
      return 0
    case 'delete':
      if (!await askForSnapshot(folder, { action: 'delete', name: command.name })) await alone(folder, (tree) => tree.delete(command.name))
      return 0
  }
}
