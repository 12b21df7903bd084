import { createRequire } from 'node:module'

/** The system calls of Linux that Node.js does not have. Those that return less than 0 leave their reason in {@link errno}. */
export interface Libc {
  ioctl(fd: number, request: number, argument: Uint8Array | number): number
  /** Waits in Node's pool of threads, at most so many milliseconds; `done` is called when something happened, or nothing did. */
  poll(fds: Uint8Array, count: number, timeout: number, done: () => void): void
  socket(family: number, type: number, protocol: number): number
  sendTo(fd: number, bytes: Uint8Array, address: Uint8Array): number
  /** Fills `bytes` and `address`; returns how many bytes there were. */
  receiveFrom(fd: number, bytes: Uint8Array, address: Uint8Array): number
  /** Null where offsets are not of 64 bits. */
  readonly files: FileCalls | null
  errno(): number
  /** Gives back what is behind pages of anonymous memory: they read as zeros afterwards. What it is given is whole pages, of {@link pageSize}. */
  discard(bytes: Uint8Array): number
  /** Bytes in a page of the host. */
  readonly pageSize: number
}

/** System calls for files, at offsets of 64 bits. */
export interface FileCalls {
  fallocate(fd: number, mode: number, offset: number, length: number): number
  /** The same in Node's pool of threads; of a failure the reason is not known. */
  fallocateLater(fd: number, mode: number, offset: number, length: number): Promise<number>
  fcntl(fd: number, command: number, argument: Uint8Array): number
  lseek(fd: number, offset: number, whence: number): number
}

/** MADV_DONTNEED of madvise(2), the same on all machines but alpha. */
const MADV_DONTNEED = 4

/** Machines whose `long` and `off_t` have 64 bits, the lower first. */
const wide: readonly string[] = ['x64', 'arm64', 'riscv64', 'loong64']

interface Library {
  func(prototype: string): ((...values: unknown[]) => number) & { async(...values: unknown[]): void }
}

interface Koffi {
  /** With null, what the program itself was linked with. */
  load(library: string | null): Library
  errno(): number
}

let known: Libc | null = null

/** The C library, through koffi, which is not installed with this package; null where there is none, or no Linux. */
export function libc(): Libc | null {
  if (known !== null || process.platform !== 'linux') return known
  let koffi: Koffi
  let library: Library
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi
    library = koffi.load(null)
  } catch {
    return null
  }
  const withPointer = library.func('int ioctl(int, unsigned long, void *)')
  const withNumber = library.func('int ioctl(int, unsigned long, unsigned long)')
  const poll = library.func('int poll(void *, unsigned long, int)')
  const socket = library.func('int socket(int, int, int)')
  const sendTo = library.func('long sendto(int, void *, unsigned long, int, void *, unsigned int)')
  const receiveFrom = library.func('long recvfrom(int, void *, unsigned long, int, void *, void *)')
  const madvise = library.func('int madvise(void *, unsigned long, int)')
  known = {
    ioctl: (fd, number, argument) => (typeof argument === 'number' ? withNumber(fd, number, argument) : withPointer(fd, number, argument)),
    poll(fds, count, timeout, done) { poll.async(fds, count, timeout, done) },
    socket: (family, type, protocol) => socket(family, type, protocol),
    sendTo: (fd, bytes, address) => Number(sendTo(fd, bytes, bytes.length, 0, address, address.length)),
    receiveFrom(fd, bytes, address) {
      const length = Uint32Array.of(address.length)
      return Number(receiveFrom(fd, bytes, bytes.length, 0, address, length))
    },
    files: wide.includes(process.arch) ? fileCalls(library) : null,
    errno: () => koffi.errno(),
    pageSize: library.func('int getpagesize()')(),
    discard: (bytes) => madvise(bytes, bytes.length, MADV_DONTNEED),
  }
  return known
}

function fileCalls(library: Library): FileCalls {
  const fallocate = library.func('int fallocate(int, int, long, long)')
  const fcntl = library.func('int fcntl(int, int, void *)')
  const lseek = library.func('long lseek(int, long, int)')
  return {
    fallocate: (fd, mode, offset, length) => fallocate(fd, mode, offset, length),
    fallocateLater: (fd, mode, offset, length) => new Promise((resolve) => {
      fallocate.async(fd, mode, offset, length, (_error: unknown, result: number) => { resolve(result) })
    }),
    fcntl: (fd, command, argument) => fcntl(fd, command, argument),
    lseek: (fd, offset, whence) => Number(lseek(fd, offset, whence)),
  }
}
