import type { DebugRegister, VcpuDebug } from '@machinist/api'

/** What GDB calls the groups of registers of an architecture; it knows some by these names (GDB manual, appendix G). */
const features: Readonly<Record<string, Readonly<Record<DebugRegister['group'], string>>>> = {
  'riscv:rv64': { general: 'org.gnu.gdb.riscv.cpu', float: 'org.gnu.gdb.riscv.fpu', system: 'org.gnu.gdb.riscv.csr', virtual: 'org.gnu.gdb.riscv.virtual' },
}
const unknownFeatures = { general: 'machinist.general', float: 'machinist.float', system: 'machinist.system', virtual: 'machinist.virtual' } as const
const types: Readonly<Record<DebugRegister['type'], string>> = { integer: 'int', code: 'code_ptr', data: 'data_ptr', float: 'float_or_double' }
/** What GDB shows with `info registers`. */
const regroup: Readonly<Record<DebugRegister['group'], string>> = { general: 'general', float: 'float', system: 'system', virtual: 'system' }

const FLOAT_TYPE = '<union id="float_or_double"><field name="float" type="ieee_single"/><field name="double" type="ieee_double"/></union>'

/** The target description of a hart (GDB manual, appendix G): which registers it has, and how their numbers are. */
export function targetDescription({ architecture, registers }: Pick<VcpuDebug, 'architecture' | 'registers'>): string {
  const names = features[architecture] ?? unknownFeatures
  const groups = [...new Set(registers.map(({ group }) => group))]
  const feature = (group: DebugRegister['group']): string => {
    const lines = registers.filter((register) => register.group === group)
      .map(({ name, bits, number, type }) => `<reg name="${name}" bitsize="${bits}" regnum="${number}" type="${types[type]}" group="${regroup[group]}"/>`)
    return `<feature name="${names[group]}">${group === 'float' ? FLOAT_TYPE : ''}\n${lines.join('\n')}\n</feature>`
  }
  return `<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target version="1.0">\n<architecture>${architecture}</architecture>\n${groups.map(feature).join('\n')}\n</target>\n`
}
