import type { HostLoop, Machine } from '@machinist/machine'
import { writeSnapshot } from '@machinist/snapshot'
import { plainCodec, snapshotCodec } from './codec.ts'

/**
 * Saves a machine, which goes on meanwhile, into a blob. Browsers keep large ones on the disk.
 *
 * @param compressed - smaller, and later
 * @throws as `Machine.save` and `writeSnapshot` of `@machinist/snapshot`
 */
export async function saveBlob(machine: Machine, loop: HostLoop, about: unknown, compressed: boolean): Promise<Blob> {
  const snapshot = await machine.save()
  try {
    const parts: Blob[] = []
    let header: Blob | null = null
    await writeSnapshot(snapshot, {
      write(offset, bytes) {
        // What is shared, or is written to again, is copied.
        const part = new Blob([new Uint8Array(bytes)])
        if (offset === 0) header = part
        else parts.push(part)
        return Promise.resolve()
      },
      breathe: () => new Promise((resolve) => { loop.soon(resolve) }),
    }, compressed ? snapshotCodec : plainCodec, { about })
    return new Blob([...(header === null ? [] : [header]), ...parts], { type: 'application/octet-stream' })
  } finally {
    snapshot.dispose()
  }
}
