/** The places for drives: two on each of two cables. */
export const places = ['primaryMaster', 'primarySlave', 'secondaryMaster', 'secondarySlave'] as const
/** A place for a drive of a {@link piix3Ide}. */
export type IdePlace = (typeof places)[number]
/** What is in a place. */
export type IdeDrive = 'none' | 'disk' | 'cdrom'

/** Configuration of a {@link piix3Ide}: what drives there are; none where nothing is said. */
export type Piix3IdeConfig = Readonly<Record<IdePlace, IdeDrive>>

/** What is in the drives: `'null'` where there is none, and for no medium. */
export type Piix3IdeBackends = Readonly<Record<IdePlace, 'block'>>

/** Its outputs: the interrupts of both channels. */
export type Piix3IdeIrq = 'irq14' | 'irq15'
