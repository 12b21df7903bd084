/** Where descriptors are: what GDTR holds. */
export interface X86Gdt {
  readonly base: number
  readonly limit: number
}

/**
 * How the first processor of an x86 machine begins, after a reset that others do not leave before they are started. Interrupts are off, and the direction flag is 0. Selectors are 0x10 for CS and 0x18 for the others, and
 * have what a flat segment of 4 GiB has; TR is a busy task segment of 104 bytes at 0. Other general registers are 0.
 */
export type X86Start =
  /** As the manual has it (SDM volume 3, 10.1.1): in real-address mode, 16 bytes below 4 GiB. */
  | { readonly kind: 'reset' }
  /** Protected mode without paging, code of 32 bits. */
  | { readonly kind: 'protected'; readonly pc: number; readonly gdt: X86Gdt; readonly eax: number; readonly ebx: number; readonly esi: number }
  /** Long mode, code of 64 bits: CR3 is `pages`, RSI is `parameters`. */
  | { readonly kind: 'linux64'; readonly pc: number; readonly gdt: X86Gdt; readonly pages: number; readonly parameters: number }
