/** Told what is being done; `fraction` is 0 … 1 where it is known. The same step is told again as more of it is done. */
export type Progress = (step: string, fraction?: number) => void

/** Where {@link terminalProgress} writes: `process.stderr` will do. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const BAR = 16
const ERASE_LINE = '\r\u001b[K'
/** Where there is no terminal, how far a step is is told no more often, in milliseconds. */
const INTERVAL = 5000

/** A step in the room of a line: it is shortened, how far it is never. */
function lineOf(step: string, fraction: number | undefined, room: number): string {
  if (fraction === undefined) return step.slice(0, room)
  const filled = Math.round(fraction * BAR)
  const percent = ` ${Math.floor(fraction * 100)} %`
  const bar = ` [${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}]`
  const end = bar.length + percent.length <= room / 2 ? bar + percent : percent
  return step.slice(0, Math.max(0, room - end.length)) + end
}

/**
 * Shows progress in one line that is updated in place, or, where there is no terminal, in plain lines: one for each step, and for one that
 * takes long, how far it is, now and then.
 *
 * @param now - milliseconds
 * @returns the function to report to, and `done`, which takes the line away
 */
export function terminalProgress(stream: ProgressStream, now: () => number = () => performance.now()): { readonly progress: Progress; done(): void } {
  const inPlace = stream.isTTY === true && process.env['TERM'] !== 'dumb'
  const told = new Set<string>()
  let shown = ''
  let last = 0
  const plain = (step: string, fraction?: number): void => {
    const percent = Math.floor((fraction ?? 0) * 100)
    const line = fraction === undefined || !told.has(step) ? step : `${step}: ${percent} %`
    if (told.has(line) || (told.has(step) && (percent === 100 || now() - last < INTERVAL))) return
    stream.write(`${line}\n`)
    told.add(line)
    last = now()
  }
  return {
    progress(step: string, fraction?: number): void {
      if (!inPlace) {
        plain(step, fraction)
        return
      }
      const line = lineOf(step, fraction, (stream.columns || 80) - 1)
      if (line !== shown) stream.write(ERASE_LINE + line)
      shown = line
    },
    done(): void {
      if (inPlace && shown !== '') stream.write(ERASE_LINE)
      shown = ''
    },
  }
}
