import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/**
 * Runs a program to its end, with its output on our stderr unless `stdout` says otherwise.
 * With `quiet`, all its output is held back and shown only if it fails.
 * Signals that end us are passed on, so that Ctrl-C leaves nothing running.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, stdout?: 'inherit' | 'stderr', quiet?: boolean, stdin?: 'inherit' | 'ignore', timeoutMs?: number }} [options]
 * @returns {Promise<number>} its exit status; 128 + the signal's number when a signal ended it, 127 when it could not be started
 */
export function run(command, args, options = {}) {
  const { cwd, env = process.env, stdout = 'stderr', quiet = false, stdin = 'ignore', timeoutMs } = options
  return new Promise((resolve) => {
    const child = spawn(command, [...args], { cwd, env, stdio: [stdin, quiet ? 'pipe' : stdout === 'inherit' ? 'inherit' : 2, quiet ? 'pipe' : 'inherit'] })
    /** @type {Buffer[]} */
    const held = []
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (/** @type {Buffer} */ chunk) => held.push(chunk))
    const forward = (/** @type {NodeJS.Signals} */ signal) => child.kill(signal)
    /** @type {NodeJS.Signals[]} */
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, forward)
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    const done = (/** @type {number} */ status) => {
      clearTimeout(timer)
      for (const signal of signals) process.off(signal, forward)
      if (status !== 0) process.stderr.write(Buffer.concat(held))
      resolve(status)
    }
    child.on('error', () => done(127))
    child.on(quiet ? 'close' : 'exit', (/** @type {number | null} */ code, /** @type {NodeJS.Signals | null} */ signal) => done(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  })
}
