import type { PageMachine, TerminalSize } from '@machinist/host-browser'
import type { Terminal } from '@xterm/xterm'
import { dom, type DomNode } from './dom.ts'

/** How a terminal looks. */
export interface ScreenOptions {
  readonly size: TerminalSize
  /** Height of letters, in pixels of CSS. */
  readonly fontSize: number
}

/** A terminal in a page. */
export interface Screen {
  /** What it shows, line by line, without the spaces at their ends. */
  readonly text: string
  /** How many characters it has. */
  readonly size: TerminalSize
  connect(machine: PageMachine): void
  /** Takes as many characters as there is room for, at least 20 by 5, now and when the room changes. */
  fit(room: DomNode): void
  focus(): void
  dispose(): void
}

/**
 * Opens a terminal of xterm.js in an element. What a guest prints is text and nothing else: links do nothing, titles are nobody's, and no sequence reaches the clipboard or the
 * window.
 */
export async function openScreen(parent: DomNode, { size: { columns, rows }, fontSize }: ScreenOptions): Promise<Screen> {
  const { Terminal: Made } = await import('@xterm/xterm')
  const terminal: Terminal = new Made({
    cols: columns, rows, scrollback: 5000, cursorBlink: true, fontFamily: 'ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace', fontSize,
    linkHandler: { activate: () => undefined }, allowProposedApi: false,
  })
  terminal.open(parent as never)
  const ends: (() => void)[] = []
  const refit = (room: DomNode): void => {
    const [drawn] = parent.querySelectorAll('.xterm-screen')
    if (drawn === undefined || room.clientWidth === 0 || drawn.clientWidth === 0) return
    const fitting = (have: number, one: number, least: number, most: number): number => Math.min(most, Math.max(least, Math.floor(have / one)))
    const [wide, high] = [fitting(room.clientWidth, drawn.clientWidth / terminal.cols, 20, 500), fitting(room.clientHeight, drawn.clientHeight / terminal.rows, 5, 200)]
    if (wide !== terminal.cols || high !== terminal.rows) terminal.resize(wide, high)
  }
  return {
    get size() { return { columns: terminal.cols, rows: terminal.rows } },
    fit(room) {
      const observer = new dom.ResizeObserver(() => { refit(room) })
      observer.observe(room)
      ends.push(() => { observer.disconnect() })
      refit(room)
    },
    get text() {
      const { active } = terminal.buffer
      return Array.from({ length: active.length }, (_, line) => active.getLine(line)?.translateToString(true) ?? '').join('\n').trimEnd()
    },
    connect(machine) {
      ends.push(
        // The guest waits until it was drawn.
        machine.on('output', ({ part, bytes }) => part === machine.consoles[0] ? new Promise<void>((resolve) => { terminal.write(bytes, resolve) }) : undefined),
      )
      const typed = terminal.onData((text) => { machine.type(text) })
      const binary = terminal.onBinary((text) => { machine.type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))) })
      const resized = terminal.onResize(({ cols, rows: lines }) => { machine.resize({ columns: cols, rows: lines }) })
      ends.push(() => { typed.dispose() }, () => { binary.dispose() }, () => { resized.dispose() })
    },
    focus() { terminal.focus() },
    dispose() {
      for (const end of ends) end()
      terminal.dispose()
    },
  }
}
