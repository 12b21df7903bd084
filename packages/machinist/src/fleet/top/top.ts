import type { Hypervisor } from '@machinist/hypervisor'
import { columnsOf, type Look, look, TOP_COLUMNS, type TopRow, type TopView } from '@machinist/hypervisor/text'
import { didYouMean } from '../../command-line/suggest.ts'
import { hasColour } from '../../command-line/style.ts'
import { usageError } from '../../usage.ts'
import type { TopOptions } from '../arguments.ts'
import type { Terminal } from '../terminal.ts'
import { type Drawing, plainText, roomIn, rowsOf, screenLines, type Showing } from './screen.ts'

const clock = (): number => performance.now() * 1e6

/** What is in the way from one look to the next, in milliseconds, when the first is to have figures soon. */
const FIRST_DELAY = 500
const LEAST_DELAY = 250
const MOST_DELAY = 3_600_000

/** Of a terminal (ECMA-48, and the alternate screen of xterm). */
const ESC = '\u001b['
const ENTER = `${ESC}?1049h${ESC}?25l`
const LEAVE = `${ESC}?25h${ESC}?1049l`
const HOME = `${ESC}H`
const TO_END_OF_LINE = `${ESC}K`
const TO_END = `${ESC}J`

/** The column that is called so. @throws a typed error `'usage'` */
function sortKey(name: string): keyof TopRow {
  const found = [...TOP_COLUMNS, ...columnsOf('all', true)].find(({ key, title }) => key === name || title.toLowerCase() === name.toLowerCase())
  if (found !== undefined) return found.key
  const keys = TOP_COLUMNS.map(({ key }) => key)
  throw usageError('--sort', 'there is no such column', `${didYouMean(name, keys)}The columns are ${keys.join(', ')}.`, name)
}

/** Text of one look after the other. */
async function batch(hypervisor: Hypervisor, { mode, delay, count, json }: TopOptions, showing: Showing, terminal: Terminal): Promise<void> {
  let before = await look(hypervisor, clock)
  for (let shown = 0; shown < count; shown++) {
    if (!await terminal.pause(mode === 'once' ? Math.min(delay, 1000) : delay)) return
    const now = await look(hypervisor, clock)
    const time = new Date()
    terminal.write(json ? `${JSON.stringify({ time: time.toISOString(), rows: rowsOf(now, before, showing) })}\n` : plainText(now, before, showing, time))
    before = now
  }
}

/** What the keys of a screen have changed so far. */
type State = { -readonly [Name in keyof Drawing]: Drawing[Name] }

const VIEW_KEYS: Readonly<Record<string, TopView>> = { a: 'all', c: 'cpu', m: 'memory', i: 'io' }

/** What a key does to what is shown; false when it ends. */
function press(key: string, state: State, rows: number): boolean {
  const page = Math.max(1, roomIn(state.height) - 1)
  const to = (from: number): void => { state.from = Math.max(0, Math.min(rows - roomIn(state.height), from)) }
  const columns = columnsOf(state.view, state.pools)
  const beside = (step: number): void => {
    const index = columns.findIndex(({ key: name }) => name === state.sort)
    state.sort = columns[(index + step + columns.length) % columns.length]?.key ?? 'name'
  }
  state.note = null
  const view = VIEW_KEYS[key]
  if (view !== undefined) state.view = view
  else if (key === 'q' || key === '\x03' || key === '\x04') return false
  else if (key === 'h' || key === '?') state.help = !state.help
  else if (key === 'p') [state.pools, state.from] = [!state.pools, 0]
  else if (key === 'r') state.reverse = !state.reverse
  else if (key === '<' || key === `${ESC}D`) beside(-1)
  else if (key === '>' || key === `${ESC}C`) beside(1)
  else if (key === '+') state.delay = Math.max(LEAST_DELAY, state.delay / 2)
  else if (key === '-') state.delay = Math.min(MOST_DELAY, state.delay * 2)
  else if (key === `${ESC}A` || key === 'k') to(state.from - 1)
  else if (key === `${ESC}B` || key === 'j') to(state.from + 1)
  else if (key === `${ESC}5~`) to(state.from - page)
  else if (key === `${ESC}6~`) to(state.from + page)
  else if (key === `${ESC}H`) to(0)
  else if (key === `${ESC}F`) to(rows - 1)
  else if (key !== ' ') state.note = 'No such key. h shows the keys.'
  return true
}

/** The keys in what a terminal sends: letters, and sequences that begin with ESC [. */
export function keysOf(text: string): readonly string[] {
  return text.replaceAll('\u001bO', ESC).match(/\u001b\[[0-9;]*[A-Za-z~]|[\s\S]/g) ?? []
}

async function screen(hypervisor: Hypervisor, options: TopOptions, showing: Showing, terminal: Terminal): Promise<void> {
  const state: State = { ...showing, ...terminal.size(), from: 0, help: false, delay: options.delay, note: null }
  const marked = (text: string): string => hasColour({ isTTY: true }) ? `${ESC}7m${text.padEnd(state.width)}${ESC}0m` : text
  let [before, now]: [Look | null, Look] = [null, await look(hypervisor, clock)]
  const draw = (): void => {
    Object.assign(state, terminal.size())
    const { lines, head } = screenLines(now, before, state, new Date())
    terminal.write(`${HOME}${lines.map((line, index) => `${index === head ? marked(line) : line}${TO_END_OF_LINE}`).join('\r\n')}${TO_END}`)
  }
  let going = true
  let hurry: () => void = () => {}
  const release = terminal.raw((text) => {
    for (const key of keysOf(text)) {
      if (key === ' ') hurry()
      if (!press(key, state, rowsOf(now, before, state).length)) {
        going = false
        hurry()
        return
      }
    }
    draw()
  }, draw, () => { terminal.write(LEAVE) })
  terminal.write(ENTER)
  try {
    for (let shown = 0; going && shown < options.count; shown++) {
      draw()
      const wait = shown === 0 ? Math.min(FIRST_DELAY, state.delay) : state.delay
      await Promise.race([terminal.pause(wait), new Promise<void>((resolve) => { hurry = resolve })])
      if (!going) break
      const next = await look(hypervisor, clock)
      ;[before, now] = [now, next]
    }
  } finally {
    release()
  }
}

/**
 * The command `machinist top`.
 *
 * @throws typed errors
 */
export async function runTop(hypervisor: Hypervisor, options: TopOptions, terminal: Terminal): Promise<void> {
  const showing: Showing = { view: options.view, pools: options.pools, sort: sortKey(options.sort), reverse: false }
  if (options.mode === 'screen' && terminal.interactive) await screen(hypervisor, options, showing, terminal)
  else await batch(hypervisor, options, showing, terminal)
}
