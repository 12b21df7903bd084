import type { Stage } from '../emit/stage.ts'
import { group, type Instruction } from '../isa/form.ts'

/** Fences, and what is said of caches (SDM volume 1, 10.4.6, 11.4.4). Harts that share a thread see everything in order, and there are no caches: what is left are faults. */
const { instructions, define } = group('caches')
export const caches: readonly Instruction[] = instructions

// The processor ignores ModRM.rm.
for (const [name, first] of [['lfence', 0xe8], ['mfence', 0xf0], ['sfence', 0xf8]] as const) {
  define(name, Array.from({ length: 8 }, (_, i) => `NP.0F.AE:${(first + i).toString(16).toUpperCase()}`), (s) => s.nothing())
}
/** They may fault as a load of a byte. */
const touch = (s: Stage): void => {
  s.let(s.read(0))
}
define('clflush', ['NP.0F.AE/7 Mb'], touch)
define('clflushopt', ['66.0F.AE/7 Mb'], touch)
define('clwb', ['66.0F.AE/6 Mb'], touch)
define('prefetchw', ['0F.0D/1 Mb'], (s) => s.nothing())
define('prefetchwt1', ['0F.0D/2 Mb'], (s) => s.nothing())
define('prefetch', [0, 3, 4, 5, 6, 7].map((digit) => `0F.0D/${digit} Mb`), (s) => s.nothing())
