import type { PageMachine, TerminalSize } from '@machinist/host-browser'
import type { Terminal } from '@xterm/xterm'
import type { DomNode } from './dom.ts'

/** A terminal in a page. */
export interface Screen {
  /** What it shows, line by line, without the spaces at their ends. */
  readonly text: string
  connect(machine: PageMachine): void
  focus(): void
  dispose(): void
}

/**
 * Opens a terminal of xterm.js in an element. What a guest prints is text and nothing else: links do nothing, titles are nobody's, and no sequence reaches the clipboard or the
 * window.
 */
export async function openScreen(parent: DomNode, { columns, rows }: TerminalSize): Promise<Screen> {
  const { Terminal: Made } = await import('@xterm/xterm')
  const terminal: Terminal = new Made({
    cols: columns, rows, scrollback: 5000, cursorBlink: true, fontFamily: 'ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace', fontSize: 14,
    linkHandler: { activate: () => undefined }, allowProposedApi: false,
  })
  terminal.open(parent as never)
  const ends: (() => void)[] = []
  return {
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
      ends.push(() => { typed.dispose() }, () => { binary.dispose() })
    },
    focus() { terminal.focus() },
    dispose() {
      for (const end of ends) end()
      terminal.dispose()
    },
  }
}
