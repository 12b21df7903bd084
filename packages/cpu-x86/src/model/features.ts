import { Cr4, Efer, Xcr0 } from '../emit/control-bits.ts'

/** The leaf, subleaf and register of CPUID that tell of a feature, and its bit there. */
export interface FeatureBit {
  readonly leaf: number
  readonly subleaf: number
  readonly register: 'eax' | 'ebx' | 'ecx' | 'edx'
  readonly bit: number
  /** What software may set where it is there: bits of CR4, EFER and XCR0. */
  readonly cr4?: number
  readonly efer?: number
  readonly xcr0?: number
}

const at = (leaf: number, register: FeatureBit['register'], subleaf = 0) => (bit: number, sets: Pick<FeatureBit, 'cr4' | 'efer' | 'xcr0'> = {}): FeatureBit => ({ leaf, subleaf, register, bit, ...sets })
const edx1 = at(1, 'edx')
const ecx1 = at(1, 'ecx')
const ebx7 = at(7, 'ebx')
const ecx7 = at(7, 'ecx')
const edx7 = at(7, 'edx')
const eaxD = at(0xd, 'eax', 1)
const edxExtended = at(0x8000_0001, 'edx')
const ecxExtended = at(0x8000_0001, 'ecx')

/** The name of a feature: as SDM volume 2, CPUID has it, in small letters. */
export type Feature =
  | 'fpu' | 'vme' | 'de' | 'pse' | 'tsc' | 'msr' | 'pae' | 'mce' | 'cx8' | 'apic' | 'sep' | 'mtrr' | 'pge' | 'mca' | 'cmov' | 'pat' | 'pse36'
  | 'clfsh' | 'mmx' | 'fxsr' | 'sse' | 'sse2' | 'ss' | 'sse3' | 'pclmulqdq' | 'ssse3' | 'fma' | 'cx16' | 'pcid' | 'sse4_1' | 'sse4_2' | 'x2apic'
  | 'movbe' | 'popcnt' | 'tscDeadline' | 'aes' | 'xsave' | 'avx' | 'f16c' | 'rdrand' | 'hypervisor' | 'arat' | 'fsgsbase' | 'tscAdjust' | 'bmi1'
  | 'avx2' | 'smep' | 'bmi2' | 'erms' | 'invpcid' | 'noFcsFds' | 'rdseed' | 'adx' | 'smap' | 'clflushopt' | 'clwb' | 'sha' | 'umip' | 'la57'
  | 'rdpid' | 'fsrm' | 'specCtrl' | 'stibp' | 'archCapabilities' | 'ssbd' | 'bhiCtrl' | 'xsaveopt' | 'xsavec' | 'xgetbv1' | 'syscall' | 'nx' | 'pdpe1gb'
  | 'rdtscp' | 'lm' | 'lahf' | 'lzcnt' | 'prefetchw' | 'invariantTsc'

/** Everything that a model may have or not: each is one bit of CPUID (SDM volume 2, CPUID), and the bits of control registers that come with it (SDM volume 3, 2.5). */
export const features: Readonly<Record<Feature, FeatureBit>> = {
  fpu: edx1(0, { xcr0: Xcr0.x87 }), vme: edx1(1, { cr4: Cr4.vme | Cr4.pvi }), de: edx1(2, { cr4: Cr4.de }), pse: edx1(3, { cr4: Cr4.pse }), tsc: edx1(4, { cr4: Cr4.tsd }), msr: edx1(5),
  pae: edx1(6, { cr4: Cr4.pae }), mce: edx1(7, { cr4: Cr4.mce }), cx8: edx1(8), apic: edx1(9), sep: edx1(11), mtrr: edx1(12), pge: edx1(13, { cr4: Cr4.pge }), mca: edx1(14), cmov: edx1(15),
  pat: edx1(16), pse36: edx1(17), clfsh: edx1(19), mmx: edx1(23, { cr4: Cr4.pce }), fxsr: edx1(24, { cr4: Cr4.osfxsr }), sse: edx1(25, { cr4: Cr4.osxmmexcpt, xcr0: Xcr0.sse }), sse2: edx1(26), ss: edx1(27),
  sse3: ecx1(0), pclmulqdq: ecx1(1), ssse3: ecx1(9), fma: ecx1(12), cx16: ecx1(13), pcid: ecx1(17, { cr4: Cr4.pcide }), sse4_1: ecx1(19), sse4_2: ecx1(20), x2apic: ecx1(21), movbe: ecx1(22), popcnt: ecx1(23),
  tscDeadline: ecx1(24), aes: ecx1(25), xsave: ecx1(26, { cr4: Cr4.osxsave }), avx: ecx1(28, { xcr0: Xcr0.avx }), f16c: ecx1(29), rdrand: ecx1(30), hypervisor: ecx1(31),
  arat: at(6, 'eax')(2),
  fsgsbase: ebx7(0, { cr4: Cr4.fsgsbase }), tscAdjust: ebx7(1), bmi1: ebx7(3), avx2: ebx7(5), smep: ebx7(7, { cr4: Cr4.smep }), bmi2: ebx7(8), erms: ebx7(9), invpcid: ebx7(10), noFcsFds: ebx7(13), rdseed: ebx7(18), adx: ebx7(19),
  smap: ebx7(20, { cr4: Cr4.smap }), clflushopt: ebx7(23), clwb: ebx7(24), sha: ebx7(29),
  umip: ecx7(2, { cr4: Cr4.umip }), la57: ecx7(16, { cr4: Cr4.la57 }), rdpid: ecx7(22),
  fsrm: edx7(4), specCtrl: edx7(26), stibp: edx7(27), archCapabilities: edx7(29), ssbd: edx7(31), bhiCtrl: at(7, 'edx', 2)(4),
  xsaveopt: eaxD(0), xsavec: eaxD(1), xgetbv1: eaxD(2),
  syscall: edxExtended(11, { efer: Efer.sce }), nx: edxExtended(20, { efer: Efer.nxe }), pdpe1gb: edxExtended(26), rdtscp: edxExtended(27), lm: edxExtended(29, { efer: Efer.lme }),
  lahf: ecxExtended(0), lzcnt: ecxExtended(5), prefetchw: ecxExtended(8),
  invariantTsc: at(0x8000_0007, 'edx')(8),
}

export const featureNames: readonly Feature[] = Object.keys(features) as Feature[]
