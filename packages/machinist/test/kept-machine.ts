/** A small machine that is kept in a tree of snapshots. Its guest does nothing; whoever tests it writes to its RAM and its disks in its place. */
import { virt, virtCatalogue } from '@machinist/boards'
import { nodeHost, openSnapshotFile, type SnapshotTree, TreeSession } from '@machinist/host-node'
import { createMachine, instantiateStored, type Machine } from '@machinist/machine'
import type { DiskImage } from '@machinist/storage'

const RAM = 0x8000_0000
const PAGES = RAM + 0x10_0000
const PAGE = 4096
const CLUSTER = 65536
/** `j .` */
const loop = new Uint8Array(new Uint32Array([0x0000_006f]).buffer)

function machineOf({ memory, disks }: TreeSession): Machine {
  if (memory === null) {
    const blueprint = virt({ console: 'null', memory: 16 << 20, disks: disks.map(({ disk }) => disk) })
    return createMachine({ ...blueprint, definition: { ...blueprint.definition, boot: { protocol: 'raw' as const, images: [{ name: 'code', at: RAM, bytes: loop }], entry: RAM } } }, nodeHost())
  }
  const stored = openSnapshotFile(memory)
  try {
    return instantiateStored(stored, virtCatalogue, nodeHost(), { backends: Object.fromEntries(disks.map(({ name, disk }) => [`${name}.disk`, disk])) })
  } finally {
    stored.close()
  }
}

async function byteOf(image: DiskImage, at: number): Promise<number> {
  const bytes = new Uint8Array(512)
  const status = await image.read(at * CLUSTER, [bytes])
  if (status !== 'ok') throw new Error(status)
  return bytes[0] ?? -1
}

/** The machine of a tree, while it runs, or would. */
export class KeptMachine {
  readonly session: TreeSession
  readonly machine: Machine

  private constructor(session: TreeSession, machine: Machine) {
    this.session = session
    this.machine = machine
  }

  /** @param start - false to look at it alone */
  static async of(tree: SnapshotTree, start: boolean = true): Promise<KeptMachine> {
    const session = await TreeSession.open(tree, null)
    const machine = machineOf(session)
    if (start) {
      await session.begin(machine)
      machine.start()
    }
    return new KeptMachine(session, machine)
  }

  /** Writes a number to RAM and to each disk, there stably. */
  async write(at: number, value: number): Promise<void> {
    this.machine.memory.write(PAGES + at * PAGE, Uint8Array.of(value))
    for (const { image } of this.session.disks) {
      for (const status of [await image.write(at * CLUSTER, [new Uint8Array(512).fill(value)]), await image.flush()]) if (status !== 'ok') throw new Error(status)
    }
  }

  /** What was written there: to RAM, and to each disk. */
  async read(at: number): Promise<number[]> {
    const ram = new Uint8Array(1)
    this.machine.memory.read(PAGES + at * PAGE, ram)
    return [...ram, ...await Promise.all(this.session.disks.map(({ image }) => byteOf(image, at)))]
  }

  async end(): Promise<void> {
    this.machine.dispose()
    await this.session.end()
  }
}
