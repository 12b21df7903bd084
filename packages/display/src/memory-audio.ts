import type { AudioFormat, AudioPort, Backend, Deliver } from '@machinist/api'
import { machinistError, sampleSize } from '@machinist/api'

/** What a {@link memoryAudio} may be told. */
export interface MemoryAudioOptions {
  /** For errors. */
  readonly name?: string
  /** Bytes of sound that are kept, 4096 to 1 GiB; what the guest plays beyond that is dropped. Default: 64 MiB. */
  readonly limit?: number
  /**
   * What the guest records: fills `into`, whole instants, with what follows the call before. It is silence at first. Default: silence.
   * It must not throw.
   */
  readonly microphone?: (into: Uint8Array, format: AudioFormat, stream: number) => void
}

/** What a guest played on one stream from start to stop. */
export interface Recording extends AudioFormat {
  readonly stream: number
  /** All samples, instant after instant; a copy. */
  bytes(): Uint8Array
}

/** Loudspeakers and microphones in memory: hand it to a machine as the backend of a sound device. */
export interface MemoryAudio extends Backend<AudioPort> {
  readonly kind: 'audio'
  /** What was played, in the order in which it began; the last may still go on. Starts at which nothing was played leave none. */
  readonly recordings: readonly Recording[]
  /** Bytes that the guest played beyond the limit. */
  readonly dropped: number
}

const smallestLimit = 4096
const largestLimit = 2 ** 30
/** What a recording or a piece of one counts beside its bytes. */
const overhead = 64

/** Makes a {@link MemoryAudio}. Snapshots of the machine have nothing of it; streams that play go on where it does. @throws a typed error `'audio-option'` */
export function memoryAudio(options: MemoryAudioOptions = {}): MemoryAudio {
  return new Speakers(options)
}

class Tape implements Recording {
  readonly stream: number
  readonly sample: AudioFormat['sample']
  readonly channels: number
  readonly rate: number
  readonly pieces: Uint8Array[] = []

  constructor(stream: number, { sample, channels, rate }: AudioFormat) {
    this.stream = stream
    this.sample = sample
    this.channels = channels
    this.rate = rate
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.pieces.reduce((sum, piece) => sum + piece.length, 0))
    let at = 0
    for (const piece of this.pieces) {
      all.set(piece, at)
      at += piece.length
    }
    return all
  }
}

class Speakers implements MemoryAudio {
  readonly kind = 'audio' as const
  readonly recordings: Tape[] = []
  dropped = 0
  readonly #name: string
  readonly #limit: number
  readonly #microphone: NonNullable<MemoryAudioOptions['microphone']>
  readonly #running = new Map<number, Tape>()
  #kept = 0
  #deliver: Deliver | null = null

  constructor({ name = 'audio', limit = 64 << 20, microphone = () => {} }: MemoryAudioOptions) {
    if (!Number.isInteger(limit) || limit < smallestLimit || limit > largestLimit) {
      throw machinistError({ code: 'audio-option', part: `${name}.limit`, value: limit, remedy: `Give an integer from ${String(smallestLimit)} to ${String(largestLimit)}.` }, 'out of range')
    }
    this.#name = name
    this.#limit = limit
    this.#microphone = microphone
  }

  connect(deliver: Deliver): AudioPort {
    if (this.#deliver !== null) throw machinistError({ code: 'audio-in-use', part: this.#name, remedy: 'Make one for each device.' }, 'already belongs to a device')
    this.#deliver = deliver
    const here = (): boolean => this.#deliver === deliver
    return {
      start: (stream, format) => { if (here()) this.#running.set(stream, new Tape(stream, format)) },
      play: (stream, bytes) => {
        const tape = here() ? this.#running.get(stream) : undefined
        if (tape !== undefined && bytes.length > 0) this.#keep(tape, bytes)
      },
      record: (stream, into) => {
        const tape = here() ? this.#running.get(stream) : undefined
        if (tape === undefined) return
        if (tape.sample === 'u8') into.fill(128)
        this.#microphone(into, tape, stream)
      },
      stop: (stream) => { if (here()) this.#running.delete(stream) },
    }
  }

  /** The recordings stay. It may be connected again. */
  close(): void {
    this.#deliver = null
    this.#running.clear()
  }

  #keep(tape: Tape, bytes: Uint8Array): void {
    const first = tape.pieces.length === 0
    const frame = tape.channels * sampleSize[tape.sample]
    const room = this.#limit - this.#kept - overhead * (first ? 2 : 1)
    const count = Math.min(bytes.length, Math.max(0, Math.floor(room / frame) * frame))
    this.dropped += bytes.length - count
    if (count === 0) return
    if (first) this.recordings.push(tape)
    tape.pieces.push(bytes.slice(0, count))
    this.#kept += count + overhead * (first ? 2 : 1)
  }
}
