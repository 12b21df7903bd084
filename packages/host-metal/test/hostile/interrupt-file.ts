/** What a guest may do to its interrupt file: all registers of AIA in every form, and messages (AIA 1.0, chapters 2 and 3). */
import { asm, csr } from './encode.ts'
import { type Deed, FILES } from './program.ts'
import { Random } from './random.ts'

const [SISELECT, SIREG, STOPEI, STOPI, SIP] = [0x150, 0x151, 0x15c, 0xdb0, 0x144]
/** Registers that there are, most of them twice: `eidelivery`, `eithreshold`, the arrays, those beyond the last identity, `iprio`, reserved ones. */
const registers: readonly number[] = [0x70, 0x70, 0x72, 0x80, 0x82, 0x84, 0x86, 0xc0, 0xc2, 0xc4, 0xc6, 0xc0, 0x80, 0x81, 0xc5, 0x88, 0xfe, 0x30, 0x31, 0x3e, 0x71, 0x7f, 0x40, 0, 0x100, 0x1ff, 0x200]

const deed = (what: string, words: readonly number[], value: bigint): Deed => ({ what, arguments: [0n, BigInt(FILES), value, 0n, 0n], words })

function one(random: Random): Deed[] {
  const value = random.pick([random.wide(), random.wide(), BigInt(random.below(300)), 1n, 0n])
  switch (random.below(8)) {
    case 0: case 1: return [deed('message', [asm.sw(12, 11, random.pick([0, 0, 0, 0, 4, 2048]))], BigInt(random.below(300)))]
    case 2: return [deed('message', [random.pick([asm.sd(12, 11, 0), asm.ld(10, 11, 0), asm.sw(12, 11, -4)])], value)]
    // QEMU 7.2 takes a write of no bits for none, and claims nothing.
    case 3: return [deed('csr 15c', csr(random, STOPEI), value | 1n)]
    case 4: return [deed('csr db0', csr(random, STOPI), value), deed('csr 144', [asm.csrr(10, SIP)], 0n)]
    case 5: return [deed('csr 150', csr(random, SISELECT), value)]
    default: return [deed('csr 150', [asm.csrw(SISELECT, 12)], BigInt(random.pick(registers))), deed('csr 151', csr(random, SIREG), value)]
  }
}

/** What a seed leads to. */
export function fileDeeds(seed: number, count: number): readonly Deed[] {
  const random = new Random(seed)
  return Array.from({ length: count }, () => one(random)).flat().slice(0, count)
}
