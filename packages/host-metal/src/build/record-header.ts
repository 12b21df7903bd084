import { Answer, VcpuAccess, VcpuExit, vcpuRecord } from '../vcpu-record.ts'

const types = { u8: 'uint8_t', u32: 'uint32_t', i64: 'uint64_t' } as const

function constants(prefix: string, values: Readonly<Record<string, number>>): string {
  return `enum { ${Object.entries(values).map(([name, value]) => `${prefix}_${name.toUpperCase()} = ${value}`).join(', ')} };`
}

/** The kernel's header for the record of a vCPU. */
export function recordHeader(): string {
  const offsets: Readonly<Record<string, number>> = vcpuRecord.offset
  const fields = Object.entries(vcpuRecord.fields).map(([name, field]) => {
    const [type, count] = typeof field === 'string' ? [field, 1] : field
    return { name, declaration: `${types[type]} ${name}${count === 1 ? '' : `[${count}]`};`, offset: offsets[name] ?? 0 }
  })
  return [
    '/* Generated from src/vcpu-record.ts. */',
    '#pragma once',
    ...fields.map(({ name, offset }) => `#define RECORD_${name.toUpperCase()} ${offset}`),
    '#ifndef __ASSEMBLER__',
    '#include <stddef.h>',
    '#include <stdint.h>',
    'struct record {',
    ...fields.map(({ declaration }) => `  ${declaration}`),
    '} __attribute__((aligned(64)));',
    ...fields.map(({ name, offset }) => `_Static_assert(offsetof(struct record, ${name}) == ${offset}, "${name}");`),
    `_Static_assert(sizeof(struct record) == ${vcpuRecord.size}, "size");`,
    constants('VCPU_EXIT', VcpuExit),
    constants('VCPU_ACCESS', VcpuAccess),
    constants('ANSWER', Answer),
    '#endif',
    '',
  ].join('\n')
}
