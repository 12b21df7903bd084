import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/**
 * Runs a program to its end, with its output on our stderr unless `stdout` says otherwise.
 * Signals that end us are passed on, so that Ctrl-C leaves nothing running.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, stdout?: 'inherit' | 'stderr', stdin?: 'inherit' | 'ignore', timeoutMs?: number }} [options]
 * @returns {Promise<number>} its exit status; 128 + the signal's number when a signal ended it, 127 when it could not be started
 */
export function run(command, args, options = {}) {
  const { cwd, env = process.env, stdout = 'stderr', stdin = 'ignore', timeoutMs } = options
  return new Promise((resolve) => {
    const child = spawn(command, [...args], { cwd, env, stdio: [stdin, stdout === 'inherit' ? 'inherit' : 2, 'inherit'] })
    const forward = (/** @type {NodeJS.Signals} */ signal) => child.kill(signal)
    /** @type {NodeJS.Signals[]} */
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
    for (const signal of signals) process.on(signal, forward)
    const timer = timeoutMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), timeoutMs)
    const done = (/** @type {number} */ status) => {
      clearTimeout(timer)
      for (const signal of signals) process.off(signal, forward)
      resolve(status)
    }
    child.on('error', () => done(127))
    child.on('exit', (code, signal) => done(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
  })
}
