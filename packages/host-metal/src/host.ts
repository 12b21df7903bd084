import { type Backend, type BackendKind, type EntropyPort, machinistError, type WallClockPort } from '@machinist/api'
import type { OtherProcessors } from '@machinist/hypervisor'
import type { BackendDescriptor, MachineHost } from '@machinist/machine'
import { Arena, type ArenaOptions, BLOCK_SIZE, type LinearMemory } from '@machinist/memory'
import { MetalLoop } from './loop.ts'
import type { Native, PhysicalRange } from './native.ts'
import { PhysicalMemory } from './physical-memory.ts'
import { OtherHarts } from './vcpu/other-harts.ts'

/** Most of physical memory that is one linear memory: JavaScript engines have no longer buffers. */
const MOST_WINDOW = 2 ** 31 - BLOCK_SIZE
/** Linear memory is a whole number of these. */
const STEP = 65536

/** What {@link metalHost} may be told. */
export interface MetalHostOptions {
  /** Memory for machines; all that the kernel left unless given. */
  readonly memory?: readonly PhysicalRange[]
  readonly entropy?: EntropyPort
  readonly wallClock?: WallClockPort
  /** As {@link MachineHost.backend}. */
  readonly backend?: (descriptor: BackendDescriptor, kind: BackendKind, part: string) => Backend<unknown> | null
}

/** The host that machines see on bare metal. */
export interface MetalHost extends MachineHost {
  readonly loop: MetalLoop
  /** Harts of the hardware besides that of JavaScript. */
  readonly others: OtherProcessors
  /** Nanoseconds of this hart's time, but for those in which it looked what the hardware, or a hart elsewhere, interrupted a machine for. */
  cpuTime(): number
  readonly maximumMemory: number
  /** Bytes of physical memory in which machines may live. */
  readonly memory: number
  /** The arena with most room. All machines live in few, whoever trusts whom, as none can reach what it is not given: memory that nobody has serves everybody. */
  arena(options?: ArenaOptions): Arena
}

/** Ranges that begin where a block does, are whole steps, and each of them short enough for one buffer. */
function windows(ranges: readonly PhysicalRange[]): PhysicalRange[] {
  return ranges.flatMap(({ base, length }) => {
    const pieces: PhysicalRange[] = []
    const end = Math.floor((base + length) / STEP) * STEP
    for (let at = Math.ceil(base / BLOCK_SIZE) * BLOCK_SIZE; at < end; at += MOST_WINDOW) pieces.push({ base: at, length: Math.min(MOST_WINDOW, end - at) })
    return pieces
  })
}

/**
 * Machines on bare metal.
 *
 * @throws a typed error `'host-memory'` when there is no memory for them
 */
export function metalHost(native: Native, { memory = native.ram(), backend, ...ports }: MetalHostOptions = {}): MetalHost {
  const free = windows(memory).sort((one, other) => other.length - one.length)
  const memoryOfAll = free.reduce((sum, { length }) => sum + length, 0)
  const arenas: Arena[] = []
  const take = (maximum: number): LinearMemory | null => {
    const index = free.findLastIndex(({ length }) => length >= maximum)
    const [range] = index < 0 ? [] : free.splice(index, 1)
    return range === undefined ? null : new PhysicalMemory(native, range.base, range.length)
  }
  const linearMemory = (maximum: number): LinearMemory => {
    const found = take(maximum)
    if (found !== null) return found
    throw machinistError({ code: 'host-memory', part: 'host', value: `${maximum} bytes`, remedy: 'Have machines share an arena.' }, 'the hardware has no such memory left')
  }
  const loop = new MetalLoop(native)
  const others = OtherHarts.of(native)
  loop.onTurn(() => {
    others.poll()
    return false
  })
  let interrupted = 0
  others.interlude = () => {
    const began = loop.now()
    let goesOn = false
    try {
      try {
        goesOn = loop.check()
      } finally {
        const found = loop.now() - began
        others.found += found
        interrupted += found
      }
      return goesOn && (others.attend?.() ?? true)
    } catch (error) {
      // It is no fault of the guest that runs here.
      loop.soon(() => { throw error })
      return false
    }
  }
  return {
    loop,
    others,
    cpuTime: () => loop.now() - interrupted,
    maximumMemory: memoryOfAll,
    linearMemory,
    memory: memoryOfAll,
    spreads: true,
    arena(options = {}) {
      const next = free[0]
      if (next !== undefined) arenas.push(new Arena(linearMemory(next.length), next.length, { ...options, kept: true, blocks: true }))
      const [best] = arenas.toSorted((one, other) => other.room - one.room)
      return best ?? new Arena(linearMemory(STEP), STEP)
    },
    ...ports,
    ...(backend && { backend }),
  }
}
