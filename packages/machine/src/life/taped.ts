import type { Parts } from '../assembly/parts.ts'
import type { RunLoop } from '../running/run-loop.ts'
import { sumOfMemory, sumOfPlain } from '../tape/digest.ts'
import type { Taped } from '../tape/tape.ts'
import { saveMachine } from './saved-machine.ts'
import type { Origin } from './origin.ts'

/** What is there when a tape gets its machine: the rest is being made. */
export type EarlyParts = Pick<Parts, 'gate' | 'time' | 'backendTimers'>

/** What the machine does and says for its tape. */
export interface Tapable extends Pick<Taped, 'running' | 'reset' | 'powerOff' | 'wake' | 'fail' | 'ended'> {
  /** Whether a slice is in progress. */
  readonly slicing: boolean
  /** Null while the machine is being made. */
  readonly whole: { readonly parts: Parts; readonly loop: RunLoop } | null
}

/** A machine as its tape has it. */
export function taped({ host: { loop: hostLoop } }: Origin, { gate, time, backendTimers }: EarlyParts, machine: Tapable): Taped {
  const whole = (): NonNullable<Tapable['whole']> => {
    if (machine.whole === null) throw new Error('a tape of half a machine')
    return machine.whole
  }
  return {
    get moment() { return { passes: machine.whole?.loop.passes ?? 0, delivered: gate.delivered, retired: machine.whole?.loop.retired ?? 0 } },
    get now() { return time.now },
    get idle() { return time.idle },
    get hostNow() { return hostLoop.now() },
    get slicing() { return machine.slicing || machine.whole?.loop.amid === true },
    get running() { return machine.running },
    push: (source, callback) => { gate.push(source, callback) },
    timer: (name, expired) => backendTimers.create(name, expired),
    jump: (to) => { time.jumpTo(to) },
    stateSum() {
      const { parts, loop } = whole()
      return sumOfPlain(saveMachine(parts, loop, () => false))
    },
    memorySum() {
      const { memory } = whole().parts
      return sumOfMemory(memory, memory.regions)
    },
    reset: () => { machine.reset() },
    powerOff: (status) => { machine.powerOff(status) },
    hold() { whole().loop.copying++ },
    release() { whole().loop.copying-- },
    soon: (callback) => { hostLoop.soon(callback) },
    wake: () => { machine.wake() },
    fail: (part, error) => { machine.fail(part, error) },
    ended: () => { machine.ended() },
  }
}
