import { readFileSync } from 'node:fs'
import { product } from '../product.mjs'

/** The guest says this when it is there. */
export const PROMPT = '# '
/** What a guest that computes says each thousand rounds of a loop, which is the same work wherever it runs. Typed, it is not this character. */
export const MARK = '~'
export const WORK = 'm=$(printf \'\\176\'); while :; do i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done; echo -n $m; done\n'
export const MEMORY = 256 * 2 ** 20
/** Guests in the rows with guests that compute. */
export const BUSY = 8

const { virt } = await product('boards')
const { guestCommandLine, prepareGuest } = await product('machinist')

export const files = await prepareGuest()
export const commandLine = guestCommandLine({ console: 'ttyS0', quiet: true })
export const definition = virt({ console: 'console', kernel: readFileSync(files.kernel), initrd: readFileSync(files.initrd), memory: MEMORY, append: commandLine }).definition

/** @param {number} ms */
export const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms) })

/** CPU seconds of this process, all threads. */
export function cpu() {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** @param {readonly number[]} figures @param {number} part */
export const quantile = (figures, part) => [...figures].sort((a, b) => a - b)[Math.min(figures.length - 1, Math.floor(figures.length * part))] ?? NaN

/** Bytes of memory of processes: each page divided by how many have it (proc_pid_smaps(5): Pss). @param {readonly number[]} pids */
export function memoryOf(pids) {
  return pids.reduce((sum, pid) => sum + 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? NaN), 0)
}

/** What a console says: how many marks, and whether it is something. */
export class Heard {
  marks = 0
  #tail = ''
  #wanted = /** @type {((said: string) => boolean) | null} */ (null)
  #found = () => {}

  /** @param {string} text */
  take(text) {
    for (const letter of text) if (letter === MARK) this.marks++
    this.#tail = (this.#tail + text).slice(-4096)
    if (this.#wanted?.(this.#tail) !== true) return
    this.#wanted = null
    this.#found()
  }

  /** Waits until something has been said, from now on unless it is the prompt of the beginning. @param {string} text @returns {Promise<void>} */
  until(text, whole = false) {
    if (!whole) this.#tail = ''
    if (this.#tail.includes(text)) return Promise.resolve()
    return new Promise((resolve) => {
      this.#wanted = (said) => said.includes(text)
      this.#found = resolve
    })
  }
}
