/** Tests that do not run in the engine for bare metal, for a reason of their own: a test, or a whole file, which is not even tried. */
export interface Excused {
  /** Below `packages`. */
  readonly file: string
  /** How the test's name begins; all of the file unless given. */
  readonly test?: string
  readonly why: string
}

const host = 'it compares with programs or files of the host'

/** Everything else of the portable packages must pass. */
export const excused: readonly Excused[] = [
  { file: 'memory/src/guest-memory.test.ts', test: 'frames in the upper half of a full-sized arena', why: 'an ArrayBuffer of this engine has at most 2^31 - 1 bytes' },
  { file: 'mmu/src/peek.test.ts', why: 'it compares with the walker of the software core, which is WebAssembly' },
  { file: 'mmu/test/x86.test.ts', why: 'the walker that it tests is WebAssembly' },
  { file: 'machine/src/life/hand-over.test.ts', why: 'memory that other threads see is a WebAssembly.Memory here, and there are no threads on bare metal' },
  { file: 'machine/test/worker.test.ts', why: 'there are no workers' },
  { file: 'machine/src/running/run-loop.test.ts', why: 'it simulates seconds of harts, one instruction after the other, which takes minutes' },
  { file: 'boot/src/ext4/ext4.test.ts', why: host },
  { file: 'boot/src/loaders.test.ts', test: 'parseLinuxImage > refuses what is not an Image', why: host },
  { file: 'boot/src/loaders.test.ts', test: 'parseElf > reads this very Node', why: host },
  { file: 'boot/src/loaders.test.ts', test: 'planRiscvBoot > refuses what cannot boot', why: host },
  { file: 'boot/src/unpack/inflate.test.ts', why: host },
  { file: 'boot/src/unpack/xz.test.ts', test: 'what xz packs', why: host },
  { file: 'boot/src/unpack/zstd.test.ts', test: 'what zstd packs', why: host },
  { file: 'network/src/nat/nat.test.ts', why: host },
]

/** Why a test need not pass, if it need not; of a whole file, when no test is named. */
export function excuseFor(file: string, test?: string): Excused | undefined {
  return excused.find((each) => each.file === file && (test === undefined ? each.test === undefined : each.test !== undefined && test.startsWith(each.test)))
}
