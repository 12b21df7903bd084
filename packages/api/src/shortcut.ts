import type { Width } from './device.ts'

/**
 * What a host may do about an access to a register without asking the device at that moment. It is a promise of the device: nobody in the machine can tell whether the host makes use of it.
 *
 * - `'shadow'`: the device keeps the value of the register current. While it is valid, a read gives it and does nothing else.
 * - `'gathered'`: a store may come to the device later. Nothing that the guest may see before then depends on it: no shadow of the device, no interrupt, no memory.
 * - `'doorbell'`: a store that only has the device look at something. It comes soon, and the guest goes on meanwhile.
 */
export type ShortcutKind = 'shadow' | 'gathered' | 'doorbell'

/** A register whose accesses a host may serve; see {@link ShortcutKind}. */
export interface ShortcutSpec {
  readonly kind: ShortcutKind
  /** Number of the region; 0 unless given. */
  readonly region?: number
  readonly offset: number
  /** The width of accesses that are meant. Others are asked for. */
  readonly width: Width
}

/** The device's end of a {@link ShortcutSpec}. */
export interface Shortcut {
  /**
   * Says what holds from now on. Of a shadow: its value, or −1 while it is not valid, as it is at first. Of a register of gathered stores, or a doorbell: how many stores may come late, none at first; a store that comes in time does not count.
   * To be called whenever that changes, before the call into the device returns.
   */
  set(value: number): void
}

/** Where a {@link ShortcutSpec} is in an address space. */
export interface ShortcutPlace {
  readonly kind: ShortcutKind
  readonly address: number
  readonly width: Width
}

/** Whoever serves shortcuts: a CPU whose harts need not leave their guests for them. */
export interface ShortcutServer {
  /** One more place. Null when it serves no more. */
  add(place: ShortcutPlace): Shortcut | null
}

/** For a {@link ShortcutSpec} that nobody serves. */
export const unservedShortcut: Shortcut = { set() {} }
