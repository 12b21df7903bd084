import type { CountedVcpu } from '@machinist/api'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { virt } from '@machinist/boards'
import { nodeHost } from '@machinist/host-node'
import { createMachine, type Machine, type MachineHost } from '@machinist/machine'
import { expect, test } from 'vitest'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

type LinearMemory = ReturnType<MachineHost['linearMemory']>

/** A host that remembers the linear memory without holding it. */
function hostOf(memories: WeakRef<LinearMemory>[]): MachineHost {
  const host = nodeHost()
  return {
    ...host,
    linearMemory(maximum) {
      const memory = host.linearMemory(maximum)
      memories.push(new WeakRef(memory))
      return memory
    },
  }
}

/** A guest that writes to each page of 64 MiB, again and again. */
const touchAll = new Uint8Array(new Uint32Array([
  0x0000_0297, // auipc t0, 0
  0x0400_0337, // lui t1, 0x4000
  0x0062_8333, // add t1, t0, t1
  0x0000_13b7, // lui t2, 1
  0x0002_8513, // mv a0, t0
  0x0075_0533, // add a0, a0, t2
  0x00a5_0023, // sb a0, 0(a0)
  0xfe65_4ce3, // blt a0, t1, -8
  0xff1f_f06f, // j -16
]).buffer)

function run(memories: WeakRef<LinearMemory>[], hold: unknown[]): Machine {
  const blueprint = virt({ console: 'null', memory: 128 * 2 ** 20, harts: 2 })
  const definition = { ...blueprint.definition, boot: { protocol: 'raw' as const, images: [{ name: 'code', at: 0x8000_0000, bytes: touchAll }], entry: 0x8000_0000 } }
  const machine = createMachine({ ...blueprint, definition }, hostOf(memories))
  machine.start({ drive: 'caller' })
  while (machine.stats.touchedMemory < 16 * 2 ** 20) machine.runSlice(1_000_000)
  hold.push(machine, machine.memory, machine.vcpus, machine.resolved)
  return machine
}

test('a machine that was disposed of keeps no memory, though somebody holds it, its RAM and its harts', async () => {
  const memories: WeakRef<LinearMemory>[] = []
  const kept: unknown[] = []
  const machine = run(memories, kept)
  const alive = async (): Promise<number> => {
    // What a WeakRef leads to lives until the end of the job.
    await new Promise((resolve) => { setImmediate(resolve) })
    collect()
    return memories.filter((each) => each.deref() !== undefined).length
  }
  expect(await alive()).toBe(1)
  machine.dispose()
  expect(await alive()).toBe(0)
  expect(kept).toHaveLength(4)
  // What it did is still known, and what can no longer be done says so.
  expect(machine.stats.touchedMemory).toBeGreaterThan(16 * 2 ** 20)
  expect(machine.stats.cpu['codePages']).toBeGreaterThan(0)
  for (const use of [() => (machine.vcpus[0] as CountedVcpu | undefined)?.run(1, true), () => machine.vcpus[1]?.retired, () => machine.memory.arena.u8]) {
    expect(use).toThrow(expect.objectContaining({ code: 'disposed' }))
  }
  expect(machine.memory.read(0x8000_0000, new Uint8Array(4))).toBe(false)
})
