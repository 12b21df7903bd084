import type { FileSpace } from './quota-file.ts'

/** What a file takes that is closed at times, and opened again. */
export interface SwitchedSpace extends FileSpace {
  /** It is about to be closed: what it takes is what it takes now. */
  rest(): void
  /** It is open again. */
  switchTo(next: FileSpace): void
}

/** @param first - of the file, which is open */
export function switchedSpace(first: FileSpace): SwitchedSpace {
  let now = first
  let { room } = first
  let resting: Pick<FileSpace, 'used' | 'taken'> | null = null
  return {
    get used() { return (resting ?? now).used },
    get taken() { return (resting ?? now).taken },
    get room() { return room },
    set room(asked) {
      room = asked
      now.room = asked
    },
    rest() {
      const { used, taken } = now
      resting = { used, taken }
    },
    switchTo(next) {
      now = next
      now.room = room
      resting = null
    },
  }
}
