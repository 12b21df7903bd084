/** RAM by guest-physical addresses, little-endian, for a driver. */
export class Ram {
  readonly memory: Uint8Array
  readonly memoryBase: number
  readonly #view: DataView

  constructor(memory: Uint8Array, memoryBase: number) {
    this.memory = memory
    this.memoryBase = memoryBase
    this.#view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
  }

  get16(address: number): number {
    return this.#view.getUint16(address - this.memoryBase, true)
  }

  set16(address: number, value: number): void {
    this.#view.setUint16(address - this.memoryBase, value, true)
  }

  get32(address: number): number {
    return this.#view.getUint32(address - this.memoryBase, true)
  }

  set32(address: number, value: number): void {
    this.#view.setUint32(address - this.memoryBase, value, true)
  }

  /** Writes one descriptor: what its last two fields mean depends on the format. */
  setDescriptor(table: number, index: number, address: number, length: number, third: number, fourth: number): void {
    const at = table + 16 * index
    this.set32(at, address % 2 ** 32)
    this.set32(at + 4, Math.floor(address / 2 ** 32))
    this.set32(at + 8, length)
    this.set16(at + 12, third)
    this.set16(at + 14, fourth)
  }

  copy(address: number, length: number): Uint8Array {
    return this.memory.slice(address - this.memoryBase, address - this.memoryBase + length)
  }
}
