import type { GuestMemory, PageSource } from '@machinist/memory'
import type { MachineDefinition } from '../definition/definition.ts'

/**
 * All of a machine at one moment, which stays as it is while the machine goes on: its memory is shared until one writes. To be disposed of, or it keeps
 * memory and whatever the machine itself was restored from.
 */
export interface MachineSnapshot {
  readonly definition: MachineDefinition
  /** Gives the images that {@link definition} names as files: those of a machine that was restored. */
  image(file: string): Uint8Array
  /** All but memory: plain data. */
  readonly state: unknown
  /** RAM and devices' own memory. Reading through it brings pages in; what is there can be seen by `frame` and `placeOf`. */
  readonly memory: GuestMemory
  /** Guest-physical addresses of pages that its CPU has used lately: whoever goes on from here will likely want these first. */
  readonly recentPages: readonly number[]
  dispose(): void
}

/** A machine that was saved, perhaps long ago and elsewhere: all of it is checked. */
export interface StoredMachine {
  /** A definition. */
  readonly definition: unknown
  /** Gives the images that the definition names as files, when the machine is reset. */
  image(file: string): Uint8Array
  /** What {@link MachineSnapshot} had. */
  readonly state: unknown
  /** For each region of memory, the numbers by which {@link source} knows its pages; 0 for zeros. */
  readonly memory: readonly { readonly name: string; readonly base: number; readonly size: number; readonly pages: Uint32Array }[]
  /** Has the content of pages, which is asked for when somebody touches them. */
  readonly source: PageSource
}
