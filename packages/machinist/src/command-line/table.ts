/** An option of a command: what parses it, and what is told of it in help, in completions and in the manual. */
export interface Option {
  readonly type: 'string' | 'boolean'
  readonly multiple?: boolean
  readonly short?: string
  /** Each form of its value, with what that does; the plain form first: `['PATH,ro', 'the same, read-only']`. */
  readonly forms: readonly (readonly [value: string, text: string])[]
  /** What a shell offers as its value. */
  readonly offers?: Offer
}

/** What a shell offers for a word: files, folders, names of machines of the hypervisor, or these words. */
export type Offer = 'file' | 'folder' | 'machine' | readonly string[]

/** Options by their long names. */
export type OptionTable = Readonly<Record<string, Option>>

/** Options under a heading. */
export interface OptionGroup {
  readonly title: string
  readonly options: OptionTable
}

/** A command: all that help, completions and the manual say of it. */
export interface CommandInfo {
  /** Its words: `'disk convert'`. */
  readonly name: string
  /** What it does, without a full stop. */
  readonly summary: string
  /** What may follow its name, and what that does where there are several ways. */
  readonly usage: readonly (readonly [form: string, text?: string])[]
  readonly groups: readonly OptionGroup[]
  /** What a shell offers for its arguments. */
  readonly offers?: Offer
  /** Paragraphs behind the options. */
  readonly notes?: readonly string[]
  readonly examples?: readonly string[]
}

/** All options of a command. */
export function optionsOf(command: CommandInfo): OptionTable {
  return Object.assign({}, ...command.groups.map(({ options }) => options)) as OptionTable
}

/** What every command takes. */
export const COMMON_OPTIONS = {
  help: { type: 'boolean', short: 'h', forms: [['', 'show the options of the command']] },
} as const
