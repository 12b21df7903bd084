import type { AudioFormat } from '@machinist/api'
import { sampleSize } from '@machinist/api'

const headerSize = 44
/** WAVE_FORMAT_PCM and WAVE_FORMAT_IEEE_FLOAT. */
const formatTag = { pcm: 1, float: 3 } as const

/** A WAVE file of samples. @param bytes - whole instants, below 4 GiB */
export function wav({ sample, channels, rate }: AudioFormat, bytes: Uint8Array): Uint8Array {
  const frame = channels * sampleSize[sample]
  // Chunks are of even length.
  const file = new Uint8Array(headerSize + bytes.length + bytes.length % 2)
  const view = new DataView(file.buffer)
  const name = (at: number, text: string): void => { file.set([...text].map((character) => character.charCodeAt(0)), at) }
  name(0, 'RIFF')
  view.setUint32(4, file.length - 8, true)
  name(8, 'WAVEfmt ')
  view.setUint32(16, 16, true)
  view.setUint16(20, sample === 'f32' ? formatTag.float : formatTag.pcm, true)
  view.setUint16(22, channels, true)
  view.setUint32(24, rate, true)
  view.setUint32(28, rate * frame, true)
  view.setUint16(32, frame, true)
  view.setUint16(34, 8 * sampleSize[sample], true)
  name(36, 'data')
  view.setUint32(40, bytes.length, true)
  file.set(bytes, headerSize)
  return file
}
