import { type BackendClock, type BackendKind, type Deliver, machinistError, type Timer } from '@machinist/api'
import { RecordedObjects } from './recorded-objects.ts'
import { RecordedOrder } from './recorded-order.ts'
import { shapes } from './shapes.ts'
import { type Connect, entry, hostAct, stopKind, type Tape, type Taped } from './tape.ts'

/** Takes the parts of a log, in order. */
export interface RecordSink {
  /** @param bytes - end between two entries: a log that is cut behind any of them can be replayed so far */
  write(bytes: Uint8Array): void
  /** There is no more. */
  end(): void
}

/** How a run is recorded. */
export interface RecordOptions {
  /** Where the log goes. */
  readonly sink: RecordSink
  /** Instructions between checksums of all but memory; 100 million unless given. */
  readonly checkEvery?: number
  /** Instructions between checksums of memory, too; 2 thousand million unless given. */
  readonly checkMemoryEvery?: number
  /**
   * True: while all harts wait, virtual time passes as the host's does. Otherwise it jumps to when the first of them wants to go on, and whoever is outside has
   * hardly any time to say something.
   */
  readonly paced?: boolean
}

const CHECK_EVERY = 100_000_000
const CHECK_MEMORY_EVERY = 2_000_000_000
/** Bytes that are gathered. */
const GATHERED = 65536

/** Writes down all that comes into a machine from outside. */
export class Recorder implements Tape {
  readonly replaying = false
  readonly paced: boolean
  readonly #sink: RecordSink
  readonly #checkEvery: number
  readonly #checkMemoryEvery: number
  readonly #order = new RecordedOrder()
  readonly #objects = new RecordedObjects(this.#order)
  /** By the host, and that is in the log. */
  #switchedOff = false
  #timers = 0
  #parts = 0
  #nextCheck = 0
  #nextMemoryCheck = 0
  /** Since when all harts wait, and until when. */
  #idle: { readonly host: number; readonly from: number; readonly until: number } | null = null

  constructor({ sink, checkEvery = CHECK_EVERY, checkMemoryEvery = CHECK_MEMORY_EVERY, paced = false }: RecordOptions) {
    this.#sink = sink
    this.#checkEvery = checkEvery
    this.#checkMemoryEvery = checkMemoryEvery
    this.paced = paced
  }

  /** Whether it is not over yet. */
  get recording(): boolean {
    return !this.#order.over
  }

  begin(machine: Taped): void {
    this.#order.begin(machine)
  }

  port(part: string, kind: BackendKind, connect: Connect): unknown {
    if (!Object.hasOwn(shapes, kind)) {
      throw machinistError({ code: 'record-backend', part, value: kind, remedy: 'Leave it out, or run the machine without recording it.' }, 'what a backend of this kind does cannot be recorded')
    }
    const log = this.#order.note(entry.attach)
    log.text(part)
    log.text(kind)
    const number = this.#parts++
    const real = this.#order.within(() => connect(this.#deliver(part, number), this.#clock(part, number)))
    const { logged, given } = this.#objects.object(kind, real, part)
    log.u8(entry.answer)
    log.value(logged)
    return given
  }

  #deliver(part: string, number: number): Deliver {
    const order = this.#order
    return (callback) => {
      order.outside(() => {
        if (!order.over) order.note(entry.push).count(number)
        order.machine.push(part, this.#delivery(number, callback))
      })
    }
  }

  #delivery(number: number, callback: () => void): () => void {
    const order = this.#order
    return () => {
      if (order.over) return callback()
      const log = order.note(entry.begin)
      log.count(number)
      let thrown = 1
      try {
        order.within(callback)
        thrown = 0
      } finally {
        log.u8(entry.end)
        log.u8(thrown)
      }
    }
  }

  #clock(part: string, number: number): BackendClock {
    const order = this.#order
    const { machine } = order
    return {
      now: () => machine.now,
      idle: () => machine.idle,
      timer: (expired) => {
        const timer: { id: number; real: Timer | null } = { id: -1, real: null }
        order.outside(() => {
          if (!order.over) order.note(entry.timer).count(number)
          timer.id = this.#timers++
          timer.real = machine.timer(`timer:${part}`, this.#delivery(number, expired))
        })
        const arm = (at: number): void => {
          order.outside(() => {
            if (!order.over) {
              const log = order.note(entry.arm)
              log.count(timer.id)
              log.f64(at)
            }
            timer.real?.arm(at)
          })
        }
        return { arm, cancel: () => { arm(Infinity) } }
      },
    }
  }

  top(): boolean {
    if (this.#order.over) return true
    const { machine } = this.#order
    this.#passTime()
    this.#order.catchUp()
    if (this.#order.drain.busy) return false
    const { retired } = machine.moment
    if (retired >= this.#nextCheck) {
      if (this.#nextCheck > 0) this.#check(retired >= this.#nextMemoryCheck)
      this.#nextCheck = retired + this.#checkEvery
      if (this.#nextMemoryCheck <= retired) this.#nextMemoryCheck = retired + this.#checkMemoryEvery
      this.#flush()
    } else if (this.#order.log.length > GATHERED) this.#flush()
    return true
  }

  /** Writes down how much time has passed while all harts waited. */
  #passTime(): void {
    const idle = this.#idle
    this.#idle = null
    if (idle === null) return
    const { machine } = this.#order
    const to = Math.min(idle.until, Math.floor(idle.from + machine.hostNow - idle.host))
    if (!(to > machine.now)) return
    this.#order.note(entry.time).f64(to)
    machine.jump(to)
  }

  idle(until: number): boolean {
    if (this.paced && !this.#order.over) this.#idle ??= { host: this.#order.machine.hostNow, from: this.#order.machine.now, until }
    return false
  }

  #check(memory: boolean): void {
    const { machine } = this.#order
    const log = this.#order.note(entry.hash)
    log.u8(memory ? 1 : 0)
    for (const word of [...this.#objects.said.value, ...machine.stateSum(), ...memory ? machine.memorySum() : []]) log.u32(word)
  }

  #flush(): void {
    // Whoever reads no further than this knows when that is.
    this.#order.place()
    if (this.#order.log.length === 0) return
    try {
      this.#sink.write(this.#order.log.take())
    } catch (error) {
      this.#order.end()
      this.#order.machine.fail('recording', error instanceof Error ? error : new Error(String(error)))
    }
  }

  #host(act: number, status?: number): void {
    if (this.#order.over) return
    const log = this.#order.note(entry.host)
    log.u8(act)
    if (status !== undefined) log.value(status)
  }

  started(): void {
    this.#host(hostAct.start)
  }

  reset(): void {
    this.#order.outside(() => {
      this.#host(hostAct.reset)
      this.#order.machine.reset()
    })
  }

  powerOff(status: number): void {
    // In the middle of a turn it ends that, and the log with it.
    if (this.#order.midTurn) return
    this.#host(hostAct.off, status)
    this.#switchedOff = true
  }

  hold(): void {
    this.#order.outside(() => { this.#host(hostAct.hold) })
  }

  release(): void {
    this.#order.outside(() => { this.#host(hostAct.release) })
  }

  failed(error: Error): Error {
    return error
  }

  off(status: number): void {
    this.#end(stopKind.off, status)
  }

  /** Ends the recording; the machine goes on. */
  stop(): void {
    this.#order.outside(() => { this.#end(stopKind.stopped, 0) })
  }

  close(): void {
    this.#end(stopKind.stopped, 0)
  }

  #end(kind: number, status: number): void {
    if (this.#order.over) return
    // In the middle of a turn that a debugger stopped there is no end: the log is cut off before it.
    if (this.#switchedOff || !this.#order.machine.slicing) {
      this.#check(true)
      const { log } = this.#order
      log.u8(entry.stop)
      log.u8(kind)
      log.value(status)
      this.#flush()
    }
    this.#order.end()
    this.#sink.end()
  }
}
