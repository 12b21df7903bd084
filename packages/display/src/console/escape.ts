/** Ctrl-A, which begins a command to the terminal instead of the guest. */
export const ESCAPE_KEY = 1

/** Takes commands out of what a user types. */
export interface EscapeParser {
  /** Takes typed bytes; returns those for the guest. A Ctrl-A at the end waits for its second key. */
  feed(bytes: Uint8Array): Uint8Array
}

/**
 * Finds `Ctrl-A key` in typed input. `Ctrl-A A` sends one Ctrl-A to the guest; with any other key, `command` is asked,
 * and when it returns false both keys go to the guest: a shell's Ctrl-A is still of use. Bytes of UTF-8 text pass
 * untouched.
 *
 * @param command - told the key, in lower case, such as `'x'`; returns whether it was a command
 */
export function escapeParser(command: (key: string) => boolean): EscapeParser {
  let escaped = false
  return {
    feed(bytes) {
      const out: number[] = []
      for (const byte of bytes) {
        if (!escaped) {
          if (byte === ESCAPE_KEY) escaped = true
          else out.push(byte)
          continue
        }
        escaped = false
        const key = String.fromCharCode(byte).toLowerCase()
        if (key === 'a' || byte === ESCAPE_KEY) out.push(ESCAPE_KEY)
        else if (byte >= 0x80 || !command(key)) out.push(ESCAPE_KEY, byte)
      }
      return Uint8Array.from(out)
    },
  }
}
