/** Memory that goes back to Linux: what the process holds falls. */
import { readFileSync } from 'node:fs'
import { Arena, GuestMemory } from '@machinist/memory'
import { expect, it } from 'vitest'
import { nodeHost } from '../node-host.ts'

const MIB = 2 ** 20
const BASE = 0x8000_0000
/** Mebibytes that the process has in memory. */
const resident = (): number => Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) / 1024

it.runIf(process.platform === 'linux')('frames that go back to the host are gone from the memory of the process, and are zeros when they are taken again', () => {
  const maximum = 2 ** 30
  const arena = new Arena(nodeHost().linearMemory(maximum), maximum)
  const memory = new GuestMemory(arena)
  memory.addRam('ram', BASE, 512 * MIB)
  const piece = new Uint8Array(MIB).fill(0xa5)
  const start = resident()
  for (let at = 0; at < 256 * MIB; at += MIB) memory.write(BASE + at, piece)
  const full = resident()
  expect(full - start).toBeGreaterThan(200)
  // A balloon gives pages back one by one, in any order.
  for (let at = 0; at < 200 * MIB; at += 4 * MIB) for (let page = 0; page < 4 * MIB; page += 8192) memory.release(BASE + at + page, 4096)
  for (let at = 0; at < 200 * MIB; at += MIB) memory.release(BASE + at, MIB)
  const left = resident()
  process.stderr.write(`${start.toFixed(0)} MiB, filled ${full.toFixed(0)}, released ${left.toFixed(0)}\n`)
  expect(full - left).toBeGreaterThan(140)
  // They serve again.
  const into = new Uint8Array(MIB)
  for (let at = 0; at < 200 * MIB; at += MIB) {
    memory.write(BASE + at + 5, Uint8Array.of(7))
    memory.read(BASE + at, into)
    expect([into[4], into[5], into[6]]).toEqual([0, 7, 0])
    expect(into.every((byte, index) => byte === (index === 5 ? 7 : 0))).toBe(true)
  }
  memory.read(BASE + 255 * MIB, into)
  expect(into.every((byte) => byte === 0xa5)).toBe(true)
  memory.dispose()
  arena.dispose()
})
