import { allOffloads } from '@machinist/api'
import { inputSource, memoryDisplay } from '@machinist/display'
import { fakeBlock, fakeChar, fakeEntropy, fakeNet } from '@machinist/registers/testing'
import { files, memoryTree } from '@machinist/storage'
import { describe, expect, it } from 'vitest'
import { balloonControl, balloonDevice, blockDevice, consoleDevice, consoleWith, entropyDevice, gpuDevice, inputDevice, memDevice, memoryControl, netDevice, p9Device, pmemDevice, soundDevice, vsockDevice } from '../index.ts'
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
    balloon: () => fuzzDevice(balloonDevice, {}, () => ({ host: balloonControl({ target: 1 << 20 }).connect((callback) => { callback() }) }), {
      request: (random, queue) => {
        if (queue === 4) return { out: [], answers: [4096 * random.below(4) + 1] }
        const bytes = new Uint8Array(queue === 2 ? 100 : 64)
        const view = new DataView(bytes.buffer)
        if (queue === 2) for (let at = 0; at < 100; at += 10) view.setUint16(at, random.below(12), true)
        // Pages of RAM, most of them without rings, and others.
        else for (let at = 0; at < 64; at += 4) view.setUint32(at, random.chance(0.9) ? 0x8_0000 + 8 + random.below(60) : random.u32(), true)
        return { out: [bytes], answers: [] }
      },
    }),
    block: () => fuzzDevice(blockDevice, { queues: 2 }, () => ({ disk: fakeBlock({ size: 1 << 16 }) }), {
      host: ({ disk }, random) => { disk.complete(random.below(4)) },
      request: (random) => ({ out: [header(random), random.bytes(512 * random.below(3))], answers: [512 * random.below(3), 1] }),
    }),
    console: () => fuzzDevice(consoleDevice, {}, () => ({ console: fakeChar() }), { host: ({ console }) => { host(console) } }),
    ports: () => fuzzDevice(consoleWith('virtio-serial', ['a', 'b']), {}, () => ({ a: fakeChar(), b: fakeChar() }), { host: ({ a, b }) => { host(a, b) } }),
    entropy: () => fuzzDevice(entropyDevice, {}, () => ({ entropy: fakeEntropy() })),
    gpu: () => {
      let display = memoryDisplay()
      return fuzzDevice(gpuDevice, { screens: 2, memory: 1 << 16 }, () => {
        display = memoryDisplay({ screens: [{ width: 64, height: 64 }, { width: 32, height: 32 }] })
        return { display: display.connect((callback) => { callback() }) }
      }, {
        host: (_, random) => { display.resize(random.below(2), random.chance(0.2) ? null : { width: 16 + random.below(2000), height: 16 + random.below(2000) }) },
        request: (random, queue) => {
          // A command with small numbers, so that resources are made, drawn, shown and freed; with a piece of RAM behind it.
          const words = Array.from({ length: 12 }, () => random.chance(0.95) ? random.below(random.pick([2, 4, 4, 64])) : random.u32())
          const [type, flags] = [queue === 1 ? 0x300 + random.below(2) : 0x100 + random.below(12), random.below(2)]
          if (type === 0x101) words[1] = random.pick([1, 2, 3, 4, 67, 68, 121, 134])
          if (type === 0x106) words.splice(1, 4, 1, 0x8000_0000 + random.below(1 << 17), 0, 1 << 14)
          return { out: [new Uint8Array(Uint32Array.from([type, flags, random.u32(), 0, 0, 0, ...words]).buffer)], answers: [random.pick([24, 408, 1056])] }
        },
      })
    },
    input: () => {
      let source = inputSource()
      return fuzzDevice(inputDevice, { model: 'keyboard' }, () => {
        source = inputSource()
        return { input: source.connect((callback) => { callback() }) }
      }, {
        host: (_, random) => { source.move(random.u32() / 2 ** 32, random.u32() / 2 ** 32) },
        request: (random, queue) => queue === 0 ? { out: [], answers: [8] } : { out: [Uint8Array.of(0x11, 0, random.below(4), 0, random.below(2), 0, 0, 0)], answers: [] },
      })
    },
    net: () => fuzzDevice(netDevice, { pairs: 2 }, () => ({ net: fakeNet({ offloads: allOffloads }) }), {
      host: ({ net }, random) => {
        net.sent.length = 0
        if (net.waiting < 100) net.give({ bytes: random.bytes(14 + random.below(3000)) })
        net.drain(net.waiting)
      },
      request: (random, queue) => queue % 2 === 0 ? { out: [], answers: [random.below(4000)] } : { out: [random.bytes(12), random.bytes(14 + random.below(2000))], answers: [] },
    }),
    '9p': () => fuzzDevice(p9Device, {}, () => ({ files: files(memoryTree()).connect((callback) => { callback() }) }), {
      request: (random) => ({ out: [Uint8Array.of(21, 0, 0, 0, 100, 255, 255, 0, 0, 1 + random.below(4), 0, 8, 0), new TextEncoder().encode('9P2000.L')], answers: [200] }),
    }),
    mem: () => fuzzDevice(memDevice, { size: 64 << 20 }, () => {
      const control = memoryControl({ target: 32 << 20 })
      return { host: control.connect((callback) => { callback() }), control }
    }, {
      host: ({ control }, random) => { control.target = random.below(80 << 20) },
      request: (random) => {
        const request = new DataView(new ArrayBuffer(24))
        request.setUint16(0, random.below(5), true)
        request.setUint32(8, random.chance(0.9) ? random.below(40) << 21 : random.u32(), true)
        request.setUint32(12, 2, true)
        request.setUint16(16, random.below(10), true)
        return { out: [new Uint8Array(request.buffer)], answers: [10] }
      },
    }),
    pmem: () => fuzzDevice(pmemDevice, { size: 2 << 20 }, () => ({ disk: fakeBlock({ size: 2 << 20 }) }), {
      host: ({ disk }, random) => { disk.complete(random.below(4)) },
      request: (random) => ({ out: [Uint8Array.of(random.below(2), 0, 0, 0)], answers: [4] }),
    }),
    sound: () => fuzzDevice(soundDevice, { outputs: 2, inputs: 1 }, () => ({ audio: { start() {}, play() {}, record() {}, stop() {} } }), {
      request: (random, queue) => {
        const stream = random.below(4)
        if (queue !== 0) return { out: [Uint8Array.of(stream, 0, 0, 0), ...queue === 2 ? [random.bytes(4 * random.below(100))] : []], answers: [queue === 2 ? 8 : 200] }
        // Mostly in the order that makes streams run.
        const words = Uint32Array.from([random.pick([0x101, 0x102, 0x104, 0x101, 0x102, 0x104, 0x105, 0x103, 1, 0x100, 0x200]), stream, 4096, 64, 0, 1 + random.below(2) + 256 * random.pick([4, 5, 17, 19]) + 65536 * random.below(13)])
        return { out: [new Uint8Array(words.buffer)], answers: [4, random.below(200)] }
      },
    }),
    vsock: () => fuzzDevice(vsockDevice, {}, () => ({ host: { connect: (_: number, done: (stream: null) => void) => { done(null) }, listen() {} } }), {
      request: (random, queue) => {
        if (queue !== 1) return { out: [], answers: [4096] }
        const length = random.below(100)
        const packet = new Uint8Array(44 + length)
        const view = new DataView(packet.buffer)
        for (const [offset, value] of [[0, 3], [8, 2], [16, 1 + random.below(3)], [20, 1 + random.below(3)], [24, length], [36, 65536]] as const) view.setUint32(offset, value, true)
        view.setUint16(28, 1, true)
        view.setUint16(30, random.below(9), true)
        return { out: [packet], answers: [] }
      },
    }),
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
