import type { BlockPort, BlockStatus, CharLine, EntropyPort, Frame, NetPort, Offloads, PowerPort, WallClockPort } from '@machinist/api'
import { noOffloads } from '@machinist/api'

/** A terminal that a test types on and reads from. */
export interface FakeChar extends CharLine {
  /** Everything the device has sent. */
  readonly sent: number[]
  /** {@link sent} as Latin-1 text. */
  text(): string
  /** Bytes that the host will still take; `Infinity` at first. Raising it does not call `writable`: use {@link drain}. */
  room: number
  /** Makes input available and tells the device. Text is Latin-1. */
  type(input: string | readonly number[]): void
  /** Input that the device has not taken yet. */
  readonly waiting: number
  /** No more than that will come. */
  ended: boolean
  /** What the device last said of output that it has yet to write. */
  hasMore: boolean
  /** Bytes of `send` for which there is no room: a machine would not go on before they are gone. */
  readonly held: number
  /** Gives room for `bytes` more and tells the device. */
  drain(bytes: number): void
}

/** A scripted {@link CharLine}. Its callbacks run at once. */
export function fakeChar(): FakeChar {
  const sent: number[] = []
  let input: number[] = []
  let held: number[] = []
  let listener: { readable(): void; writable(): void } | null = null
  return {
    sent,
    ended: false,
    get held() { return held.length },
    room: Infinity,
    text: () => sent.map((byte) => String.fromCharCode(byte)).join(''),
    get waiting() { return input.length },
    write(bytes) {
      const taken = held.length > 0 ? 0 : Math.min(bytes.length, this.room)
      this.room -= taken
      for (const byte of bytes.subarray(0, taken)) sent.push(byte)
      return taken
    },
    send(bytes) {
      held.push(...bytes.subarray(this.write(bytes)))
    },
    more(is) { this.hasMore = is },
    hasMore: false,
    read(into) {
      const taken = input.slice(0, into.length)
      input = input.slice(taken.length)
      into.set(taken)
      return taken.length
    },
    listen(to) { listener = to },
    type(more) {
      input.push(...(typeof more === 'string' ? [...more].map((character) => character.charCodeAt(0) & 0xff) : more))
      listener?.readable()
    },
    drain(bytes) {
      this.room += bytes
      const rest = held
      held = []
      this.send(Uint8Array.from(rest))
      if (held.length === 0) listener?.writable()
    },
  }
}

/** A disk in memory whose requests complete when a test says so. */
export interface FakeBlock extends BlockPort {
  readonly data: Uint8Array
  /** Requests that have not completed. */
  readonly pending: number
  /** What the next requests complete with, instead of doing anything; empty means success. */
  readonly failures: BlockStatus[]
  /** Completes the oldest `count` requests (all when absent), in order. */
  complete(count?: number): void
}

/** A scripted {@link BlockPort}. Data moves when the request completes. */
export function fakeBlock(options: { readonly size: number; readonly readOnly?: boolean; readonly blockSize?: number }): FakeBlock {
  const data = new Uint8Array(options.size)
  const queue: (() => void)[] = []
  const failures: BlockStatus[] = []
  const readOnly = options.readOnly ?? false
  const submit = (offset: number, length: number, writes: boolean, done: (status: BlockStatus) => void, act: () => void): void => {
    queue.push(() => {
      const failure = failures.shift()
        ?? (writes && readOnly ? 'read-only' : offset < 0 || offset + length > data.length ? 'out-of-range' : undefined)
      if (failure === undefined) act()
      done(failure ?? 'ok')
    })
  }
  const total = (buffers: readonly Uint8Array[]): number => buffers.reduce((sum, buffer) => sum + buffer.length, 0)
  return {
    size: options.size, readOnly, blockSize: options.blockSize ?? 512, data, failures,
    get pending() { return queue.length },
    read(offset, into, done) {
      submit(offset, total(into), false, done, () => {
        for (let at = offset, i = 0; i < into.length; i++) {
          const buffer = into[i]
          if (buffer === undefined) continue
          buffer.set(data.subarray(at, at + buffer.length))
          at += buffer.length
        }
      })
    },
    write(offset, from, done) {
      submit(offset, total(from), true, done, () => {
        let at = offset
        for (const buffer of from) {
          data.set(buffer, at)
          at += buffer.length
        }
      })
    },
    flush(done) { submit(0, 0, false, done, () => {}) },
    discard(offset, length, done) { submit(offset, length, true, done, () => {}) },
    writeZeroes(offset, length, done) { submit(offset, length, true, done, () => { data.fill(0, offset, offset + length) }) },
    complete(count = Infinity) {
      for (let left = count; left > 0; left--) {
        const request = queue.shift()
        if (request === undefined) return
        request()
      }
    },
  }
}

/** A network that a test sends from and looks into. */
export interface FakeNet extends NetPort {
  /** Frames that the device sent. */
  readonly sent: Frame[]
  /** Frames that the network still takes; `Infinity` at first. Raising it does not call `writable`: use {@link drain}. */
  room: number
  /** What the device said that its driver takes over. */
  readonly accepted: Offloads
  /** Frames that the device has not taken yet. */
  readonly waiting: number
  /** Gives frames to the device and tells it. */
  give(...frames: readonly Frame[]): void
  /** Gives room for so many frames more and tells the device. */
  drain(frames: number): void
  /** Puts the cable in or pulls it out, and tells the device. */
  plug(link: boolean): void
}

/** A scripted {@link NetPort}. Its callbacks run at once. */
export function fakeNet(options: { readonly mtu?: number, readonly offloads?: Offloads, readonly address?: string } = {}): FakeNet {
  const sent: Frame[] = []
  const queue: Frame[] = []
  let accepted = noOffloads
  let link = true
  let listener: Parameters<NetPort['listen']>[0] | null = null
  return {
    sent,
    room: Infinity,
    mtu: options.mtu ?? 1500,
    offloads: options.offloads ?? noOffloads,
    ...(options.address !== undefined && { address: options.address }),
    get link() { return link },
    get accepted() { return accepted },
    get waiting() { return queue.length },
    send(frame) {
      if (this.room < 1) return false
      this.room--
      sent.push(frame)
      return true
    },
    receive: () => queue.shift() ?? null,
    accept(offloads) { accepted = offloads },
    listen(to) { listener = to },
    give(...frames) {
      queue.push(...frames)
      listener?.readable()
    },
    drain(frames) {
      this.room += frames
      listener?.writable()
    },
    plug(to) {
      link = to
      listener?.linkChanged()
    },
  }
}

/** An {@link EntropyPort} that counts: 1, 2, 3, …, modulo 256. */
export function fakeEntropy(): EntropyPort {
  let last = 0
  return { fill(into) { for (let i = 0; i < into.length; i++) into[i] = last = (last + 1) & 0xff } }
}

/** A {@link WallClockPort} that shows what a test sets. */
export function fakeWallClock(start: bigint = 0n): WallClockPort & { time: bigint } {
  return { time: start, now() { return this.time } }
}

/** A {@link PowerPort} that remembers: `'reset'`, or the exit status. */
export function fakePower(): PowerPort & { readonly requests: (number | 'reset')[] } {
  const requests: (number | 'reset')[] = []
  return { requests, off(status) { requests.push(status) }, reset() { requests.push('reset') } }
}
