import { type Feature, featureNames, features } from './features.ts'
import { machineError } from '../isa/errors.ts'

/** A kind of processor: what CPUID tells, and what there is to set and to execute. */
export interface Model {
  readonly name: string
  /** Family, model and stepping, as leaf 1 of CPUID has them in EAX. */
  readonly signature: number
  readonly features: ReadonlySet<Feature>
  /** The last basic leaf of CPUID, and the last extended one; 0 without. */
  readonly leaves: number
  readonly extendedLeaves: number
  /** Bits of a physical address. */
  readonly physicalBits: number
}

const i486: readonly Feature[] = ['fpu', 'vme', 'pse']
const pentium: readonly Feature[] = [...i486, 'de', 'tsc', 'msr', 'mce', 'cx8', 'apic', 'mmx']
const i686: readonly Feature[] = [...pentium, 'pae', 'sep', 'mtrr', 'pge', 'mca', 'cmov', 'pat', 'pse36', 'fxsr', 'sse', 'ss']
/** What kernels of 32 bits want of a virtual machine's processor: a counter whose rate they are told and need not doubt, timers by it, random numbers, and nothing that leaks by speculation. */
const x86_32: readonly Feature[] = [
  ...i686, 'clfsh', 'sse2', 'tscDeadline', 'tscAdjust', 'arat', 'invariantTsc', 'erms', 'fsrm', 'rdrand', 'rdseed', 'hypervisor', 'specCtrl', 'stibp', 'ssbd', 'bhiCtrl', 'archCapabilities',
]
/** What the x86-64 psABI calls the baseline, and what a kernel wants to be quick: programs see of it FSGSBASE, RDTSCP, RDRAND and RDSEED alone. */
const baseline: readonly Feature[] = [
  ...i686, 'clfsh', 'sse2', 'syscall', 'nx', 'lm', 'rdtscp', 'pdpe1gb', 'prefetchw', 'lahf', 'cx16',
  'pcid', 'invpcid', 'x2apic', 'tscDeadline', 'tscAdjust', 'arat', 'invariantTsc', 'fsgsbase', 'smep', 'smap', 'umip', 'erms', 'fsrm', 'noFcsFds', 'rdrand', 'rdseed', 'hypervisor',
  'specCtrl', 'stibp', 'ssbd', 'bhiCtrl', 'archCapabilities',
]
const v2: readonly Feature[] = [...baseline, 'sse3', 'ssse3', 'sse4_1', 'sse4_2', 'popcnt']
const v3: readonly Feature[] = [...v2, 'xsave', 'xsaveopt', 'xsavec', 'xgetbv1', 'avx', 'avx2', 'fma', 'f16c', 'bmi1', 'bmi2', 'movbe', 'lzcnt', 'adx', 'aes', 'pclmulqdq', 'sha', 'clflushopt', 'clwb', 'rdpid']

const signature = (family: number, model: number, stepping: number): number => (model >> 4) << 16 | family << 8 | (model & 15) << 4 | stepping
const made = (name: string, of: number, list: readonly Feature[], leaves: number, extendedLeaves: number, physicalBits: number): Model => ({ name, signature: of, features: new Set(list), leaves, extendedLeaves, physicalBits })
const modern = (name: string, list: readonly Feature[]): Model => made(name, signature(6, 0x1a, 3), list, 0x16, 0x8000_0008, 40)

/** The name of a model. */
export type ModelName = '486' | 'pentium' | 'i686' | 'x86-32' | 'x86-64' | 'x86-64-v2' | 'x86-64-v3' | 'max'

/** The models that there are. `max` has everything that is there to have. */
export const models: Readonly<Record<ModelName, Model>> = {
  '486': made('486', signature(4, 8, 0), i486, 1, 0, 32),
  pentium: made('pentium', signature(5, 4, 3), pentium, 1, 0, 32),
  i686: made('i686', signature(6, 8, 3), i686, 2, 0, 36),
  'x86-32': modern('x86-32', x86_32),
  'x86-64': modern('x86-64', baseline),
  'x86-64-v2': modern('x86-64-v2', v2),
  'x86-64-v3': modern('x86-64-v3', v3),
  max: modern('max', featureNames),
}

/** @throws `'encoding'` when there is no such model */
export function modelNamed(name: string): Model {
  const found: Model | undefined = Object.hasOwn(models, name) ? models[name as ModelName] : undefined
  if (!found) throw machineError('model', name, 'there is none of that name', `Use one of ${Object.keys(models).join(', ')}`)
  return found
}

/** The bits of CR4, EFER or XCR0 that software may set. */
export function maskOf(model: Model, register: 'cr4' | 'efer' | 'xcr0'): number {
  return featureNames.reduce((mask, name) => model.features.has(name) ? mask | (features[name][register] ?? 0) : mask, 0)
}
