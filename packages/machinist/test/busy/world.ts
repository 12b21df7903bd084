/**
 * What is around a busy machine: backends whose doings follow from virtual time and from what devices ask for alone, and whose whole state is plain
 * data, so that a machine that is saved can be given the like of it again.
 */
import type {
  AudioPort, Backend, BackendClock, BalloonPort, BlockPort, BlockStatus, CharPort, Deliver, DisplayPort, FilesPort, HotplugPort, InputPort, NetPort, VsockPort, VsockStream,
} from '@machinist/api'
import { allOffloads } from '@machinist/api'
import { files, memoryTree } from '@machinist/storage'
import { crc32 } from 'node:zlib'

/**
 * State of a backend: plain data. `next` is when its clock ticks next, `said` a checksum of what its device said: not of what a device says again to a
 * backend that it finds in the place of another, such as what is on a screen.
 */
interface State {
  next: number
  ticks: number
  said: number
  numbers: number[]
  bytes: Uint8Array
}

/** A backend that can be copied. */
export interface WorldBackend extends Backend<unknown> {
  readonly state: State
  fork(): WorldBackend
}

/** What a kind of backend does. */
interface Behaviour {
  readonly period: number
  /** Bytes and numbers that it begins with. */
  readonly bytes?: number
  tick?(state: State): void
  port(state: State, deliver: Deliver, clock: BackendClock): { readonly port: unknown; tick?(): void }
}

/** A number that looks random, of a tick. */
function noise(a: number, b = 0): number {
  let z = Math.imul(a ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(b + 1, 0xc2b2_ae35)
  z = Math.imul(z ^ (z >>> 15), 0x2c1b_3c6d)
  return (z ^ (z >>> 13)) >>> 0
}

function say(state: State, ...what: (Uint8Array | number | string | null)[]): void {
  for (const each of what) state.said = crc32(each instanceof Uint8Array ? each : String(each), state.said)
}

function backend(kind: string, behaviour: Behaviour, state: State): WorldBackend {
  return {
    kind, state,
    connect(deliver, clock) {
      if (clock === undefined) throw new Error('no clock')
      const { port, tick } = behaviour.port(state, deliver, clock)
      const timer = clock.timer(() => {
        state.ticks++
        state.next += behaviour.period
        timer.arm(state.next)
        tick?.()
      })
      timer.arm(state.next)
      return port
    },
    fork: () => backend(kind, behaviour, structuredClone(state)),
  }
}

const char: Behaviour = {
  period: 31_013,
  port(state, _deliver, _clock) {
    let listener: Parameters<CharPort['listen']>[0] | null = null
    // Bytes that wait to be read, and room for what is written.
    const port: CharPort = {
      write(bytes) {
        const room = state.numbers[0] ??= 100
        const taken = Math.min(room, bytes.length)
        state.numbers[0] = room - taken
        say(state, bytes.subarray(0, taken))
        return taken
      },
      read(into) {
        const taken = Math.min(into.length, state.bytes.length)
        into.set(state.bytes.subarray(0, taken))
        state.bytes = state.bytes.slice(taken)
        return taken
      },
      listen(to) { listener = to },
    }
    return {
      port,
      tick() {
        if (state.bytes.length < 100) state.bytes = Uint8Array.from([...state.bytes, ...Array.from({ length: noise(state.ticks) % 40 }, (_, i) => noise(state.ticks, i) & 0xff)])
        state.numbers[0] = 20 + noise(state.ticks) % 100
        listener?.readable()
        listener?.writable()
      },
    }
  },
}

/** @param delay - nanoseconds until a request is done; 0: in the same turn */
const block = (size: number, delay: number): Behaviour => ({
  period: 1e12,
  bytes: size,
  port(state, deliver, clock) {
    const submit = (offset: number, length: number, done: (status: BlockStatus) => void, act: () => void): void => {
      const status = offset < 0 || offset + length > state.bytes.length ? 'out-of-range' : 'ok'
      const finish = (): void => {
        if (status === 'ok') act()
        done(status)
      }
      if (delay === 0) deliver(finish)
      else clock.timer(finish).arm(clock.now() + delay + length)
    }
    const total = (buffers: readonly Uint8Array[]): number => buffers.reduce((sum, { length }) => sum + length, 0)
    const copy = (offset: number, buffers: readonly Uint8Array[], one: (buffer: Uint8Array, at: number) => void): void => {
      let at = offset
      for (const buffer of buffers) {
        one(buffer, at)
        at += buffer.length
      }
    }
    const port: BlockPort = {
      size, readOnly: false, blockSize: 512,
      read(offset, into, done) { submit(offset, total(into), done, () => { copy(offset, into, (buffer, at) => { buffer.set(state.bytes.subarray(at, at + buffer.length)) }) }) },
      write(offset, from, done) { submit(offset, total(from), done, () => { copy(offset, from, (buffer, at) => { state.bytes.set(buffer, at) }) }) },
      flush(done) { submit(0, 0, done, () => {}) },
      discard(offset, length, done) { submit(offset, length, done, () => { state.bytes.fill(0, offset, offset + length) }) },
      writeZeroes(offset, length, done) { submit(offset, length, done, () => { state.bytes.fill(0, offset, offset + length) }) },
    }
    return { port }
  },
})

const net: Behaviour = {
  period: 29_011,
  port(state) {
    let listener: Parameters<NetPort['listen']>[0] | null = null
    // Frames that wait, as the ticks that they came with; before them, room and whether the cable is in.
    if (state.numbers.length === 0) state.numbers = [5, 1]
    const port: NetPort = {
      mtu: 1500, offloads: allOffloads,
      get link() { return state.numbers[1] === 1 },
      send({ bytes }) {
        if (state.numbers[0] === 0) return false
        state.numbers[0] = (state.numbers[0] ?? 0) - 1
        say(state, bytes)
        return true
      },
      receive() {
        const [tick] = state.numbers.splice(2, 1)
        if (tick === undefined) return null
        const bytes = Uint8Array.from({ length: 14 + noise(tick) % 300 }, (_, i) => i < 6 ? 0xff : noise(tick, i) & 0xff)
        return { bytes, trusted: tick % 2 === 0 }
      },
      accept() {},
      listen(to) { listener = to },
    }
    return {
      port,
      tick() {
        for (let n = noise(state.ticks) % 4; n > 0 && state.numbers.length < 20; n--) state.numbers.push(state.ticks + n)
        state.numbers[0] = noise(state.ticks) % 5
        listener?.readable()
        listener?.writable()
        if (state.ticks % 19 === 0) {
          state.numbers[1] = 1 - (state.numbers[1] ?? 0)
          listener?.linkChanged()
        }
      },
    }
  },
}

const input: Behaviour = {
  period: 37_019,
  port(state) {
    let listener: Parameters<InputPort['listen']>[0] | null = null
    const port: InputPort = {
      receive() {
        const tick = state.numbers.shift()
        return tick === undefined ? null : [{ type: 1, code: 30 + tick % 5, value: tick & 1 }, { type: 0, code: 0, value: 0 }]
      },
      status({ type, code, value }) { say(state, type, code, value) },
      listen(to) { listener = to },
    }
    return {
      port,
      tick() {
        if (state.numbers.length < 8) state.numbers.push(state.ticks)
        listener?.readable()
      },
    }
  },
}

/** What names a target in bytes, a multiple of `unit`. */
const target = (unit: number, most: number): Behaviour => ({
  period: 201_007,
  port(state) {
    let listener: (Parameters<BalloonPort['listen']>[0] & Parameters<HotplugPort['listen']>[0]) | null = null
    const port: BalloonPort = {
      get target() { return state.numbers[0] ?? 0 },
      listen(to) { listener = to },
      resized() {},
      report() {},
    }
    return {
      port,
      tick() {
        state.numbers[0] = unit * (noise(state.ticks) % most)
        listener?.targetChanged()
        if (state.ticks % 2 === 0) listener?.statisticsWanted?.()
      },
    }
  },
})

const display: Behaviour = {
  period: 103_007,
  port(state) {
    let listener: Parameters<DisplayPort['listen']>[0] | null = null
    const port: DisplayPort = {
      size: (screen) => (state.ticks + screen) % 5 === 0 ? null : { width: 64 + state.ticks % 7, height: 32 },
      show() {},
      present() {},
      cursor() {},
      moveCursor() {},
      listen(to) { listener = to },
    }
    return { port, tick() { listener?.sizesChanged() } }
  },
}

const audio: Behaviour = {
  period: 1e12,
  port(state) {
    const port: AudioPort = {
      start() {},
      play(stream, bytes) { say(state, stream, bytes) },
      record(stream, into) {
        const from = state.numbers[0] ?? 0
        state.numbers[0] = from + into.length
        into.forEach((_, i) => { into[i] = noise(from + i, stream) })
      },
      stop(stream) { say(state, stream) },
    }
    return { port }
  },
}

/** Streams that come back as they went. They do not outlive their machine. */
const vsock: Behaviour = {
  period: 83_009,
  port(state, deliver) {
    let accept: Parameters<Parameters<VsockPort['listen']>[0]>
    let take: ((...args: typeof accept) => void) | null = null
    const stream = (): VsockStream => {
      let waiting: number[] = []
      let ended = false
      let listener: Parameters<VsockStream['listen']>[0] | null = null
      return {
        write(bytes) {
          const taken = Math.min(bytes.length, 300 - waiting.length)
          waiting.push(...bytes.subarray(0, taken))
          say(state, bytes.subarray(0, taken))
          if (taken > 0) deliver(() => { listener?.readable() })
          return taken
        },
        read(into) {
          const taken = waiting.slice(0, into.length)
          waiting = waiting.slice(taken.length)
          into.set(taken)
          if (taken.length > 0) deliver(() => { listener?.writable() })
          return taken.length
        },
        get readable() { return waiting.length > 0 },
        get ended() { return ended && waiting.length === 0 },
        end() {
          ended = true
          deliver(() => { listener?.readable() })
        },
        close() { ended = true },
        destroy() { ended = true },
        listen(to) { listener = to },
      }
    }
    const port: VsockPort = {
      connect(number, done) { deliver(() => { done(number % 4 === 3 ? null : stream()) }) },
      listen(to) { take = to },
    }
    return { port, tick() { if (state.ticks % 3 === 0) take?.(1 + state.ticks % 3, stream(), (hostPort) => { say(state, hostPort) }) } }
  },
}

/** A tree that several machines may have: nothing in it changes. */
const tree = memoryTree({ readOnly: true })
for (let i = 0; i < 6; i++) tree.put(`d${i % 2}/f${i}`, Uint8Array.from({ length: 100 * i }, (_, at) => noise(i, at)))

const share: Behaviour = {
  period: 1e12,
  port: (_state, deliver, clock) => ({ port: files(tree).connect(deliver, clock) satisfies FilesPort }),
}

/** Behaviours by what a device calls its backend's kind. */
export type BehaviourName =
  'char' | 'net' | 'input' | 'display' | 'audio' | 'vsock' | 'files' | 'block' | 'block, late' | 'block, 2 MiB' | 'balloon' | 'hotplug'

const behaviours: Readonly<Record<BehaviourName, Behaviour>> = {
  char, net, input, display, audio, vsock, files: share,
  block: block(1 << 16, 0), 'block, late': block(1 << 16, 5000), 'block, 2 MiB': block(2 << 20, 0), balloon: target(4096, 400), hotplug: target(1 << 20, 40),
}

/** A new backend. `phase` keeps two of a kind from being in step. */
export function worldBackend(name: BehaviourName, phase: number): WorldBackend {
  const behaviour = behaviours[name]
  return backend(name.split(',')[0] ?? name, behaviour, { next: behaviour.period + 1009 * phase, ticks: phase, said: 0, numbers: [], bytes: new Uint8Array(behaviour.bytes ?? 0) })
}
