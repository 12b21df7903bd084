import { isMachinistError } from '@machinist/api'
import { snapshotCodec } from '@machinist/host-node'
import { instantiateStored, type Machine } from '@machinist/machine'
import { openSnapshot } from '@machinist/snapshot'
import { Random } from '@machinist/testkit'
import { type Busy, busyHost, busyMachine, type BusyMachine, type World } from './busy-machine.ts'
import { damaged } from './damage.ts'
import { forked, saved, turn, turns } from './going-on.ts'
import { held, occupied } from '../held.ts'

/** Bytes that a state may make the process hold beyond what it held. */
const MOST_BYTES = 512 << 20

/** How tampered states fared. */
export interface Fared {
  refused: number
  believed: number
}

/** Has a machine that took a tampered state go on: nothing in it may fail. */
async function survives(busy: BusyMachine, count: number, what: () => string): Promise<void> {
  let failure: unknown = null
  const stop = busy.machine.on('error', ({ part, error }) => { failure = `${part} failed: ${error.stack ?? String(error)}` })
  try {
    for (let n = 0; n < count && busy.machine.state === 'running'; n++) await turn(busy)
  } catch (error) {
    failure ??= error instanceof Error ? error.stack : error
  }
  stop()
  if (failure !== null) throw new Error(`${what()}: ${String(failure)}`)
}

/** Refuses anything but a typed error about one of `parts`. */
function refusal(error: unknown, parts: readonly string[], what: () => string): void {
  if (!isMachinistError(error)) throw new Error(`${what()}: ${error instanceof Error ? error.stack ?? error.message : String(error)}`)
  if (!parts.some((part) => error.part.startsWith(part))) throw new Error(`${what()}: the error names ${error.part}: ${error.message}`)
}

function weighed(what: () => string): () => void {
  const before = occupied()
  return () => {
    // What nobody holds any more may still be there.
    if (occupied() - before < MOST_BYTES) return
    const more = held() - before
    if (more > MOST_BYTES) throw new Error(`${what()}: it made the process hold ${more} bytes more`)
  }
}

/** Tampers with the state of each device of a busy machine in turn, `times` in all, gives it back, and has drivers go on with what was believed. */
export async function tamperWithDevices(seed: number, times: number): Promise<Fared> {
  const fared: Fared = { refused: 0, believed: 0 }
  const busy = busyMachine(seed, 'sockets')
  const random = new Random(seed, 8)
  let good = busy.make()
  await turns(good, 300 + random.below(600))
  for (let n = 0; n < times; n++) {
    const all = good.machine.saveDevices()
    const names = Object.keys(all.devices).filter((name) => name !== 'operator')
    const name = names[n % names.length] ?? ''
    const { state, what } = damaged(all.devices[name]?.state, random)
    const which = (): string => `seed ${seed}, ${n}, ${name}: ${what}`
    const lines = random.chance(0.1) ? Object.fromEntries(Object.entries(all.lines).map(([line, level]) => [line, random.chance(0.1) ? !level : level])) : all.lines
    const victim = await forked(good)
    const weigh = weighed(which)
    try {
      victim.machine.restoreDevices({ ...all, lines, devices: { ...all.devices, [name]: { ...all.devices[name], state } } })
      fared.believed++
      await survives(victim, random.pick([2, 10, 60]), which)
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('seed')) throw error
      // A PCI host names the function.
      refusal(error, name === 'pci' ? names : [name], which)
      fared.refused++
    }
    weigh()
    victim.machine.dispose()
    // From other moments, too.
    await turns(good, 3)
    if (good.machine.state !== 'running') good = busy.make()
  }
  good.machine.dispose()
  return fared
}

/** The same with all that is saved of a machine besides its memory. */
export async function tamperWithMachine(seed: number, times: number): Promise<Fared> {
  const fared: Fared = { refused: 0, believed: 0 }
  const busy = busyMachine(seed, 'prompt')
  const random = new Random(seed, 9)
  const good = busy.make()
  await turns(good, 200 + random.below(600))
  const file = await saved(good)
  for (let n = 0; n < times; n++) {
    let what = ''
    const which = (): string => `seed ${seed}, ${n}: ${what}`
    const weigh = weighed(which)
    let victim: BusyMachine | null = null
    try {
      victim = opened(busy, file, good.world, (state) => {
        const { devices, ...rest } = state as { devices: unknown }
        // Devices have their turn elsewhere.
        const found = damaged(random.chance(0.9) ? rest : state, random)
        what = found.what
        return typeof found.state === 'object' && found.state !== null && !('devices' in found.state) ? { devices, ...found.state } : found.state
      })
      fared.believed++
      await survives(victim, random.pick([2, 10]), which)
    } catch (error) {
      if (error instanceof Error && error.message.startsWith('seed')) throw error
      refusal(error, [''], which)
      fared.refused++
    }
    weigh()
    victim?.machine.dispose()
  }
  good.machine.dispose()
  return fared
}

function opened(busy: Busy, file: Uint8Array, world: World, tamper: (state: unknown) => unknown): BusyMachine {
  const stored = openSnapshot({ name: 'busy', size: file.length, read: (offset, length) => file.subarray(offset, offset + length) }, snapshotCodec)
  const own: World = Object.fromEntries(Object.entries(world).map(([id, backend]) => [id, backend.fork()]))
  let machine: Machine
  try {
    machine = instantiateStored({ ...stored, state: tamper(stored.state), image: (name) => stored.image(name) }, busy.blueprint.catalogue, busyHost, { exact: true, backends: own })
  } finally {
    stored.close()
  }
  machine.start({ drive: 'caller' })
  return { machine, world: own }
}
