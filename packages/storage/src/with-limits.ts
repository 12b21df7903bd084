import { type Backend, type BlockPort, machinistError } from '@machinist/api'
import { type DiskLimits, limited } from './limited.ts'

const names: readonly (keyof DiskLimits)[] = ['bytesPerSecond', 'operationsPerSecond', 'burstBytes', 'burstOperations', 'queue']

/**
 * A disk with the limits that a definition gives it, if it gives any. Where they are refused the disk is closed.
 *
 * @throws a typed error, `'backend-option'` or `'disk-limit'`
 */
export function withLimits(disk: Backend<BlockPort>, limits: unknown, part: string): Backend<BlockPort> {
  if (limits === undefined) return disk
  try {
    const entries = typeof limits === 'object' && limits !== null && !Array.isArray(limits) ? Object.entries(limits) : null
    const strange = entries === null ? String(limits) : entries.map(([name]) => name).find((name) => !names.some((known) => known === name))
    if (entries === null || strange !== undefined) {
      throw machinistError({ code: 'backend-option', part, value: strange, remedy: `Give an object with ${names.join(', ')}.` }, 'no such limits of a disk')
    }
    // What it says of its room stays to be seen.
    return Object.assign(limited(disk, Object.fromEntries(entries)), 'space' in disk ? { space: disk.space } : {})
  } catch (error) {
    disk.close?.()
    throw error
  }
}
