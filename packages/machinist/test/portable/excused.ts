/** Tests that do not run in the engine for bare metal, for a reason of their own: a test, or a whole file, which is not even tried. */
export interface Excused {
  /** Below `packages`. */
  readonly file: string
  /** How the test's name begins; all of the file unless given. */
  readonly test?: string
  readonly why: string
}

const host = 'it compares with programs or files of the host'
const zlib = 'it compresses with zlib, which is the host\'s'
const seconds = 'it simulates seconds of machines, one instruction after the other, which takes minutes'

/** Everything else of the portable packages must pass. */
export const excused: readonly Excused[] = [
  { file: 'memory/src/guest-memory.test.ts', test: 'frames in the upper half of a full-sized arena', why: 'an ArrayBuffer of this engine has at most 2^31 - 1 bytes' },
  { file: 'mmu/src/peek.test.ts', why: 'it compares with the walker of the software core, which is WebAssembly' },
  { file: 'mmu/test/x86.test.ts', why: 'the walker that it tests is WebAssembly' },
  { file: 'machine/src/life/hand-over.test.ts', why: 'memory that other threads see is a WebAssembly.Memory here, and there are no threads on bare metal' },
  { file: 'machine/test/worker.test.ts', why: 'there are no workers' },
  { file: 'machine/src/running/run-loop.test.ts', why: seconds },
  { file: 'boot/src/ext4/ext4.test.ts', why: host },
  { file: 'boot/src/loaders.test.ts', test: 'parseLinuxImage > refuses what is not an Image', why: host },
  { file: 'boot/src/loaders.test.ts', test: 'parseElf > reads this very Node', why: host },
  { file: 'boot/src/loaders.test.ts', test: 'planRiscvBoot > refuses what cannot boot', why: host },
  { file: 'boot/src/unpack/inflate.test.ts', why: host },
  { file: 'boot/src/unpack/xz.test.ts', test: 'what xz packs', why: host },
  { file: 'boot/src/unpack/zstd.test.ts', test: 'what zstd packs', why: host },
  { file: 'network/src/nat/nat.test.ts', why: host },
  { file: 'storage/src/foreign.test.ts', why: zlib },
  { file: 'storage/src/signatures.test.ts', test: 'VHD of up to 2040 GiB', why: 'it has a sparse file of terabytes' },
  { file: 'storage/src/differencing.test.ts', test: 'a differencing VHDX > refuses a parent that has changed', why: 'it searches bytes as Buffer alone can' },
  { file: 'storage/src/vmdk/vmdk.test.ts', test: 'stream-optimised images', why: zlib },
  { file: 'storage/src/work-on-images.test.ts', test: 'images are made, converted and checked over any files > from format to format', why: zlib },
  { file: 'storage/test/killed.test.ts', why: 'it kills processes' },
  { file: 'storage/test/power.test.ts', test: 'a loss of power at any moment leaves what was flushed, and a sound image > vmdk, stream-optimised', why: zlib },
  { file: 'hypervisor/src/control/balance.test.ts', why: seconds },
  { file: 'hypervisor/src/control/shares.test.ts', why: seconds },
  { file: 'hypervisor/src/control/stopping.test.ts', why: seconds },
  { file: 'hypervisor/src/control/control.test.ts', why: seconds },
  { file: 'hypervisor/src/memory/controller.test.ts', why: seconds },
  { file: 'hypervisor/src/memory/idle.test.ts', why: seconds },
  { file: 'hypervisor/src/remote/cbor.test.ts', test: 'values as CBOR > random plain data comes back', why: host },
]

/** Why a test need not pass, if it need not; of a whole file, when no test is named. */
export function excuseFor(file: string, test?: string): Excused | undefined {
  return excused.find((each) => each.file === file && (test === undefined ? each.test === undefined : each.test !== undefined && test.startsWith(each.test)))
}
