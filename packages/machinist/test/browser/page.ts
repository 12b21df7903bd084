/** The program of a page that replays a recording, and tells its server how that went. */
import { virtCatalogue } from '@machinist/boards'
import { openRecording, portableCodec, replayMachine } from '@machinist/snapshot'
import { browserHost } from './host.ts'

declare const navigator: { readonly userAgent: string }

/** What the page tells. */
export interface Told {
  readonly error: string | null
  readonly status: number
  readonly ended: boolean
  readonly whole: boolean
  readonly checks: number
  readonly retired: number
  readonly console: string
  readonly milliseconds: number
  readonly agent: string
}

const nothing: Told = { error: null, status: -1, ended: false, whole: false, checks: 0, retired: 0, console: '', milliseconds: 0, agent: navigator.userAgent }

async function replay(): Promise<Told> {
  const file = new Uint8Array(await (await fetch('/recording')).arrayBuffer())
  const recording = openRecording({ name: 'the recording', size: file.length, read: (offset, length) => file.subarray(offset, offset + length) }, portableCodec)
  const said: number[] = []
  const began = performance.now()
  const machine = replayMachine(recording, virtCatalogue, browserHost(), {
    onSay({ part, member, args: [first], answer }) {
      if (part === 'uart0.console' && member === 'write' && first instanceof Uint8Array) said.push(...first.subarray(0, Number(answer)))
    },
  })
  machine.start()
  const { status, error } = await machine.finished()
  const { ended = false, whole = false, checks = 0 } = machine.replay ?? {}
  return {
    ...nothing, status, ended, whole, checks, retired: machine.stats.retired, console: new TextDecoder().decode(Uint8Array.from(said)), milliseconds: performance.now() - began,
    error: error === null ? null : `${'code' in error ? String(error.code) : ''} ${error.message}`,
  }
}

const failed = (error: unknown): Told => ({ ...nothing, error: error instanceof Error ? error.stack ?? error.message : String(error) })

void replay().catch(failed).then((told) => fetch('/told', { method: 'POST', body: JSON.stringify(told) }))
