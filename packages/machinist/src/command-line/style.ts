/** Where text goes: `process.stdout` will do. */
export interface Terminal {
  readonly isTTY?: boolean
}

const CODES = { bold: 1, red: 31, yellow: 33 } as const

/** Whether text for `stream` may be coloured: it is a terminal, which can show it, and NO_COLOR does not forbid it. */
export function hasColour(stream: Terminal, env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  return stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
}

/** Marks text for a stream, or leaves it as it is where colours are not wanted. */
export function styled(stream: Terminal, style: keyof typeof CODES, text: string, env?: Readonly<Record<string, string | undefined>>): string {
  return hasColour(stream, env) ? `\u001b[${CODES[style]}m${text}\u001b[0m` : text
}
