/** Told what is being done; `fraction` is 0 … 1 where it is known. */
export type Progress = (step: string, fraction?: number) => void

/** Where {@link terminalProgress} writes: `process.stderr` will do. */
export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const BAR = 16
const ERASE_LINE = '\r\u001b[K'

/**
 * Shows progress in one line that is updated in place, or, where there is no terminal, in one line for each step.
 *
 * @returns the function to report to, and `done`, which takes the line away
 */
export function terminalProgress(stream: ProgressStream): { readonly progress: Progress; done(): void } {
  let shown = ''
  return {
    progress(step: string, fraction?: number): void {
      if (stream.isTTY !== true) {
        if (step !== shown) stream.write(`${step}\n`)
        shown = step
        return
      }
      const filled = Math.round((fraction ?? 0) * BAR)
      const bar = fraction === undefined ? '' : ` [${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${Math.floor(fraction * 100)} %`
      const line = `${step}${bar}`.slice(0, (stream.columns || 80) - 1)
      if (line !== shown) stream.write(ERASE_LINE + line)
      shown = line
    },
    done(): void {
      if (stream.isTTY === true && shown !== '') stream.write(ERASE_LINE)
      shown = ''
    },
  }
}
