/**
 * A device's view of guest-physical memory. Every access is bounds-checked; a write marks pages dirty and drops
 * stale translations. Addresses are numbers; a 64-bit guest address beyond 2^53 is simply not memory.
 * DMA reaches RAM only, never device registers.
 */
export interface DmaSpace {
  /** Copies guest memory into `into`. Returns false, having copied nothing, when any byte is not RAM. */
  read(address: number, into: Uint8Array): boolean
  /** Copies `from` into guest memory. Returns false, having written nothing, when any byte is not RAM. */
  write(address: number, from: Uint8Array): boolean
  /** Two bytes of guest memory as a number, the low byte first; −1 when not both are RAM. */
  read16(address: number): number
  /** Four bytes of guest memory as an unsigned number, the low byte first; −1 when not all are RAM. */
  read32(address: number): number
  /** Copies words of four bytes, the low byte first, from any address: descriptors, say. Returns false, having copied nothing, when any byte is not RAM. */
  readWords(address: number, into: Uint32Array): boolean
  /**
   * Copies a chain of descriptors of a split virtqueue (virtio 1.2, 2.7.5), 4 words each, from number `head` of a table of `entries` on, each followed by the one that it names: up to the first that names none, or an indirect table, or one beyond the table, or as far as there is room.
   * Nothing is checked. Returns how many; 0 when it cannot say: who asks reads them one by one. Absent where that is as quick.
   */
  readDescriptors?(table: number, entries: number, head: number, into: Uint32Array): number
  /** Writes the low 16 bits of `value`, the low byte first. Returns false, having written nothing, when not both bytes are RAM. */
  write16(address: number, value: number): boolean
  /** Writes the low 32 bits of `value`, the low byte first. Returns false, having written nothing, when not all bytes are RAM. */
  write32(address: number, value: number): boolean
  /**
   * Direct views of a range, in order, one for each contiguous piece; null when any byte is not RAM. `'write'`
   * marks the range dirty at once. A view is valid until the device returns to its caller, and the guest may
   * change it at any time: never validate what can be read twice.
   */
  map(address: number, length: number, access: 'read' | 'write'): readonly Uint8Array[] | null
  /**
   * Gives back the memory behind the whole pages (4096 bytes) of a range: they read as zeros until they are written
   * again, and other pages may use it meanwhile. What the range holds of other pages stays as it is. Returns false,
   * having done nothing, when any byte is not RAM. Ends the life of every view.
   */
  release(address: number, length: number): boolean
  /**
   * All accesses before it come before all those after it, as harts see it that run meanwhile: who shares a ring with a driver goes by that, as the driver does by its own barriers. Absent where no hart runs while a device does something.
   */
  readonly fence?: (() => void) | undefined
}
