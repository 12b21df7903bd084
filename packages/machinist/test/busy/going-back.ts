/** Recordings of machines with every device at work: at nearly any moment a checkpoint can be taken, and from it the run is the same again. */
import { type Checkpoint, createMachine, type Machine } from '@machinist/machine'
import { Random } from '@machinist/testkit'
import { busyHost, busyMachine, type Surroundings } from './busy-machine.ts'
import { turns } from './going-on.ts'

const MOST = 8

/** What was met on the way. */
export interface Checkpoints {
  /** Moments at which one was wanted, and at which it could be taken. */
  wanted: number
  taken: number
  /** Those that were gone back to while files of a shared folder were open, and while there were connections. */
  files: number
  connections: number
}

/** Replays to the end, where all must have been as it was. */
async function toEnd(machine: Machine, what: string, each: () => void = () => {}): Promise<void> {
  let failure: Error | null = null
  machine.on('error', ({ error }) => { failure = error })
  machine.start({ drive: 'caller' })
  while (machine.state === 'running') {
    machine.runSlice(0)
    if (machine.state === 'running') each()
    await new Promise((resolve) => { setImmediate(resolve) })
  }
  const { replay } = machine
  if (failure !== null || replay?.whole !== true || replay.difference !== null) throw new Error(`${what}: ${String(replay?.difference ?? failure)}`)
}

/** @throws an error that names the seed, and what differs after which checkpoint */
export async function goesBack(seed: number, around: Surroundings, length: number, met: Checkpoints): Promise<void> {
  const busy = busyMachine(seed, around)
  const random = new Random(seed, 9)
  const parts: Uint8Array[] = []
  const { world, machine: unused } = busy.make()
  unused.dispose()
  const backends = new Map(Object.entries(world).map(([id, backend]) => [id, backend.fork()]))
  const recorded = createMachine(busy.blueprint, busyHost, { backends, record: { sink: { write: (bytes) => { parts.push(bytes) }, end() {} }, checkEvery: 2000, checkMemoryEvery: 50_000 } })
  recorded.start({ drive: 'caller' })
  await turns({ machine: recorded, world }, length)
  recorded.stopRecording()
  recorded.dispose()
  const first = createMachine({ ...busy.blueprint, backends: new Map() }, busyHost, { replay: { source: { part: (index) => parts[index] ?? null } } })
  const kept: Checkpoint[] = []
  await toEnd(first, `seed ${seed}`, () => {
    if (!random.chance(0.05)) return
    met.wanted++
    const checkpoint = first.checkpoint()
    if (checkpoint === null) return
    met.taken++
    kept.push(checkpoint)
    // Some of all.
    if (kept.length > MOST) for (const each of kept.splice(random.below(kept.length), 1)) each.dispose()
  })
  for (const checkpoint of [...kept].reverse()) {
    const machine = checkpoint.restore()
    const { share, vsock } = machine.saveDevices().devices as Readonly<Record<string, { readonly state: { readonly core: { readonly device: { readonly fids?: readonly unknown[]; readonly connected?: boolean } } } }>>
    if ((share?.state.core.device.fids?.length ?? 0) > 0) met.files++
    if (vsock?.state.core.device.connected === true) met.connections++
    // One that goes on from a checkpoint takes others.
    const further: Checkpoint[] = []
    await toEnd(machine, `seed ${seed}, from ${checkpoint.retired} instructions`, () => {
      const next = further.length === 0 && random.chance(0.05) ? machine.checkpoint() : null
      if (next !== null) further.push(next)
    })
    machine.dispose()
    for (const next of further) {
      const last = next.restore()
      await toEnd(last, `seed ${seed}, from ${checkpoint.retired} and then ${next.retired} instructions`)
      last.dispose()
      next.dispose()
    }
  }
  for (const checkpoint of kept) checkpoint.dispose()
  const { arena } = first.memory
  first.dispose()
  if (arena.members === 0 && arena.frames > 0) throw new Error(`seed ${seed}: ${arena.frames} frames are left`)
}
