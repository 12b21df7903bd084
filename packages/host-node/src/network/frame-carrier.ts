import { allOffloads, type Frame, type NetPort } from '@machinist/api'

/** Bytes of frames that may be under way to the other thread in one direction, and what an empty frame counts. */
const WINDOW = 1 << 20
const LEAST = 256

/** Frames on their way to another thread, and that so many bytes of those that came have been taken. */
export type Carried = { readonly type: 'frames'; readonly frames: readonly Frame[] } | { readonly type: 'taken'; readonly count: number }

/** Frames with bytes that are theirs alone: a message holds the whole buffer that it names a part of. */
function alone(frame: Frame): Frame {
  const { bytes } = frame
  return bytes.length === bytes.buffer.byteLength ? frame : { ...frame, bytes: bytes.slice() }
}

const cost = (frame: Frame): number => Math.max(frame.bytes.length, LEAST)

/** One end of a wire between two threads. Only so much is under way at once; more waits in the port, which drops what it has no room for. */
export class FrameCarrier {
  readonly #port: NetPort
  readonly #say: (message: Carried) => void
  #underWay = 0

  /** @param say - tells the other end */
  constructor(port: NetPort, say: (message: Carried) => void) {
    this.#port = port
    this.#say = say
    port.accept(allOffloads)
    port.listen({ readable: () => { this.#carry() }, writable: () => undefined, linkChanged: () => undefined })
  }

  /** Takes what the other end said. */
  hear(message: Carried): void {
    if (message.type === 'taken') {
      this.#underWay -= message.count
      this.#carry()
      return
    }
    let count = 0
    for (const frame of message.frames) {
      this.#port.send(frame)
      count += cost(frame)
    }
    this.#say({ type: 'taken', count })
  }

  #carry(): void {
    const frames: Frame[] = []
    while (this.#underWay < WINDOW) {
      const frame = this.#port.receive()
      if (frame === null) break
      this.#underWay += cost(frame)
      frames.push(alone(frame))
    }
    if (frames.length > 0) this.#say({ type: 'frames', frames })
  }
}
