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
  errno(): number
}

interface Koffi {
  load(library: string): { func(prototype: string): ((...values: unknown[]) => number) & { async(...values: unknown[]): void } }
  errno(): number
}

let known: Libc | null = null

/** The C library, through koffi, which is not installed with this package; null where there is none, or no Linux. */
export function libc(): Libc | null {
  if (known !== null || process.platform !== 'linux') return known
  let koffi: Koffi
  try {
    koffi = createRequire(import.meta.url)('koffi') as Koffi
  } catch {
    return null
  }
  const library = koffi.load('libc.so.6')
  const withPointer = library.func('int ioctl(int, unsigned long, void *)')
  const withNumber = library.func('int ioctl(int, unsigned long, unsigned long)')
  const poll = library.func('int poll(void *, unsigned long, int)')
  const socket = library.func('int socket(int, int, int)')
  const sendTo = library.func('long sendto(int, void *, unsigned long, int, void *, unsigned int)')
  const receiveFrom = library.func('long recvfrom(int, void *, unsigned long, int, void *, void *)')
  known = {
    ioctl: (fd, number, argument) => (typeof argument === 'number' ? withNumber(fd, number, argument) : withPointer(fd, number, argument)),
    poll(fds, count, timeout, done) { poll.async(fds, count, timeout, done) },
    socket: (family, type, protocol) => socket(family, type, protocol),
    sendTo: (fd, bytes, address) => Number(sendTo(fd, bytes, bytes.length, 0, address, address.length)),
    receiveFrom(fd, bytes, address) {
      const length = Uint32Array.of(address.length)
      return Number(receiveFrom(fd, bytes, bytes.length, 0, address, length))
    },
    errno: () => koffi.errno(),
  }
  return known
}
