/** Where the image of a test has what, in physical memory, which linear addresses are the same as. */
export const at = {
  image: 0x10_0000,
  /** What each case finds as it was: GDT, LDT, and task segments. */
  tables: 0x11_0000,
  gdt: 0x11_0000,
  ldt: 0x11_0400,
  tss: 0x11_0500,
  otherTss: 0x11_0600,
  faultTss: 0x11_0700,
  taskTss: 0x11_0768,
  narrowTss: 0x11_07d0,
  tablesEnd: 0x11_0800,
  pristine: 0x11_1000,
  idt: 0x11_2000,
  idtPristine: 0x11_3000,
  pointers: 0x11_4000,
  /** Tops of the stacks of CPL 0 to 3, 4 KiB apart, and of the tasks of faults. */
  stacks: 0x12_1000,
  faultStack: 0x12_8000,
  /** What transfers lead to: INT and more INT, from whichever offset and of whichever size. */
  pads: 0x13_0000,
  cases: 0x14_0000,
  /** Page tables: directory and table of two levels, PAE's pointers, directory and table, four and five levels; the page that they lead to, and identity for two levels. */
  directory: 0x1c_0000,
  table: 0x1c_1000,
  pointers3: 0x1c_2000,
  directory3: 0x1c_3000,
  table3: 0x1c_4000,
  level4: 0x1c_5000,
  pointers4: 0x1c_6000,
  level5: 0x1c_7000,
  page: 0x1c_8000,
  identity: 0x1c_a000,
  log: 0x20_0000,
  /** Memory for virtual-8086 mode. */
  low: 0x2_0000,
} as const

export const MEMORY = 0x100_0000
/** 32-bit words of a record in the log. */
export const RECORD = 72

/** Selectors of the GDT. */
export const selector = {
  code0: 0x08, data0: 0x10, code3: 0x1b, data3: 0x23, code1: 0x29, data1: 0x31, code2: 0x3a, data2: 0x42,
  tss: 0x48, ldt: 0x50, otherTss: 0x58, faultTss: 0x60, narrowTss: 0x68, taskTss: 0x70,
  /** What a case makes of it. */
  subject: 0x80, second: 0x88, third: 0x90,
} as const
export const codeOf: readonly number[] = [selector.code0, selector.code1, selector.code2, selector.code3]
export const dataOf: readonly number[] = [selector.data0, selector.data1, selector.data2, selector.data3]

/** A descriptor as two words. */
export function descriptor(base: number, limit: number, access: number, flags: number): readonly [number, number] {
  return [((base & 0xffff) << 16 | limit & 0xffff) >>> 0, ((base & 0xff00_0000) | flags << 20 | (limit & 0xf_0000) | access << 8 | (base >>> 16) & 0xff) >>> 0]
}
export function gate(target: number, offset: number, access: number, count = 0): readonly [number, number] {
  return [(target << 16 | offset & 0xffff) >>> 0, ((offset & 0xffff_0000) | access << 8 | count) >>> 0]
}
