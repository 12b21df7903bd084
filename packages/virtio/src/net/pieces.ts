import { type Frame, machinistError, maximumFrame, noOffloads, type Offloads, type Segmentation } from '@machinist/api'
import { adapt, ethernet, offloadsFit } from '@machinist/packets'
import { plainData, type PlainData } from '@machinist/registers'

/** A frame on its way, as saved: plain data. */
export interface PiecesState {
  readonly frame: Frame
  /** What its receiver took over. */
  readonly offloads: Offloads
  /** Pieces of it that have arrived. */
  readonly at: number
}

const kinds = ['tcp4', 'tcp6', 'udp'] as const satisfies readonly Segmentation['kind'][]

/** A frame that goes on in as many pieces as its receiver needs, and how many of them have gone. */
export class Pieces {
  #frame: Frame | null = null
  #offloads: Offloads = noOffloads
  #list: readonly Frame[] = []
  #at = 0

  /** The piece that is next, until {@link next} says that it has gone. */
  get first(): Frame | undefined {
    return this.#list[this.#at]
  }

  /** Begins with a frame; there must be none. */
  begin(frame: Frame, offloads: Offloads): void {
    this.#frame = frame
    this.#offloads = offloads
    this.#list = adapt(frame, offloads)
    this.#at = 0
  }

  next(): void {
    this.#at++
    if (this.#at >= this.#list.length) this.clear()
  }

  clear(): void {
    this.#frame = null
    this.#list = []
    this.#at = 0
  }

  save(): PiecesState | null {
    if (this.#frame === null || this.first === undefined) return null
    return { frame: { ...this.#frame, trusted: this.#frame.trusted === true }, offloads: this.#offloads, at: this.#at }
  }

  /** Reads a saved state; throws a typed error (`state`), or returns what takes it over. Absent, as in older states, it is that of none. */
  load(part: string, input: unknown): () => void {
    if (input === null || input === undefined) return () => { this.clear() }
    const data = plainData(part, input, 'state')
    const frame = frameIn(part, data.unknown('frame'))
    const offloads = offloadsIn(plainData(part, data.unknown('offloads'), 'state'))
    const at = data.integer('at', 0, maximumFrame)
    data.done()
    return () => {
      this.begin(frame, offloads)
      this.#at = at
    }
  }
}

function frameIn(part: string, input: unknown): Frame {
  const data = plainData(part, input, 'state')
  const bytes = data.unknown('bytes')
  const [checksum, segmentation] = [data.unknown('checksum'), data.unknown('segmentation')]
  const trusted = data.boolean('trusted', false)
  data.done()
  const frame: Frame = {
    bytes: bytes instanceof Uint8Array && bytes.length <= maximumFrame ? bytes : new Uint8Array(0),
    ...(checksum !== undefined && { checksum: checksumIn(plainData(part, checksum, 'state')) }),
    ...(segmentation !== undefined && { segmentation: segmentationIn(plainData(part, segmentation, 'state')) }),
    ...(trusted && { trusted }),
  }
  if (frame.bytes.length >= ethernet.length && offloadsFit(frame)) return frame
  throw machinistError({ code: 'state', part, remedy: 'Restore a state saved by this version of this device' }, 'the saved state has a frame that is none')
}

function checksumIn(data: PlainData): NonNullable<Frame['checksum']> {
  const checksum = { start: data.integer('start', 0, maximumFrame), offset: data.integer('offset', 0, maximumFrame) }
  data.done()
  return checksum
}

function segmentationIn(data: PlainData): Segmentation {
  const segmentation = {
    kind: data.oneOf('kind', kinds), size: data.integer('size', 1, maximumFrame), headerLength: data.integer('headerLength', 0, maximumFrame), ecn: data.boolean('ecn'),
  }
  data.done()
  return segmentation
}

function offloadsIn(data: PlainData): Offloads {
  const offloads = { checksum: data.boolean('checksum'), tcp4: data.boolean('tcp4'), tcp6: data.boolean('tcp6'), udp: data.boolean('udp'), ecn: data.boolean('ecn') }
  data.done()
  return offloads
}
