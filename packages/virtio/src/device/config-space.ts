/** A configuration space held as bytes, for devices whose fields seldom change. Little-endian (virtio 1.2, 2.5). */
export class ConfigSpace {
  readonly bytes: Uint8Array
  readonly view: DataView

  /** @param size - bytes, as long as the structure in the specification */
  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }

  /** What `VirtioDevice.readConfig` returns. Bytes past the end read as zero. */
  read(offset: number, width: 1 | 2 | 4): number {
    let value = 0
    for (let index = width - 1; index >= 0; index--) value = (value << 8) | (this.bytes[offset + index] ?? 0)
    return value >>> 0
  }

  /** Stores a 64-bit field, below 2^53. */
  set64(offset: number, value: number): void {
    this.view.setUint32(offset, value % 2 ** 32, true)
    this.view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true)
  }
}
