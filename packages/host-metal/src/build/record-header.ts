import { type Field, type Layout, PAGE_CODE, PAGE_DIRTY, PAGE_PRESENT, PAGE_SHARED, ramTable } from '@machinist/memory'
import { MOST_SHORTCUTS, ShortcutServed, shortcutRecord, WAITING_STORES } from '../shortcut-record.ts'
import { Answer, VcpuAccess, VcpuExit, vcpuRecord } from '../vcpu-record.ts'

const types = { u8: 'uint8_t', u32: 'uint32_t', i64: 'uint64_t' } as const

function constants(prefix: string, values: Readonly<Record<string, number>>): string {
  return `enum { ${Object.entries(values).map(([name, value]) => `${prefix}_${name.toUpperCase()} = ${value}`).join(', ')} };`
}

type AnyLayout = Layout<Readonly<Record<string, Field>>>

function fieldsOf({ fields, offset }: AnyLayout): { readonly name: string; readonly declaration: string; readonly offset: number }[] {
  return Object.entries(fields).map(([name, field]) => {
    const [type, count] = typeof field === 'string' ? [field, 1] : field
    return { name, declaration: `${types[type]} ${name}${count === 1 ? '' : `[${count}]`};`, offset: offset[name] ?? 0 }
  })
}

function struct(name: string, layout: AnyLayout): string[] {
  const fields = fieldsOf(layout)
  return [
    `struct ${name} {`,
    ...fields.map(({ declaration }) => `  ${declaration}`),
    '} __attribute__((aligned(64)));',
    ...fields.map(({ name: field, offset }) => `_Static_assert(offsetof(struct ${name}, ${field}) == ${offset}, "${field}");`),
    `_Static_assert(sizeof(struct ${name}) == ${layout.size}, "size");`,
  ]
}

/** The kernel's header for what it and TypeScript both see: the record of a vCPU, that of a machine's shortcuts, and its page map. */
export function recordHeader(): string {
  return [
    '/* Generated from src/vcpu-record.ts, src/shortcut-record.ts and page-map.ts of packages/memory. */',
    '#pragma once',
    ...fieldsOf(vcpuRecord).map(({ name, offset }) => `#define RECORD_${name.toUpperCase()} ${offset}`),
    '#ifndef __ASSEMBLER__',
    '#include <stddef.h>',
    '#include <stdint.h>',
    ...struct('record', vcpuRecord),
    ...struct('shortcuts', shortcutRecord),
    ...struct('ram_table', ramTable),
    constants('VCPU_EXIT', VcpuExit),
    constants('VCPU_ACCESS', VcpuAccess),
    constants('ANSWER', Answer),
    constants('SHORTCUT', ShortcutServed),
    constants('PAGE', { present: PAGE_PRESENT, dirty: PAGE_DIRTY, shared: PAGE_SHARED, code: PAGE_CODE }),
    `enum { MOST_SHORTCUTS = ${MOST_SHORTCUTS}, WAITING_STORES = ${WAITING_STORES} };`,
    '#endif',
    '',
  ].join('\n')
}
