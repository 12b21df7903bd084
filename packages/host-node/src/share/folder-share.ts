import { lstatSync, realpathSync, statfs, statSync } from 'node:fs'
import { promisify } from 'node:util'
import { type Backend, badBackendState, type BackendState, backendStateFields, type FilesPort, type FoundNode, machinistError, posixError, type TreeStatistics } from '@machinist/api'
import { files, type SharedTree } from '@machinist/storage'
import { fileError } from '../system/errors.ts'
import { Attributer, type Owners } from './attributes.ts'
import { FolderHandles } from './folder-handles.ts'
import { FolderNode } from './folder-node.ts'
import { pathOf } from './host-handle.ts'
import { OpenHandles } from './open-handles.ts'
import { Place } from './place.ts'

const statfsLater = promisify(statfs)
const longestName = 255
const defaultOpenFiles = 4096
/** Most file systems below a folder that have ids of their own. */
const mostDevices = 65536

/** How a folder is shared. */
export interface FolderOptions {
  /** How errors name the folder; its path unless given. */
  readonly name?: string
  /** The guest can change nothing. Default: false. */
  readonly readOnly?: boolean
  /**
   * `'squash'`: the guest sees all files as root's, and what it makes belongs to the user who runs the machine; changing
   * owners does nothing. `'host'`: numbers of users and groups are those of the host, and changing them needs the rights
   * for it. Default: `'squash'`.
   */
  readonly owners?: Owners
  /** Most files that the guest may have open. Default: 4096. */
  readonly openFiles?: number
}

/** What the nodes of a shared folder have in common. */
export class FolderShare implements SharedTree {
  readonly readOnly: boolean
  readonly attributer: Attributer
  readonly open: OpenHandles
  readonly handles: FolderHandles
  readonly #root: Place

  constructor(path: string, options: FolderOptions) {
    this.readOnly = options.readOnly ?? false
    this.attributer = new Attributer(options.owners ?? 'squash')
    this.open = new OpenHandles(options.openFiles ?? defaultOpenFiles)
    this.handles = new FolderHandles(this.open)
    const stats = lstatSync(path, { bigint: true })
    this.attributer.of(stats)
    this.#root = new Place(null, Buffer.from(path), stats)
    this.#root.users = 1
  }

  async root(): Promise<FoundNode> {
    const node = new FolderNode(this, this.#root)
    try {
      return { node, attributes: await node.attributes() }
    } catch (error) {
      node.release()
      throw error
    }
  }

  async statistics(): Promise<TreeStatistics> {
    const { bsize, blocks, bfree, bavail, files: count, ffree } =
      await this.handles.use(this.#root, (fd) => statfsLater(pathOf(fd)))
    return { blockSize: bsize, blocks, free: bfree, available: bavail, files: count, filesFree: ffree, nameLength: longestName }
  }

  /** Refuses a change of a read-only folder. */
  writable(): void {
    if (this.readOnly) throw posixError('EROFS')
  }

  /** Forgets a place that nobody refers to, and those above it that were kept for its sake. */
  sweep(place: Place): void {
    for (let at: Place | null = place; at !== null && at.users === 0 && at.children.size === 0; at = at.parent) {
      this.handles.forget(at)
      if (!at.gone) at.detach()
    }
  }

  save(): readonly BackendState[] {
    return [{ kind: 'folder', version: 1, state: { devices: [...this.attributer.devices] } }]
  }

  restore(saved: BackendState, part: string): boolean {
    if (saved.kind !== 'folder') return false
    const { devices } = backendStateFields(saved, 1, part)
    if (!Array.isArray(devices) || devices.length > mostDevices || !devices.every((each) => typeof each === 'bigint')) throw badBackendState(part, 'the saved file systems are none')
    this.attributer.restore(devices)
    return true
  }

  close(): void {
    this.handles.close()
  }
}

/**
 * A folder of the host for a machine to share. The guest sees what is below it and nothing else: each name is looked up by
 * itself in an open folder, links are shown as they are and never followed. Needs Linux, with `/proc`. What a guest has open when its machine is saved is
 * opened again by its path, if it is still the same file there, and is stale (`ESTALE`) otherwise; of a file whose name is gone nothing is left.
 *
 * @throws a typed error `'file-…'`: it is missing, or no folder; `'share-host'`: this system cannot
 */
export function sharedFolder(path: string, options: FolderOptions = {}): Backend<FilesPort> {
  const part = options.name ?? path
  if (process.platform !== 'linux') {
    throw machinistError({ code: 'share-host', part, value: process.platform, remedy: 'Share folders on Linux.' }, 'this system cannot share folders safely')
  }
  try {
    if (!statSync(path).isDirectory()) throw Object.assign(new Error('no directory'), { code: 'ENOTDIR' })
    return files(new FolderShare(realpathSync(path), options))
  } catch (error) {
    throw fileError(error, part, path)
  }
}
