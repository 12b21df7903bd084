import { createHash } from 'node:crypto'
import type { Machine } from '@machinist/machine'

const CHUNK = 2 ** 20

/** Plain data as text: keys in order, numbers of any size, bytes. */
export function canonical(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value === 'object' && value !== null) return `{${Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => `${key}:${canonical(each)}`).join()}}`
  return JSON.stringify(value) ?? 'undefined'
}

/** A digest of all that a guest can tell a machine by: harts, devices, RAM. */
export function machineDigest(machine: Machine): string {
  const hash = createHash('sha256')
  for (const vcpu of machine.vcpus) hash.update(`hart ${canonical(vcpu.save())}\n`)
  hash.update(canonical(machine.saveDevices()))
  const chunk = new Uint8Array(CHUNK)
  for (const { base, size } of machine.memory.regions) {
    for (let at = 0; at < size; at += CHUNK) {
      const part = chunk.subarray(0, Math.min(CHUNK, size - at))
      machine.memory.read(base + at, part)
      hash.update(part)
    }
  }
  return hash.digest('hex')
}

/**
 * Runs a machine of counted time until its harts have retired `instructions`, and to the end of the turn in which they did: the same
 * place in each run, because turns too are counted. The caller does nothing else to it meanwhile.
 */
export function runTo(machine: Machine, instructions: number): void {
  machine.start({ drive: 'caller' })
  while (machine.stats.retired < instructions) {
    // No host time at all: a single turn.
    const { kind } = machine.runSlice(0)
    if (kind !== 'runnable') throw new Error(`the machine is ${kind} after ${machine.stats.retired} instructions`)
  }
}
