import { describe, expect, it } from 'vitest'
import { fakeBlock, fakeChar, fakeEntropy } from '@machinist/registers/testing'
import { blockDevice, consoleDevice, consoleWith, entropyDevice } from '../index.ts'
import { fuzzDevice } from './fuzz.ts'
import type { FuzzReport } from './fuzz.ts'
import type { FuzzRandom } from './random.ts'

describe('a guest that does anything at all', () => {
  const host = (...ports: ReturnType<typeof fakeChar>[]): void => {
    for (const port of ports) {
      port.sent.length = 0
      if (port.waiting < 1000) port.type('some input')
      port.drain(1000)
    }
  }
  const header = (random: FuzzRandom): Uint8Array => Uint8Array.from([random.pick([0, 1, 4, 8, 11, 13]), 0, 0, 0, 0, 0, 0, 0, random.below(130), 0, 0, 0, 0, 0, 0, 0])

  const runs: Readonly<Record<string, () => FuzzReport>> = {
    block: () => fuzzDevice(blockDevice, { queues: 2 }, () => ({ disk: fakeBlock({ size: 1 << 16 }) }), {
      host: ({ disk }, random) => { disk.complete(random.below(4)) },
      request: (random) => ({ out: [header(random), random.bytes(512 * random.below(3))], answers: [512 * random.below(3), 1] }),
    }),
    console: () => fuzzDevice(consoleDevice, {}, () => ({ console: fakeChar() }), { host: ({ console }) => { host(console) } }),
    ports: () => fuzzDevice(consoleWith('virtio-serial', ['a', 'b']), {}, () => ({ a: fakeChar(), b: fakeChar() }), { host: ({ a, b }) => { host(a, b) } }),
    entropy: () => fuzzDevice(entropyDevice, {}, () => ({ entropy: fakeEntropy() })),
  }
  for (const [name, run] of Object.entries(runs)) {
    it(`${name}: never throws, works within bounds, and stops when it says so`, () => {
      const report = run()
      // It met the bad cases, and recovered from them.
      expect(report.broken).toBeGreaterThan(100)
      expect(report.used).toBeGreaterThan(100)
    })
  }
})
