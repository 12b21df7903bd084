import { sampleSize } from '@machinist/api'
import type { AudioFormat, SampleFormat } from '@machinist/api'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { memoryAudio, wav } from './index.ts'

const atOnce = (callback: () => void): void => { callback() }
const format = fc.record({ sample: fc.constantFrom<SampleFormat>('u8', 's16', 's32', 'f32'), channels: fc.integer({ min: 1, max: 2 }), rate: fc.constantFrom(8000, 44100, 192000) })

it('keeps what is played on each stream from start to stop, up to its limit', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('start' as const), stream: fc.nat(2), format }), fc.record({ do: fc.constant('stop' as const), stream: fc.nat(2) }),
    fc.record({ do: fc.constant('play' as const), stream: fc.nat(2), instants: fc.nat(200) }))
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const audio = memoryAudio({ limit: 10_000 })
    const port = audio.connect(atOnce)
    const running = new Map<number, { format: AudioFormat, bytes: number[] }>()
    const all: { format: AudioFormat, bytes: number[] }[] = []
    let [seed, played] = [0, 0]
    for (const each of steps) {
      if (each.do === 'start') {
        port.start(each.stream, each.format)
        running.set(each.stream, { format: each.format, bytes: [] })
      } else if (each.do === 'stop') {
        port.stop(each.stream)
        running.delete(each.stream)
      } else {
        const model = running.get(each.stream)
        const { sample, channels } = model?.format ?? { sample: 'u8', channels: 1 }
        const bytes = Uint8Array.from({ length: each.instants * channels * sampleSize[sample] }, () => seed++)
        port.play(each.stream, bytes)
        if (model === undefined) continue
        played += bytes.length
        if (model.bytes.length === 0 && bytes.length > 0) all.push(model)
        model.bytes.push(...bytes)
        // It is the device's, and used again.
        bytes.fill(0)
      }
    }
    const kept = audio.recordings.map((recording) => ({ ...recording, bytes: [...recording.bytes()] }))
    const total = kept.reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(total + audio.dropped).toBe(played)
    expect(total).toBeLessThan(10_000)
    if (audio.dropped === 0) expect(kept.map(({ sample, channels, rate, bytes }) => ({ format: { sample, channels, rate }, bytes }))).toEqual(all)
    else expect(total).toBeGreaterThan(10_000 - 200 * 8 - 128 * (steps.length + 1))
    for (const { bytes, channels, sample } of kept) expect(bytes.length % (channels * sampleSize[sample])).toBe(0)
  }))
})

it('gives silence, or what the microphone hears', () => {
  const silent = memoryAudio().connect(atOnce)
  const into = new Uint8Array(4)
  silent.start(0, { sample: 'u8', channels: 1, rate: 8000 })
  silent.record(0, into)
  expect([...into]).toEqual([128, 128, 128, 128])
  const heard = memoryAudio({ microphone: (bytes, { rate }, stream) => { bytes.fill(rate / 1000 + stream) } }).connect(atOnce)
  heard.start(1, { sample: 's16', channels: 2, rate: 48000 })
  heard.record(1, into)
  expect([...into]).toEqual([49, 49, 49, 49])
  expect(() => memoryAudio({ limit: 1 })).toThrow('limit')
})

it('writes WAVE files', () => {
  const file = wav({ sample: 's16', channels: 2, rate: 44100 }, Uint8Array.of(1, 2, 3, 4))
  // As sox writes it.
  expect(Buffer.from(file).toString('hex')).toBe('52494646280000005741564566' + '6d74201000000001000200' + '44ac000010b1020004001000' + '646174610400000001020304')
  expect(wav({ sample: 'f32', channels: 1, rate: 8000 }, new Uint8Array(4))[20]).toBe(3)
  expect(wav({ sample: 'u8', channels: 1, rate: 8000 }, new Uint8Array(3)).length).toBe(48)
})
