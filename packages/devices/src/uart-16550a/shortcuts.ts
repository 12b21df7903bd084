import type { ShortcutKind } from '@machinist/api'

/** Registers that a driver looks at for each byte, or each interrupt, by their numbers. */
export const uartShortcuts: readonly { readonly kind: ShortcutKind; readonly register: number }[] = [
  { kind: 'gathered', register: 0 },
  { kind: 'shadow', register: 1 },
  { kind: 'shadow', register: 2 },
  { kind: 'shadow', register: 5 },
  { kind: 'shadow', register: 6 },
]

/** Which of {@link uartShortcuts} is a register's. */
export const shortcut = { THR: 0, IER: 1, IIR: 2, LSR: 3, MSR: 4 } as const
