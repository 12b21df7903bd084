import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** What is to be undone if the process ends now; the last first. */
const pending = new Set<() => void>()

function undoAll(): void {
  for (const undo of [...pending].reverse()) {
    try {
      undo()
    } catch {
      // The process ends; the rest is undone all the same.
    }
  }
  pending.clear()
}

function interrupted(signal: NodeJS.Signals): void {
  // Whoever else listens decides whether the process ends, and then there is `exit`.
  if (process.listenerCount(signal) > 1) return
  undoAll()
  unlisten()
  // As if nobody had listened: the shell sees what ended us.
  process.kill(process.pid, signal)
  // Where a signal cannot be sent to oneself.
  setTimeout(() => process.exit(128 + constants.signals[signal]), 1000).unref()
}

function unlisten(): void {
  for (const signal of SIGNALS) process.off(signal, interrupted)
  process.off('exit', undoAll)
}

/**
 * Does some work, and undoes its traces at once if the process ends in the middle of it: by SIGINT, SIGTERM, SIGHUP or `process.exit`.
 *
 * @param undo - must not wait for anything; not called when the work ends by itself
 */
export async function undoneWhenInterrupted<T>(undo: () => void, work: () => Promise<T>): Promise<T> {
  if (pending.size === 0) {
    for (const signal of SIGNALS) process.on(signal, interrupted)
    process.on('exit', undoAll)
  }
  // A function of its own: the same may be given twice.
  const entry = (): void => { undo() }
  pending.add(entry)
  try {
    return await work()
  } finally {
    pending.delete(entry)
    if (pending.size === 0) unlisten()
  }
}
