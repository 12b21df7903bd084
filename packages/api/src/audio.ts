/** Sound between a device and a host. The machine's clock decides when the host is given sound, or asked for it. */

/** One sample, little-endian: unsigned or signed integers, or an IEEE 754 number from −1 to 1. */
export type SampleFormat = 'u8' | 's16' | 's32' | 'f32'

/** How sound is cut into samples. */
export interface AudioFormat {
  readonly sample: SampleFormat
  /** Samples at one instant, 1 or more: left, right and so on, one after another. */
  readonly channels: number
  /** Instants a second. */
  readonly rate: number
}

/** Bytes of a sample. */
export const sampleSize: Readonly<Record<SampleFormat, number>> = { u8: 1, s16: 2, s32: 4, f32: 4 }

/** Loudspeakers and microphones: streams, numbered as the device numbers them. */
export interface AudioPort {
  /** A stream begins, in a format that holds until it stops. */
  start(stream: number, format: AudioFormat): void
  /** Sound that begins to be heard now: whole instants, after what came before. The bytes are the device's: copy what is needed. */
  play(stream: number, bytes: Uint8Array): void
  /** Fills `into` with what was recorded since the last call, or silence. Zeros are silence already, but for `'u8'`, where 128 is. */
  record(stream: number, into: Uint8Array): void
  stop(stream: number): void
}
