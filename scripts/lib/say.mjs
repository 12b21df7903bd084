/** What every script says goes to stderr: stdout belongs to the program that the script starts. */

/** @param {string} text */
export function say(text) {
  process.stderr.write(`${text}\n`)
}

/** Thrown for a condition the person at the terminal can remedy; printed as its one sentence, without a stack. */
export class Unmet extends Error {}

/**
 * Runs a script's body; a remediable condition ends it with one sentence and status 1.
 * @param {() => Promise<number | undefined>} body resolves with the exit status, or undefined to leave the process running
 */
export async function script(body) {
  try {
    const status = await body()
    if (status !== undefined) process.exitCode = status
  } catch (error) {
    if (!(error instanceof Unmet)) throw error
    say(`machinist: ${error.message}`)
    process.exitCode = 1
  }
}
