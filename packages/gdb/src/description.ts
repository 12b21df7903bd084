import type { DebugRegister, VcpuDebug } from '@machinist/api'

/** What GDB calls the groups of registers of an architecture; it knows some by these names (GDB manual, appendix G). */
const features: Readonly<Record<string, Readonly<Partial<Record<DebugRegister['group'], string>>>>> = {
  'riscv:rv64': { general: 'org.gnu.gdb.riscv.cpu', float: 'org.gnu.gdb.riscv.fpu', system: 'org.gnu.gdb.riscv.csr', virtual: 'org.gnu.gdb.riscv.virtual' },
  ...Object.fromEntries(['i386', 'i386:x86-64'].map((name) => [name, { general: 'org.gnu.gdb.i386.core', float: 'org.gnu.gdb.i386.core', vector: 'org.gnu.gdb.i386.sse' }])),
}
const types: Readonly<Record<DebugRegister['type'], string>> = { integer: 'int', code: 'code_ptr', data: 'data_ptr', float: 'float_or_double', extended: 'i387_ext', vector: 'vec128' }
/** Types that are described where they are used. */
const described: Readonly<Partial<Record<DebugRegister['type'], string>>> = {
  float: '<union id="float_or_double"><field name="float" type="ieee_single"/><field name="double" type="ieee_double"/></union>',
  vector: [
    '<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/><vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>',
    '<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>',
    '<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/><field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/>',
    '<field name="v4_int32" type="v4i32"/><field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>',
  ].join(''),
}
/** What GDB shows with `info registers`. */
const regroup: Readonly<Record<DebugRegister['group'], string>> = { general: 'general', float: 'float', vector: 'vector', system: 'system', virtual: 'system' }

/** The target description of a hart (GDB manual, appendix G): which registers it has, and how their numbers are. */
export function targetDescription({ architecture, registers }: Pick<VcpuDebug, 'architecture' | 'registers'>): string {
  const nameOf = ({ group }: DebugRegister): string => features[architecture]?.[group] ?? `machinist.${group}`
  const feature = (name: string): string => {
    const mine = registers.filter((register) => nameOf(register) === name)
    const lines = mine.map(({ name, bits, number, type, group }) => `<reg name="${name}" bitsize="${bits}" regnum="${number}" type="${types[type]}" group="${regroup[group]}"/>`)
    const used = [...new Set(mine.map(({ type }) => described[type] ?? ''))].join('')
    return `<feature name="${name}">${used}\n${lines.join('\n')}\n</feature>`
  }
  const names = [...new Set(registers.map(nameOf))]
  return `<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM "gdb-target.dtd">\n<target version="1.0">\n<architecture>${architecture}</architecture>\n${names.map(feature).join('\n')}\n</target>\n`
}
