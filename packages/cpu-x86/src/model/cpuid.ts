import { type Feature, features, featureNames } from './features.ts'
import { maskOf, type Model } from './models.ts'
import { Xcr0 } from '../emit/control-bits.ts'

/** EAX, EBX, ECX and EDX. */
export type CpuidRegisters = readonly [eax: number, ebx: number, ecx: number, edx: number]

/** What CPUID tells of besides the model. */
export interface CpuidPlace {
  /** The number of the hart, which is the ID of its local APIC; and how many there are. */
  readonly hart: number
  readonly harts: number
  /** Counts of the time-stamp counter in a second. */
  readonly timeFrequency: number
  /** CR4.OSXSAVE, XCR0, and whether the local APIC is enabled. */
  readonly osxsave: boolean
  readonly xcr0: number
  readonly apic: boolean
}

/** Counts of a local APIC's timer in a second, before it is divided: leaf 15H calls it the core crystal clock. */
export const CRYSTAL_FREQUENCY = 1_000_000_000
/** Where what is not of XSAVE's legacy region and header begins, and what AVX's part takes (SDM volume 1, 13.4.3, 13.5.3). */
export const XSAVE_AVX = { at: 576, size: 256 } as const
const HYPERVISOR = 0x4000_0000
const LINE = 64
/** Of leaf 4: type (data, instructions, unified), level, ways, sets, whether all cores share it. */
const caches = [[1, 1, 8, 64, false], [2, 1, 8, 64, false], [3, 2, 16, 1024, false], [3, 3, 16, 16384, true]] as const

/** Four characters of a text each, in the order of memory. */
const words = (text: string, from: number): readonly [number, number, number] => {
  const word = (i: number): number => [0, 1, 2, 3].reduce((value, byte) => value | (text.charCodeAt(from + 4 * i + byte) || 0) << 8 * byte, 0)
  return [word(0), word(1), word(2)]
}

/** Bits that number so many. */
const bitsFor = (count: number): number => count <= 1 ? 0 : 32 - Math.clz32(count - 1)

/** What CPUID gives for a leaf in EAX and a subleaf in ECX (SDM volume 2, CPUID), as numbers of 32 bits, which may be negative. What is beyond the last leaf is as the last basic one. */
export function cpuid(model: Model, leaf: number, subleaf: number, place: CpuidPlace): CpuidRegisters {
  const first = leaf >>> 0
  const extended = first >= 0x8000_0000
  if (first === HYPERVISOR && model.features.has('hypervisor')) {
    const [b, c, d] = words('MachinistVMM', 0)
    return [HYPERVISOR, b, c, d]
  }
  const known = extended ? first <= model.extendedLeaves : first <= model.leaves
  const [eax, ebx, ecx, edx] = known ? leafOf(model, first, subleaf >>> 0, place) : leafOf(model, model.leaves, subleaf >>> 0, place)
  return [eax | 0, ebx | 0, ecx | 0, edx | 0]
}

/** The bits that a model's features are in a register of a leaf. */
function bitsOf(model: Model, leaf: number, register: 'eax' | 'ebx' | 'ecx' | 'edx', subleaf = 0): number {
  return featureNames.reduce((bits, name) => {
    const feature = features[name]
    return feature.leaf === leaf && feature.subleaf === subleaf && feature.register === register && model.features.has(name) ? bits | 1 << feature.bit : bits
  }, 0)
}

function leafOf(model: Model, leaf: number, subleaf: number, { hart, harts, timeFrequency, osxsave, xcr0, apic }: CpuidPlace): CpuidRegisters {
  const has = (feature: Feature): boolean => model.features.has(feature)
  switch (leaf) {
    case 0: {
      const [b, d, c] = words('GenuineIntel', 0)
      return [model.leaves, b, c, d]
    }
    case 1: {
      const several = harts > 1 ? 1 << 28 : 0
      const edx = (bitsOf(model, 1, 'edx') & ~(apic ? 0 : 1 << features.apic.bit)) | several
      return [model.signature, (has('clfsh') ? LINE / 8 << 8 : 0) | Math.min(harts, 255) << 16 | hart << 24, bitsOf(model, 1, 'ecx') | (osxsave ? 1 << 27 : 0), edx]
    }
    // Descriptors: prefetches of 64 bytes; caches are those of leaf 4.
    case 2: return [model.leaves >= 4 ? 0x00ff_f001 : 1, 0, 0, 0]
    case 4: {
      const cache = caches[subleaf]
      if (!cache) return [0, 0, 0, 0]
      const [type, level, ways, sets, shared] = cache
      const cores = (1 << bitsFor(harts)) - 1
      return [type | level << 5 | 1 << 8 | (shared ? cores : 0) << 14 | Math.min(cores, 63) << 26, LINE - 1 | (ways - 1) << 22, sets - 1, 0]
    }
    case 6: return [bitsOf(model, 6, 'eax'), 0, 0, 0]
    case 7: return [subleaf === 0 && has('bhiCtrl') ? 2 : 0, bitsOf(model, 7, 'ebx', subleaf), bitsOf(model, 7, 'ecx', subleaf), bitsOf(model, 7, 'edx', subleaf)]
    // Levels of topology: one thread in each core, all cores in one package.
    case 0xb: return subleaf === 0 ? [0, 1, 1 << 8, hart] : subleaf === 1 ? [bitsFor(harts), harts, 2 << 8 | 1, hart] : [0, 0, subleaf & 255, hart]
    case 0xd: return has('xsave') ? xsaveLeaf(model, subleaf, xcr0) : [0, 0, 0, 0]
    case 0x15: {
      const common = divisor(timeFrequency, CRYSTAL_FREQUENCY)
      return [CRYSTAL_FREQUENCY / common, timeFrequency / common, CRYSTAL_FREQUENCY, 0]
    }
    case 0x16: {
      const mhz = Math.min(Math.max(Math.round(timeFrequency / 1e6), 1), 0xffff)
      return [mhz, mhz, CRYSTAL_FREQUENCY / 1e6, 0]
    }
    case 0x8000_0000: return [model.extendedLeaves, 0, 0, 0]
    case 0x8000_0001: return [0, 0, bitsOf(model, leaf, 'ecx'), bitsOf(model, leaf, 'edx')]
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004: {
      const text = `Machinist ${model.name}`.padEnd(48, '\0')
      const from = (leaf - 0x8000_0002) * 16
      const [a, b, c] = words(text, from)
      return [a, b, c, words(text, from + 12)[0]]
    }
    // Of the cache of level 2: lines of 64 bytes, 16 ways, KiB.
    case 0x8000_0006: return [0, 0, LINE | 8 << 12 | 1024 << 16, 0]
    case 0x8000_0007: return [0, 0, 0, bitsOf(model, leaf, 'edx')]
    case 0x8000_0008: return [model.physicalBits | (has('la57') ? 57 : has('lm') ? 48 : 32) << 8, 0, 0, 0]
    default: return [0, 0, 0, 0]
  }
}

function xsaveLeaf(model: Model, subleaf: number, xcr0: number): CpuidRegisters {
  const all = maskOf(model, 'xcr0')
  const size = (parts: number): number => XSAVE_AVX.at + ((parts & Xcr0.avx) !== 0 ? XSAVE_AVX.size : 0)
  if (subleaf === 0) return [all, size(xcr0), size(all), 0]
  if (subleaf === 1) return [bitsOf(model, 0xd, 'eax', 1), model.features.has('xsavec') ? size(xcr0) : 0, 0, 0]
  return subleaf === 2 && (all & Xcr0.avx) !== 0 ? [XSAVE_AVX.size, XSAVE_AVX.at, 0, 0] : [0, 0, 0, 0]
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b)
}
