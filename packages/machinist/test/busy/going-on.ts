/** Ways by which a machine goes on as another, and what must not tell that it did. */
import { createHash } from 'node:crypto'
import { snapshotCodec } from '@machinist/host-node'
import { instantiateHanded, instantiateStored, type Machine } from '@machinist/machine'
import { openSnapshot, writeSnapshot } from '@machinist/snapshot'
import { canonical } from '../digest.ts'
import { Random } from '@machinist/testkit'
import { type Busy, type BusyMachine, busyHost, busyMachine, type Surroundings, type World } from './busy-machine.ts'

const PAGE = 4096
const zeros = new Uint8Array(PAGE)

const digest = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex')

/** What a machine and the world around it are, each part by itself: one that differs can be named. */
export function looks({ machine, world }: BusyMachine): Record<string, string> {
  const found: Record<string, string> = { time: canonical(machine.stats.virtualTime), retired: String(machine.stats.retired) }
  const { devices, lines } = machine.saveDevices()
  for (const [name, { state }] of Object.entries(devices)) found[name] = canonical(state)
  found['lines'] = canonical(lines)
  for (const vcpu of machine.vcpus) found[`hart${vcpu.index}`] = canonical(vcpu.save())
  for (const [id, { state: { bytes, ...state } }] of Object.entries(world)) found[id] = `${canonical(state)} ${digest(bytes)}`
  const { memory } = machine
  const page = new Uint8Array(PAGE)
  for (const region of memory.regions) {
    const hash = createHash('sha1')
    for (let at = 0; at < region.size / PAGE; at++) {
      if (memory.placeOf(region, at) === 0) continue
      memory.read(region.base + at * PAGE, page)
      if (Buffer.compare(page, zeros) !== 0) hash.update(`${at} `).update(page)
    }
    found[region.name] = hash.digest('hex')
  }
  return found
}

/** The names of what differs, with the places at which it does. */
export function differences(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): string[] {
  return Object.keys(one).filter((name) => one[name] !== other[name]).map((name) => {
    const [a = '', b = ''] = [one[name], other[name]]
    let at = 0
    while (a[at] === b[at]) at++
    return `${name}: …${a.slice(Math.max(0, at - 100), at + 60)}… and …${b.slice(Math.max(0, at - 100), at + 60)}…`
  })
}

/** A turn, and whatever promises were kept by then. */
export async function turn({ machine }: BusyMachine): Promise<void> {
  const { kind } = machine.runSlice(0)
  if (kind === 'stopped') throw new Error(`the machine is ${machine.state}`)
  await new Promise((resolve) => { setImmediate(resolve) })
}

export async function turns(busy: BusyMachine, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await turn(busy)
}

const copyOf = (world: World): World => Object.fromEntries(Object.entries(world).map(([id, backend]) => [id, backend.fork()]))

/** What comes of a machine that is to stand still: the caller goes on driving it until it does. */
async function standing<T>({ machine }: BusyMachine, work: Promise<T>): Promise<T> {
  let done = false
  const end = work.finally(() => { done = true })
  for (let n = 0; !done; n++) {
    if (n > 10_000) throw new Error('it does not stand still')
    // Promises first: what is still already stays as it is.
    await new Promise((resolve) => { setImmediate(resolve) })
    if (!done) machine.runSlice(0)
  }
  return end
}

/** A file with all of it. */
export async function saved(busy: BusyMachine): Promise<Uint8Array> {
  const snapshot = await standing(busy, busy.machine.save())
  let file = new Uint8Array(1 << 16)
  let length = 0
  await writeSnapshot(snapshot, {
    write(offset, bytes) {
      length = Math.max(length, offset + bytes.length)
      if (length > file.length) {
        const longer = new Uint8Array(2 * length)
        longer.set(file)
        file = longer
      }
      file.set(bytes, offset)
      return Promise.resolve()
    },
  }, snapshotCodec)
  snapshot.dispose()
  return file.subarray(0, length)
}

/** Goes on from a file, in an arena of its own, with the like of `world`. */
export function restored(busy: Busy, file: Uint8Array, world: World): BusyMachine {
  const stored = openSnapshot({ name: 'busy', size: file.length, read: (offset, length) => file.subarray(offset, offset + length) }, snapshotCodec)
  const own = copyOf(world)
  const machine = instantiateStored(stored, busy.blueprint.catalogue, busyHost, { exact: true, backends: own })
  stored.close()
  machine.start({ drive: 'caller' })
  return { machine, world: own }
}

/** A copy, in the same arena or in its own. */
export async function forked(busy: BusyMachine, arena: 'shared' | 'own' = 'shared'): Promise<BusyMachine> {
  const { machine, world } = busy
  const own: Record<string, World[string]> = {}
  // As they are when all is still: not now.
  const backends = Object.defineProperties({}, Object.fromEntries(Object.entries(world).map(([id, backend]) => [id, { enumerable: true, get: () => own[id] ??= backend.fork() }])))
  const copy = await standing(busy, machine.fork({ exact: true, backends, arena, start: false }))
  copy.start({ drive: 'caller' })
  return { machine: copy, world: own }
}

/** The same machine, or a copy of it, where it would go on in another thread: what that gets is what this makes it of. */
export async function handedOver(busy: Busy, from: BusyMachine, copy: boolean): Promise<BusyMachine> {
  let own: World = {}
  const machine = await standing(from, from.machine.handOver((handed): Promise<Machine> => {
    own = copyOf(from.world)
    return Promise.resolve(instantiateHanded(structuredClone(handed), busy.blueprint.catalogue, busyHost, { backends: own }))
  }, copy ? { copy: { exact: true } } : {}))
  machine.start({ drive: 'caller' })
  return { machine, world: own }
}

/** What a run met. */
export interface Met {
  saves: number
  forks: number
  moves: number
}

/**
 * Has a machine go on as another, time and again, and compares it with one that was left alone; where being saved changes what comes, with one that was
 * saved at the same moment.
 *
 * @param times - so often
 * @param after - done to the one that goes on as another, after each of its turns
 * @throws an error that names the seed and what differs
 */
export async function goesOn(seed: number, around: Surroundings, times: number, met: Met, after?: (busy: BusyMachine) => void): Promise<void> {
  const busy = busyMachine(seed, around)
  const random = new Random(seed, 7)
  const hands = new Random(seed, 8)
  let one = busy.make()
  // Until the drivers have set up more and more devices.
  await turns(one, random.below(600))
  // What they share is not taken.
  const apart = after === undefined ? 0.3 : 0.8
  let other = await forked(one, after === undefined ? 'shared' : 'own')
  if (around === 'sockets') {
    const parent = one
    one = await forked(parent)
    parent.machine.dispose()
  }
  for (let n = 0; n < times; n++) {
    const count = random.between(1, random.pick([3, 30, 60]))
    await turns(one, count)
    for (let turns = 0; turns < count; turns++) {
      await turn(other)
      after?.(other)
    }
    const found = differences(looks(one), looks(other))
    if (found.length > 0) throw new Error(`seed ${seed}, after ${n} times, ${count} turns later:\n${found.join('\n')}`)
    const stored = random.chance(0.5)
    const arena = random.chance(apart) ? 'own' : 'shared'
    const handed = hands.chance(0.2)
    const file = stored && !handed ? await saved(other) : null
    // Where being saved changes what comes, it is a copy that is compared with the machine.
    const next = async (): Promise<BusyMachine> => handed ? handedOver(busy, other, around !== 'prompt') : file === null ? forked(other, arena) : restored(busy, file, other.world)
    if (handed) met.moves++
    else if (file === null) met.forks++
    else met.saves++
    const copy = await next()
    if (around === 'prompt') other.machine.dispose()
    else {
      one.machine.dispose()
      one = other
      if (around === 'sockets') {
        one = await next()
        other.machine.dispose()
      }
    }
    other = copy
  }
  for (const { machine } of [one, other]) {
    const { arena } = machine.memory
    machine.dispose()
    // Of what came and went nothing is left.
    if (arena.members === 0 && arena.frames > 0) throw new Error(`seed ${seed}: ${arena.frames} frames are left`)
  }
}
