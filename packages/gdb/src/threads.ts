import { parseSmallHex } from './text.ts'

/** A thread of the protocol: one hart by its index, all, or any. */
export type ThreadId = number | 'all' | 'any'

/** `-1`, `0`, or one more than a hart's index; null for what is none of `count` harts. */
export function parseThread(text: string, count: number): ThreadId | null {
  if (text === '-1') return 'all'
  const id = parseSmallHex(text)
  if (id === null || id > count) return null
  return id === 0 ? 'any' : id - 1
}

/** What harts are to do. */
export type Mode = 'run' | 'step' | 'hold'

const actions: Readonly<Record<string, Mode>> = { c: 'run', C: 'run', s: 'step', S: 'step', t: 'hold' }
/** A signal is of no use to a hart: there is nothing that it could be delivered to. */
const ACTION = /^(?:([cst])|([CS])[0-9a-fA-F]{2})(?::(.+))?$/

/** What `vCont;…` asks of each hart: the first action that names it counts, and without one it is held. Null when that is not understood. */
export function parseContinue(text: string, count: number): readonly Mode[] | null {
  const modes = new Array<Mode | undefined>(count).fill(undefined)
  for (const item of text.split(';')) {
    const [, plain, signalled, name = '-1'] = ACTION.exec(item) ?? []
    const mode = actions[plain ?? signalled ?? '']
    const thread = parseThread(name, count)
    if (mode === undefined || thread === null) return null
    modes.forEach((given, index) => {
      if (given === undefined && (thread === 'all' || thread === 'any' || thread === index)) modes[index] = mode
    })
  }
  return modes.map((mode) => mode ?? 'hold')
}
