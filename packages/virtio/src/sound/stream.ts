import { sampleSize } from '@machinist/api'
import type { AudioFormat, AudioPort, Clock, Timer } from '@machinist/api'
import { plainData } from '@machinist/registers'
import type { Chain } from '../queue/queue.ts'
import { mostChannels, rates, sampleFormats, status, transferSize, transferStatusSize } from './layout.ts'

/** Life of a stream (5.14.6.6.1). Released is the same as having parameters. */
export type Phase = 'idle' | 'set' | 'prepared' | 'running' | 'stopped'
const phases: readonly Phase[] = ['idle', 'set', 'prepared', 'running', 'stopped']

/** Saved state of one stream. */
export interface StreamState {
  readonly phase: Phase
  readonly bufferBytes: number
  readonly channels: number
  /** Numbers of the specification. */
  readonly format: number
  readonly rate: number
  /** Nanoseconds until the message that is being played or recorded is done; −1 when there is none. */
  readonly left: number
  /** Nanoseconds since that message was done, when nobody has looked yet: the next one follows without a gap. 0 when absent. */
  readonly late?: number
  /** Parts of a nanosecond that earlier messages left over, in units of 1 / rate. */
  readonly carry: number
}

/** Longest buffer of a stream, and so longest message, in bytes. */
export const longestBuffer: number = 1 << 20
/** Bytes of sound that are moved in one turn, when much has become due at once. The last message may exceed it. */
const turn = 4 << 20
const nanosecond = 1e9
const nothing: StreamState = { phase: 'idle', bufferBytes: 0, channels: 0, format: 0, rate: 0, left: -1, carry: 0 }

/** What a stream asks of its device. */
export interface StreamHost {
  readonly port: AudioPort
  readonly clock: Clock
  /** For the sound of one message at a time: {@link longestBuffer} bytes. */
  readonly scratch: Uint8Array
  /** Gives a message back. */
  finish(chain: Chain, written: number): void
}

/** One stream of samples. The machine's clock says how long each message lasts, and the next one follows without a gap. */
export class SoundStream {
  readonly index: number
  readonly output: boolean
  /** Name of the timer. */
  readonly timerName: string
  readonly #host: StreamHost
  readonly #timer: Timer
  #state: StreamState = nothing
  /** Messages, oldest first. The first is being played or recorded while `#due` is a time. */
  #waiting: Chain[] = []
  /** When the first message is done; `left` counts while the stream stands still. */
  #due: number | null = null

  constructor(index: number, output: boolean, host: StreamHost) {
    this.index = index
    this.output = output
    this.timerName = `stream${String(index)}`
    this.#host = host
    this.#timer = host.clock.timer(this.timerName)
  }

  /** Chooses parameters. @returns a status of the specification */
  setParams(bufferBytes: number, periodBytes: number, features: number, channels: number, format: number, rate: number): number {
    if (!this.#is('idle', 'set', 'prepared')) return status.badMessage
    const state: StreamState = { ...nothing, phase: 'set', bufferBytes, channels, format, rate }
    const frame = frameSize(state)
    if (frame === 0 || features !== 0) return status.notSupported
    if (periodBytes < frame || periodBytes > bufferBytes || bufferBytes > longestBuffer) return status.badMessage
    this.#finishAll()
    this.#state = state
    return status.ok
  }

  prepare(): number {
    return this.#go('prepared', 'set', 'prepared')
  }

  start(): number {
    const before = this.#state.left
    const done = this.#go('running', 'prepared', 'stopped')
    if (done !== status.ok) return done
    this.#host.port.start(this.index, this.#format())
    this.#due = before < 0 ? null : this.#host.clock.now() + before
    this.#pump()
    return done
  }

  stop(): number {
    const done = this.#go('stopped', 'running')
    if (done !== status.ok) return done
    this.#hold()
    this.#host.port.stop(this.index)
    return done
  }

  /** Everything that waits is given back before the answer (5.14.6.6.5). */
  release(): number {
    const done = this.#go('set', 'prepared', 'stopped')
    if (done === status.ok) this.#finishAll()
    return done
  }

  /** Takes a message. @returns a status, of which all but ok are to be answered at once */
  add(chain: Chain): number {
    if (!this.#is('prepared', 'running', 'stopped') || this.#length(chain) > this.#state.bufferBytes) return status.badMessage
    this.#waiting.push(chain)
    if (this.#state.phase !== 'running') return status.ok
    // While a message is in hand, its end begins the next. It may come again, after a restore.
    if (this.#due === null) this.#pump()
    else this.#timer.arm(this.#due)
    return status.ok
  }

  /** The timer expired. */
  expired(): void {
    if (this.#state.phase === 'running') this.#pump()
  }

  /** Forgets all messages: their queue was reset. */
  drop(): void {
    this.#waiting = []
    this.#due = null
    this.#state = { ...this.#state, left: -1 }
    this.#timer.cancel()
  }

  reset(): void {
    if (this.#state.phase === 'running') this.#host.port.stop(this.index)
    this.drop()
    this.#state = nothing
  }

  save(): StreamState {
    const { phase, ...state } = this.#state
    if (phase !== 'running' || this.#due === null) return { ...state, phase, left: phase !== 'running' ? state.left : -1 }
    const left = this.#due - this.#host.clock.now()
    return { ...state, phase, left: Math.max(0, left), ...(left < 0 && { late: -left }) }
  }

  /** Checks a saved state. @throws typed errors `'state'` */
  check(part: string, given: unknown): StreamState {
    const data = plainData(part, given, 'state')
    const phase = data.oneOf('phase', phases)
    const idle = phase === 'idle'
    const late = data.integer('late', 0, Number.MAX_SAFE_INTEGER, 0)
    const state: StreamState = {
      phase, bufferBytes: data.integer('bufferBytes', idle ? 0 : 1, idle ? 0 : longestBuffer), channels: data.integer('channels', idle ? 0 : 1, idle ? 0 : mostChannels),
      format: idle ? data.integer('format', 0, 0) : data.oneOf('format', [...sampleFormats.keys()]),
      rate: idle ? data.integer('rate', 0, 0) : data.oneOf('rate', [...rates.keys()]),
      left: data.integer('left', -1, nanosecond * longestBuffer), carry: data.integer('carry', 0, 10 ** 6),
      ...(late > 0 && { late }),
    }
    data.done()
    return state
  }

  /** Takes a checked state. Messages come again from their queues. */
  restore({ late = 0, ...state }: StreamState): void {
    this.reset()
    this.#state = state
    if (state.phase !== 'running') return
    this.#host.port.start(this.index, this.#format())
    if (state.left >= 0) this.#due = this.#host.clock.now() + state.left - late
  }

  #is(...allowed: readonly Phase[]): boolean {
    return allowed.includes(this.#state.phase)
  }

  #go(to: Phase, ...from: readonly Phase[]): number {
    if (!this.#is(...from)) return status.badMessage
    this.#state = { ...this.#state, phase: to }
    return status.ok
  }

  #format(): AudioFormat {
    const { format, rate, channels } = this.#state
    return { sample: sampleFormats.get(format) ?? 's16', channels, rate: rates.get(rate) ?? nanosecond }
  }

  /** Stands still: the message in hand goes on later where it is. */
  #hold(): void {
    this.#state = { ...this.#state, left: this.#due === null ? -1 : Math.max(0, this.#due - this.#host.clock.now()) }
    this.#due = null
    this.#timer.cancel()
  }

  /** Bytes of sound in a message. */
  #length(chain: Chain): number {
    return this.output ? chain.readableLength - transferSize : chain.writableLength - transferStatusSize
  }

  /** Gives back what is done and begins what comes next, as far as time has come. */
  #pump(): void {
    const now = this.#host.clock.now()
    for (let budget = turn; budget > 0 && this.#waiting.length > 0;) {
      if (this.#due !== null && this.#due > now) break
      if (this.#due !== null) this.#finish(this.#waiting.shift())
      const [next] = this.#waiting
      if (next === undefined) {
        this.#due = null
        break
      }
      this.#due = (this.#due ?? now) + this.#duration(next)
      if (this.output) this.#play(next)
      budget -= this.#length(next)
    }
    // Right after a restore the message in hand has not come again yet.
    if (this.#due === null || this.#waiting.length === 0) this.#timer.cancel()
    else this.#timer.arm(this.#due)
  }

  /** Nanoseconds of a message. What is not whole is carried on, so that the rate is kept in the long run. */
  #duration(chain: Chain): number {
    const { rate } = this.#format()
    const time = Math.floor(this.#length(chain) / frameSize(this.#state)) * nanosecond + this.#state.carry
    this.#state = { ...this.#state, carry: time % rate }
    return Math.floor(time / rate)
  }

  #play(chain: Chain): void {
    const frame = frameSize(this.#state)
    const bytes = this.#host.scratch.subarray(0, Math.floor(this.#length(chain) / frame) * frame)
    // Memory that is not there is silent.
    if (!chain.read(transferSize, bytes)) bytes.fill(this.#format().sample === 'u8' ? 128 : 0)
    this.#host.port.play(this.index, bytes)
  }

  #finish(chain: Chain | undefined): void {
    if (chain === undefined) return
    let length = 0
    if (!this.output) {
      const bytes = this.#host.scratch.subarray(0, this.#length(chain)).fill(0)
      this.#host.port.record(this.index, bytes)
      if (chain.write(0, bytes)) length = bytes.length
    }
    finishMessage(this.#host, chain, status.ok, length)
  }

  /** Gives everything back that waits. */
  #finishAll(): void {
    for (const chain of this.#waiting) finishMessage(this.#host, chain, status.ok, 0)
    this.drop()
  }
}

/** Answers a message (5.14.6.8): the status comes last, behind room for what was recorded. */
export function finishMessage(host: Pick<StreamHost, 'finish'>, chain: Chain, code: number, length: number): void {
  const bytes = new Uint8Array(transferStatusSize)
  new DataView(bytes.buffer).setUint32(0, code, true)
  const written = chain.write(chain.writableLength - transferStatusSize, bytes)
  host.finish(chain, written ? length + transferStatusSize : 0)
}

/** Bytes of one instant; 0 when there is no such format. */
function frameSize({ format, channels, rate }: StreamState): number {
  const sample = sampleFormats.get(format)
  return sample === undefined || !rates.has(rate) || channels < 1 || channels > mostChannels ? 0 : channels * sampleSize[sample]
}
