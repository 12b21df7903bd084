/** Numbers of the sound device (virtio 1.2, 5.14). */
import type { SampleFormat } from '@machinist/api'

/** `struct virtio_snd_config` (5.14.4). */
export const soundConfig = { jacks: 0, streams: 4, chmaps: 8, size: 12 } as const
export const soundQueue = { control: 0, event: 1, transmit: 2, receive: 3 } as const

/** Requests (5.14.6). */
export const request = {
  jackInfo: 1, jackRemap: 2, pcmInfo: 0x100, pcmSetParams: 0x101, pcmPrepare: 0x102, pcmRelease: 0x103, pcmStart: 0x104, pcmStop: 0x105, chmapInfo: 0x200,
} as const
export const status = { ok: 0x8000, badMessage: 0x8001, notSupported: 0x8002, ioError: 0x8003 } as const

/** `struct virtio_snd_query_info`: code, first, count, size of one. */
export const querySize = 16
/** `struct virtio_snd_pcm_hdr`: code, stream. */
export const pcmHeaderSize = 8
/** `struct virtio_snd_pcm_set_params` (5.14.6.6.3). */
export const params = { bufferBytes: 8, periodBytes: 12, features: 16, channels: 20, format: 21, rate: 22, size: 24 } as const
export const longestRequest = 24
export const infoSize = { jack: 24, pcm: 32, chmap: 24 } as const
/** `struct virtio_snd_pcm_xfer` and `struct virtio_snd_pcm_status` (5.14.6.8). */
export const transferSize = 4
export const transferStatusSize = 8
export const direction = { output: 0, input: 1 } as const
/** Pin configuration of HDA: a line out, and a microphone. */
export const pinConfig = { output: 0, input: 0xa0_0000 } as const
/** Front left and front right. */
export const stereoPositions: readonly number[] = [3, 4]
export const mostChannels = 2

/** `VIRTIO_SND_PCM_FMT_*`, those that we have. */
export const sampleFormats: ReadonlyMap<number, SampleFormat> = new Map([[4, 'u8'], [5, 's16'], [17, 's32'], [19, 'f32']])
/** `VIRTIO_SND_PCM_RATE_*`: instants a second. */
export const rates: ReadonlyMap<number, number> = new Map([
  [0, 5512], [1, 8000], [2, 11025], [3, 16000], [4, 22050], [5, 32000], [6, 44100], [7, 48000], [8, 64000], [9, 88200], [10, 96000], [11, 176400], [12, 192000],
])
