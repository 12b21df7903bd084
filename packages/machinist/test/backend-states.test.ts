/** States of backends from anywhere: real ones in which something was changed. Each gives a backend that works, or a typed error. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Backend, type BackendState, type BlockPort, isMachinistError, type NetPort } from '@machinist/api'
import { inputSource } from '@machinist/display'
import { nodeSockets, sharedFolder, stream } from '@machinist/host-node'
import { nat, virtualSwitch } from '@machinist/network'
import { files, limited, memoryDisk, memoryStore, memoryTree, overlay } from '@machinist/storage'
import { Random } from '@machinist/testkit'
import { balloonControl } from '@machinist/virtio'
import { afterAll, expect, test } from 'vitest'

const SIZE = 1 << 20
const folder = mkdtempSync(join(tmpdir(), 'machinist-states-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

interface Case {
  make(): Backend<unknown>
  /** Gives a connected one something to keep. */
  use(backend: never, port: never): void
}

const guest = { address: Uint8Array.of(10, 0, 2, 15), port: 4000 }
const more = {
  leases: [[0x5254_0012_3456, guest.address]], neighbors: [[guest.address, 0x5254_0012_3456]],
  connections: [{ guest, remote: { address: Uint8Array.of(127, 0, 0, 1), port: 80 }, sequence: 5, acknowledgment: 7 }],
}
const clock = { now: () => 0, timer: () => ({ arm() {}, cancel() {} }) }

/** A question of a guest at 10.0.2.15 where 10.0.2.2 is (RFC 826). */
const arp = (): Uint8Array => Uint8Array.of(
  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2)

const cases: Readonly<Record<string, Case>> = {
  'an overlay with limits': {
    make: () => limited(overlay(memoryDisk(SIZE), memoryStore({ clusterSize: 8192 })), { bytesPerSecond: 1e9 }),
    use(_backend: never, port: BlockPort) {
      for (const at of [0, 100_000, 500_000]) port.write(at - at % 512, [new Uint8Array(20_480).fill(7)], () => {})
      port.discard?.(0, 16_384, () => {})
    },
  },
  'a copy of a disk': {
    make: () => memoryDisk(SIZE).fork(),
    use(_backend: never, port: BlockPort) { port.write(8192, [new Uint8Array(40_960).fill(7)], () => {}) },
  },
  'a stream': { make: () => stream(), use(backend: ReturnType<typeof stream>) { backend.type('typed ahead') } },
  'a keyboard': { make: () => inputSource(), use(backend: ReturnType<typeof inputSource>) { backend.type('ab') } },
  'a balloon': { make: () => balloonControl(), use(backend: ReturnType<typeof balloonControl>) { backend.target = 40_960 } },
  'a folder': { make: () => sharedFolder(folder), use() {} },
  'a tree': {
    make() {
      const tree = memoryTree()
      tree.put('a/b', Uint8Array.of(1, 2))
      tree.put('a/c', Uint8Array.of(3))
      return files(tree)
    },
    use() {},
  },
  'a NAT': {
    make: () => nat(nodeSockets(), { rules: ['allow 127.0.0.0/8'] }),
    use(_backend: never, port: NetPort) {
      port.send({ bytes: arp() })
      for (let count = 0; count < 100 && port.receive() !== null; count++);
    },
  },
  'a port of a switch': {
    make: () => virtualSwitch().port({ sendLimit: { rate: 1000, burst: 500 } }),
    use(_backend: never, port: NetPort) { port.send({ bytes: arp() }) },
  },
}

/** Something else in the place of a value. */
function other(random: Random, value: unknown): unknown {
  const numbers = [0, -1, 1, 0.5, NaN, Infinity, 2 ** 31, 2 ** 32, 2 ** 48, 2 ** 53, -(2 ** 53), 4096, 1 << 20]
  if (typeof value === 'number' && random.below(2) === 0) return value + random.pick([-1, 1, 512, 4096, -4096, 65536])
  if (value instanceof Uint8Array && random.below(2) === 0) {
    const bytes = value.slice(0, random.below(value.length + 1))
    if (bytes.length > 0) bytes[random.below(bytes.length)] = random.below(256)
    return bytes
  }
  if (Array.isArray(value) && value.length > 0 && random.below(2) === 0) return random.below(2) === 0 ? value.slice(1) : [...value as readonly unknown[], value[random.below(value.length)]]
  return random.pick<unknown>([random.pick(numbers), null, undefined, 'text', true, 5n, 2n ** 64n, -1n, [], {}, [[]], [0], [[0, 0]], [[0, new Uint8Array(512)]], new Uint8Array(0), new Uint8Array(4), new Uint8Array(16), new Uint8Array(5000)])
}

/** Plain data with something changed at a random place. */
function changed(random: Random, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || random.below(8) === 0) return other(random, value)
  if (Array.isArray(value)) {
    if (value.length === 0) return other(random, value)
    const at = random.below(value.length)
    return value.map((each: unknown, index) => (index === at ? changed(random, each) : each))
  }
  const keys = Object.keys(value)
  const key = keys[random.below(keys.length)]
  if (key === undefined) return other(random, value)
  return { ...value, [key]: changed(random, (value as Record<string, unknown>)[key]) }
}

test.each(Object.entries(cases))('%s', (_name, { make, use }) => {
  const open: Backend<unknown>[] = []
  const connect = (backend: Backend<unknown>): unknown => {
    open.push(backend)
    return backend.connect((callback) => { callback() }, clock)
  }
  const first = make()
  use(first as never, connect(first) as never)
  // What a TCP connection is to a NAT, and a lease, another test makes real ones of.
  const states = (first.save?.() ?? []).map((state) => (state.kind === 'nat' ? { ...state, state: { ...state.state as object, ...more } } : state))
  expect(states.length).toBeGreaterThan(0)
  const random = new Random(Number(process.env['STATES_SEED'] ?? 1))
  const outcomes = { taken: 0, refused: 0 }
  const attempt = (given: readonly BackendState[]): void => {
    const backend = make()
    try {
      for (const state of given) backend.restore?.(state, 'part0.port')
      const port = connect(backend)
      expect(() => { use(backend as never, port as never) }).not.toThrow()
      expect(backend.save?.()).toBeInstanceOf(Array)
      outcomes.taken++
    } catch (error) {
      if (!isMachinistError(error)) throw error
      outcomes.refused++
    } finally {
      for (const each of open.splice(0)) each.close?.()
    }
  }
  for (let round = 0; round < 300; round++) {
    const at = random.below(states.length)
    attempt(states.map((state, index) => (index === at ? { ...state, state: changed(random, state.state) } : state)))
  }
  attempt(states)
  expect(outcomes.taken).toBeGreaterThan(0)
  expect(outcomes.refused).toBeGreaterThan(100)
})
