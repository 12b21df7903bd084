import type { QuickMemory } from '@machinist/memory'

/** A range of physical memory. */
export interface PhysicalRange {
  /** Physical address. */
  readonly base: number
  /** Bytes. */
  readonly length: number
}

/**
 * What the microkernel does for TypeScript, and all that it does; the program finds it in the global `native`. Addresses and lengths are physical bytes, below 2^53; times are nanoseconds since the kernel started. What the kernel is given is
 * checked by it: an argument out of range throws a `RangeError`.
 */
export interface Native {
  /** The device tree that firmware handed over. */
  readonly fdt: ArrayBuffer
  /** What was built into the image beside the program: a `cpio` archive, or nothing. */
  readonly files: ArrayBuffer
  /** Ticks of the `time` CSR in a second. */
  readonly frequency: number
  /** Harts of the hardware. TypeScript runs on number 0, whichever the hardware calls so. */
  readonly harts: number
  /** What the hardware calls number 0: its `mhartid`. */
  readonly bootHart: number
  /** Identities of this hart's interrupt file for supervisor mode (AIA 1.0, chapter 3); 0 where it has none. */
  readonly identities: number
  /** Those of this hart's first guest interrupt file, in which a guest's is while it runs, if it has as many; 0 where there is none. */
  readonly guestIdentities: number
  /** Memory that is left for guests. */
  ram(): readonly PhysicalRange[]
  /** Physical memory as it is, no copy; less than 2^31 bytes. */
  window(address: number, length: number): ArrayBuffer
  zero(address: number, length: number): void
  copy(to: number, from: number, length: number): void
  /** A hash of the page at an address: 0 for zeros, and for nothing else. */
  hash(page: number): number
  /** Whether two pages hold the same. */
  same(page: number, other: number): boolean
  /** Compresses a page in the form of `lzCodec` of `@machinist/memory`; bytes, 0 when `into` is too short. */
  compress(page: Uint8Array, into: Uint8Array): number
  /** @throws a RangeError for what is damaged */
  decompress(packed: Uint8Array, into: Uint8Array): void
  /** The engine's heap, in bytes: all of it, what its allocator has taken of it, and what the program has of that. */
  heap(): { readonly size: number; readonly taken: number; readonly used: number }
  /** Reads a register of a device of the hardware. As with {@link Native.write}, all accesses to memory before it and after it are so for devices, too; and where nobody answers, it throws a `RangeError`. */
  read(address: number, width: 1 | 2 | 4): number
  write(address: number, width: 1 | 2 | 4, value: number): void
  /** Devices see all accesses to memory before it before those after it: `fence`. */
  fence(): void

  /** A guest-physical address space (G-stage tables), empty; its number. */
  createVm(): number
  destroyVm(vm: number): void
  /** Maps whole pages of 4096 bytes, in the place of what was mapped there. As after {@link Native.unmap}, no hart goes on with what was. */
  map(vm: number, guest: number, host: number, length: number, writable: boolean): void
  unmap(vm: number, guest: number, length: number): void
  /** What the kernel may do about accesses of that machine's harts to devices, a `shortcutRecord`, all zeros: it does nothing. */
  shortcuts(vm: number): ArrayBuffer
  /**
   * Does what is done to a machine's RAM most often, by its page map. Memory of several pieces is told of one after the other, at most 64; what any of the answers does is done to all of them.
   *
   * @param base - physical address of its arena, of which `length` bytes are used
   * @param table - where its `ramTable` is in that
   */
  quickMemory(vm: number, base: number, length: number, table: number): QuickMemory | null
  /** All that the tables lead to, as the hardware would find it: for each entry guest-physical and physical address, bytes, and 1 when it may be written, as float64 in the hardware's order. For tests. */
  mappings(vm: number): ArrayBuffer
  /** A hart of that machine: its number, and the record of its registers and exits, a {@link vcpuRecord}, all zeros. */
  createVcpu(vm: number, index: number): { readonly id: number; readonly page: ArrayBuffer }
  destroyVcpu(vcpu: number): void
  /** Runs it here until it exits, or until a time. Why it exited stands in its record. */
  enter(vcpu: number, until: number): void
  /** The same on another hart, at once; it is among {@link Native.exited} later. */
  dispatch(vcpu: number, hart: number, until: number): void
  /** Makes it exit soon, wherever it runs. */
  kick(vcpu: number): void
  /** Raises its supervisor software interrupt, wherever it runs. */
  raise(vcpu: number): void
  /** A message for its interrupt file (AIA 1.0, chapter 3), wherever it runs and wherever the file is. With identity 0, or another that does not exist, only what follows from its record is worked out anew. */
  message(vcpu: number, identity: number): void
  /** Drops what it knows of the guest's own page tables and of its code (HFENCE.VVMA, FENCE.I), before it executes anything more; one that runs elsewhere has done it when this returns. */
  flush(vcpu: number): void
  /** One that was dispatched and has exited, or -1. */
  exited(): number

  now(): number
  /** Waits for an interrupt of the hardware, an exit on another hart, or a time. */
  idle(until: number): void
  /** Claims the next pending interrupt of the hardware's devices: its source, or 0. Where there is no PLIC, sources are identities of this hart's interrupt file. */
  claim(): number
  complete(source: number): void
  /** Lets a source interrupt. */
  enable(source: number, on: boolean): void
  /** Runs what promises wait for, until nothing waits. A rejection that nobody has handled by then is printed, with its stack. */
  jobs(): void
  /** To the console of the hardware, and at once: for what must be seen when nothing else works. */
  print(text: string): void
  powerOff(status: number): never
}
