import { machinistError } from '@machinist/api'
import { PAGE_SIZE } from './page-size.ts'
import { layout, type Layout } from './layout.ts'

/**
 * A page map has a 32-bit entry for each page of RAM. Of a page that is {@link PAGE_PRESENT}, bits 31:12 are the address of its frame.
 * Of one that is not, and is neither {@link PAGE_WAITING} nor {@link PAGE_PARKED}, they are the number by which its {@link PageSource} knows its content, or 0: then it is all zeros.
 */
export const PAGE_DIRTY = 1
/** Some CPU holds decoded or translated code of this page: writers must tell it. */
export const PAGE_CODE = 2
/** Bits that a CPU may use for a page that is present: where its TLBs may have it, say. They are cleared when the page gets another frame. */
export const PAGE_CPU: number = 0xff << 2
/** Other pages may have the frame, too: whoever wants to write must ask first, and gets a frame of his own. */
export const PAGE_SHARED: number = 1 << 10
/** The page has a frame, and whoever may access it finds it. */
export const PAGE_PRESENT: number = 1 << 11
/**
 * Of a page that is not present: it has its frame still, no TLB leads there, and nobody has touched it since this was said. Bits 31:12 and {@link PAGE_DIRTY}, {@link PAGE_CODE} and
 * {@link PAGE_SHARED} are what they were.
 */
export const PAGE_WAITING: number = 1 << 9
/** Of a page that is not present: bits 31:12 are the number by which the {@link ParkedPages} of its arena know its content. */
export const PAGE_PARKED: number = 1 << 8

/** Most RAM regions a machine may have. */
export const MAX_RAM_REGIONS = 8

/**
 * The table by which generated code finds RAM: for region `i`, RAM of `size[i]` bytes at `base[i]`, with its page
 * map at `map[i]`.
 */
export const ramTable: Layout<{
  readonly count: 'u32'
  readonly map: readonly ['u32', 8]
  readonly base: readonly ['i64', 8]
  readonly size: readonly ['i64', 8]
}> = layout('ram-table', { count: 'u32', map: ['u32', MAX_RAM_REGIONS], base: ['i64', MAX_RAM_REGIONS], size: ['i64', MAX_RAM_REGIONS] })

/** A range of guest-physical RAM. */
export interface RamRegion {
  readonly name: string
  /** Guest-physical address of the first byte; a multiple of {@link PAGE_SIZE}. */
  readonly base: number
  /** Bytes; a multiple of {@link PAGE_SIZE}. */
  readonly size: number
  /** Address of the page map in the arena. */
  readonly map: number
}

/** @throws a typed error `'bad-ram'` for a range that cannot be RAM beside what there is */
export function checkRam(regions: readonly RamRegion[], name: string, base: number, size: number): void {
  const fail = (problem: string, value: string, remedy: string): never => {
    throw machinistError({ code: 'bad-ram', part: name, value, remedy }, problem)
  }
  if (!Number.isSafeInteger(base) || base < 0 || base % PAGE_SIZE !== 0) fail('its base is not a page address', String(base), 'Use a multiple of 4096.')
  if (!Number.isSafeInteger(size) || size <= 0 || size % PAGE_SIZE !== 0) fail('its size is not a number of pages', String(size), 'Use a positive multiple of 4096.')
  if (regions.length === MAX_RAM_REGIONS) fail('too many RAM regions', String(MAX_RAM_REGIONS + 1), `Use at most ${MAX_RAM_REGIONS}.`)
  const clash = regions.find((other) => base < other.base + other.size && other.base < base + size)
  if (clash) fail(`it overlaps ${clash.name}`, `0x${base.toString(16)}`, `Move ${name} or ${clash.name}.`)
}

/** Whether a page has a frame: it is present, or waits. */
export function hasFrame(entry: number): boolean {
  // When it is present, the second bit may mean anything.
  return (entry & (PAGE_PRESENT | PAGE_WAITING)) !== 0
}

/** The entry of a page that has a frame, as one that is present, without what CPUs noted. */
export function presentEntry(entry: number): number {
  return ((entry & (-PAGE_SIZE | PAGE_DIRTY | PAGE_CODE | PAGE_SHARED)) | PAGE_PRESENT) >>> 0
}

/** Whether the content of a page without a frame is in the {@link ParkedPages} of its arena. */
export function isParked(entry: number): boolean {
  return (entry & (PAGE_PRESENT | PAGE_WAITING | PAGE_PARKED)) === PAGE_PARKED
}

/** The address of the frame of a page that has one. */
export function frameOf(entry: number): number {
  return (entry & -PAGE_SIZE) >>> 0
}
