import { layout, type Layout } from '@machinist/memory'

const fields = {
  /** Places so far. */
  count: 'u32',
  /** While not 0 nothing is served: TypeScript is at the devices, and harts elsewhere have to wait for it. */
  closed: 'u32',
  /** Not 0 while a hart is at the table. */
  lock: 'u32',
  /** Stores that were put, the kernel's, and taken, TypeScript's, both modulo 2^32: what is between them waits. */
  put: 'u32',
  taken: 'u32',
  /** Doorbells that wait. As long as there are any, nothing but doorbells is served: what a device has to do first may change all else. */
  rung: 'u32',
  /** Accesses that the kernel served. */
  served: 'i64',
  /** Guest-physical address of each place. */
  address: ['i64', 128],
  /** One of {@link ShortcutServed}. */
  kind: ['u32', 128],
  width: ['u32', 128],
  /** Of a shadow: its value. */
  value: ['u32', 128],
  /** Of a shadow: whether the value is valid. Of others: how many stores of this machine may wait. */
  open: ['u32', 128],
  /** The stores that wait, each by the number of its place. */
  place: ['u32', 256],
  stored: ['u32', 256],
} as const

/** Places of a machine that can be served. Others are asked for. */
export const MOST_SHORTCUTS: number = fields.address[1]
/** Stores that can wait; a power of two. */
export const WAITING_STORES: number = fields.place[1]

/** What the kernel may do about accesses to a machine's devices, as it and TypeScript both see it: see {@link Native.shortcuts}. */
export const shortcutRecord: Layout<typeof fields> = layout('shortcuts', fields)

/** What is done at a place. */
export const ShortcutServed = { shadow: 0, gathered: 1, doorbell: 2 } as const
