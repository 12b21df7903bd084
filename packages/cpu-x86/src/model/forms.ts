import type { Form } from '../isa/form.ts'
import { allForms } from '../isa/table.ts'
import { type Feature, features } from './features.ts'
import type { Model } from './models.ts'

/** Instructions whose feature is not that of their group. */
const byName: Readonly<Record<string, Feature>> = {
  rdtsc: 'tsc', rdtscp: 'rdtscp', rdpid: 'rdpid', rdmsr: 'msr', wrmsr: 'msr', rdpmc: 'mmx', cmpxchg8b: 'cx8', sysenter: 'sep', sysexit: 'sep', syscall: 'syscall', sysret: 'syscall',
  clflush: 'clfsh', clflushopt: 'clflushopt', clwb: 'clwb', prefetchw: 'prefetchw', prefetchwt1: 'prefetchw', prefetch: 'prefetchw', fxsave: 'fxsr', fxrstor: 'fxsr', ldmxcsr: 'sse', stmxcsr: 'sse', vldmxcsr: 'avx', vstmxcsr: 'avx', sfence: 'sse', lfence: 'sse2', mfence: 'sse2',
  rdfsbase: 'fsgsbase', rdgsbase: 'fsgsbase', wrfsbase: 'fsgsbase', wrgsbase: 'fsgsbase', swapgs: 'lm', stac: 'smap', clac: 'smap', invpcid: 'invpcid', rdrand: 'rdrand', rdseed: 'rdseed',
  xsave: 'xsave', xrstor: 'xsave', xgetbv: 'xsave', xsetbv: 'xsave', xsaveopt: 'xsaveopt', xsavec: 'xsavec',
  popcnt: 'popcnt', lzcnt: 'lzcnt', tzcnt: 'bmi1', movbe: 'movbe', crc32: 'sse4_2', adcx: 'adx', adox: 'adx', fisttp: 'sse3',
}

/** The feature without which an encoding is none; null where every model has it. */
export function featureOf(form: Form): Feature | null {
  const { name, group } = form.instruction
  const named = Object.hasOwn(byName, name) ? byName[name] : undefined
  if (named !== undefined) return named
  if (/^(f?cmov|fu?comip?$)/.test(name)) return 'cmov'
  if (group === 'x87') return 'fpu'
  return Object.hasOwn(features, group) ? group as Feature : null
}

/** The encodings that a model has not. */
export function lackedBy(model: Model): ReadonlySet<Form> {
  return new Set(allForms().filter((form) => {
    const feature = featureOf(form)
    return feature !== null && !model.features.has(feature)
  }))
}
