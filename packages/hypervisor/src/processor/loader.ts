import { type Backend, machinistError } from '@machinist/api'
import type { Catalogue, Machine, MachineDefinition, StoredMachine } from '@machinist/machine'
import type { MachineSpec } from '../contract/machines.ts'

/** What is needed to make a machine. */
export interface Loaded {
  /** The machine as it is before it is switched on, or as it was saved. */
  readonly machine: { readonly definition: MachineDefinition } | { readonly stored: StoredMachine }
  /** Specs that its definition may name, besides those of the processor. */
  readonly catalogue?: Catalogue
  /** Live backends: by the names that the definition uses, which are those of their parts and ports for one that was saved. */
  readonly backends?: ReadonlyMap<string, Backend<unknown>>
  /** Gives the images that the definition names as files. */
  readonly image?: (file: string) => Uint8Array
  /** What the loader wants to know when the machine is saved: plain data. */
  readonly about?: unknown
  /** Why it cannot live on another processor once it is made, if it cannot. */
  readonly stays?: string
  /** The machine was made, and does not run yet. */
  begin?(machine: Machine): Promise<void>
  /** Gives back what backends do not: called when the machine has ended. */
  close?(): void
}

/** How a host turns a specification into a machine, and back: files, disks that take time to open, snapshots. */
export interface MachineLoader {
  /**
   * @param snapshot - a file that it goes on from instead of beginning as its specification says; its disks are still those
   * @throws typed errors for what cannot be found or opened
   */
  load(spec: MachineSpec, snapshot?: string): Promise<Loaded>
  /**
   * Saves a machine into a file. It goes on.
   *
   * @param about - what {@link MachineLoader.load} said of it
   */
  save?(machine: Machine, file: string, about: unknown): Promise<void>
}

/**
 * Looks whether a machine may be made of its specification. A copy that has ended may not when it has disks: its own are gone, and those of its definition are those of the machine that it was a copy of.
 *
 * @throws a typed error `'copy-ended'`
 */
export function checkOrigin({ name, copyOf }: MachineSpec, { devices }: MachineDefinition): void {
  if (copyOf === undefined || !Object.values(devices).some(({ backends = {} }) => Object.values(backends).some((each) => typeof each === 'object' && each.type === 'disk'))) return
  throw machinistError({ code: 'copy-ended', part: name, value: copyOf, remedy: 'Copy the machine again, or add one with disks of its own.' }, 'it was a copy, and its disks have gone with it')
}

/** Knows definitions only: for hosts without files. */
export const definitionsOnly: MachineLoader = {
  async load(spec, snapshot) {
    const { name, machine } = spec
    if (snapshot !== undefined || 'file' in machine || 'snapshot' in machine) {
      throw machinistError({ code: 'parameter', part: name, value: snapshot ?? ('file' in machine ? machine.file : 'a snapshot'), remedy: 'Give a definition.' }, 'this host has no files')
    }
    checkOrigin(spec, machine)
    return { machine: { definition: machine } }
  },
}
