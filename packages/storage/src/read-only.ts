import type { Backend, BlockPort, BlockStatus } from '@machinist/api'

/** Any disk, with its writes refused. */
export function readOnly(disk: Backend<BlockPort>): Backend<BlockPort> {
  const { fork } = disk
  return {
    kind: disk.kind,
    connect(deliver, clock): BlockPort {
      const port = disk.connect(deliver, clock)
      const refuse = (done: (status: BlockStatus) => void): void => { deliver(() => { done('read-only') }) }
      return {
        size: port.size,
        readOnly: true,
        blockSize: port.blockSize,
        read: (offset, into, done) => { port.read(offset, into, done) },
        ...(port.readAtOnce && { readAtOnce: (offset: number, into: readonly Uint8Array[], done: (status: BlockStatus) => void) => port.readAtOnce?.(offset, into, done) ?? false }),
        write: (_offset, _from, done) => { refuse(done) },
        flush: (done) => { port.flush(done) },
      }
    },
    ...(fork && { fork: () => readOnly(fork.call(disk)) }),
    save: () => disk.save?.() ?? [],
    restore: (saved, part) => disk.restore?.(saved, part) ?? false,
    quiesce: () => { disk.quiesce?.() },
    park: () => disk.park?.() ?? (() => {}),
    close: () => disk.close?.(),
  }
}
