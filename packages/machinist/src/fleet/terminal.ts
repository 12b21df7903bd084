/** Where a command writes, and what it hears of its user. */
export interface Terminal {
  /** Whether a person sits there: both ends are terminals. */
  readonly interactive: boolean
  write(text: string): void
  /** Letters in a line, and lines. */
  size(): { readonly width: number; readonly height: number }
  /** Letters in a line of a table: as many as are needed where nobody sits there. */
  readonly width: number
  /** Waits for some milliseconds; returns false when the output is no longer wanted. */
  pause(milliseconds: number): Promise<boolean>
  /**
   * Gives every key to `keys`, until the function that it returns is called; `undo` runs then, and also when the process ends by a signal.
   *
   * @param resized - told when the size has changed
   */
  raw(keys: (text: string) => void, resized: () => void, undo: () => void): () => void
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const

/** The terminal of this process. */
export function processTerminal(): Terminal {
  const { stdin, stdout } = process
  let gone = false
  stdout.on('error', () => { gone = true })
  return {
    interactive: stdin.isTTY && stdout.isTTY,
    write(text) { if (!gone) stdout.write(text) },
    size: () => ({ width: stdout.columns || 80, height: stdout.rows || 24 }),
    width: stdout.isTTY ? stdout.columns || 80 : Infinity,
    pause: (milliseconds) => new Promise((resolve) => { setTimeout(() => { resolve(!gone) }, milliseconds) }),
    raw(keys, resized, undo) {
      const onData = (bytes: Buffer): void => { keys(bytes.toString()) }
      const release = (): void => {
        stdin.off('data', onData)
        stdin.setRawMode(false)
        stdin.pause()
        stdin.unref()
        stdout.off('resize', resized)
        process.off('SIGCONT', again)
        for (const signal of SIGNALS) process.off(signal, onSignal)
        undo()
      }
      const onSignal = (signal: NodeJS.Signals): void => {
        release()
        process.kill(process.pid, signal)
      }
      // After a stop and `fg` the shell has set its own modes.
      const again = (): void => {
        stdin.setRawMode(false)
        stdin.setRawMode(true)
        resized()
      }
      stdin.setRawMode(true)
      stdin.on('data', onData)
      stdin.resume()
      stdout.on('resize', resized)
      process.on('SIGCONT', again)
      for (const signal of SIGNALS) process.on(signal, onSignal)
      return release
    },
  }
}
