import type { Backend } from '@machinist/api'
import type { HostLoop, Machine, MachineHost } from '@machinist/machine'
import type { Grant, ResourceController } from '../contract/controller.ts'
import type { MachineSpec } from '../contract/machines.ts'
import type { Usage } from '../contract/resources.ts'
import { Attachments } from './attachments.ts'
import type { DatastoreDisk, DiskSpace } from './disk-space.ts'

interface Entry {
  readonly machine: Machine
  readonly disks: readonly DiskSpace[]
  readonly reservation: number
  most: number
  /** It was paused here, since its disks wait for room. */
  paused: boolean
}

function isDatastoreDisk(backend: Backend<unknown>): backend is DatastoreDisk {
  return 'space' in backend && typeof backend.space === 'object' && backend.space !== null && 'room' in backend.space
}

/**
 * Keeps machines to what they may take of datastores: disks of a datastore ask before they grow. A machine whose writes wait for room is paused, which is the event `'datastore-full'`, and goes on when there is some: its
 * guest has lost nothing, and no time.
 */
export function spaceController(): ResourceController {
  return new SpaceController()
}

class SpaceController implements ResourceController {
  readonly kind = 'space'
  readonly #attachments = new Attachments<DiskSpace>()
  readonly #entries = new Map<string, Entry>()
  #loop: HostLoop | null = null
  #tell: (kind: string, name: string, text: string) => void = () => undefined

  listen(tell: (kind: string, name: string, text: string) => void): void {
    this.#tell = tell
  }

  host(spec: MachineSpec, host: MachineHost): MachineHost {
    this.#loop = host.loop
    return this.#attachments.host(spec.name, host, 'block', (backend) => (isDatastoreDisk(backend) ? { backend, item: backend.space } : null))
  }

  add(name: string, machine: Machine, spec: MachineSpec): void {
    const { reservation = 0, limit } = spec.resources?.space ?? {}
    const disks = this.#attachments.claim(name)
    // JSON has null for no limit.
    const entry: Entry = { machine, disks, reservation, most: limit ?? Infinity, paused: false }
    this.#entries.set(name, entry)
    for (const disk of disks) {
      disk.room = () => Math.max(0, entry.most - disks.reduce((sum, { taken }) => sum + taken, 0))
      disk.onWaiting = () => { this.#loop?.soon(() => { this.#look(name, entry) }) }
    }
    this.#look(name, entry)
  }

  holds(name: string): boolean {
    return this.#entries.get(name)?.paused ?? false
  }

  remove(name: string): void {
    const entry = this.#entries.get(name)
    for (const disk of entry?.disks ?? []) {
      disk.room = null
      disk.onWaiting = null
    }
    this.#entries.delete(name)
  }

  /** What it takes, it keeps; and what it was promised is kept for it. */
  usage(name: string): Usage {
    const entry = this.#entries.get(name)
    const used = (entry?.disks ?? []).reduce((sum, disk) => sum + disk.used, 0)
    return { demand: Math.max(used, entry?.reservation ?? 0), used }
  }

  grant(name: string, { limit, ceiling = Infinity }: Grant): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    const before = entry.most
    entry.most = Math.min(limit as number | null ?? Infinity, ceiling)
    if (entry.most > before) for (const disk of entry.disks) if (disk.waiting) disk.retry()
  }

  #look(name: string, entry: Entry): void {
    if (this.#entries.get(name) !== entry) return
    const waits = entry.disks.some(({ waiting }) => waiting)
    const { machine } = entry
    if (waits && !entry.paused && machine.state === 'running') {
      entry.paused = true
      machine.pause()
      this.#tell('datastore-full', name, 'it was paused: there is no room for what it writes')
    } else if (!waits && entry.paused) {
      entry.paused = false
      // Somebody may have switched it off meanwhile.
      if (machine.state !== 'paused') return
      machine.resume()
      this.#tell('resumed', name, 'there is room for what it writes')
    }
  }
}
