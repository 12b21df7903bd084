import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { product } from '../product.mjs'
import { definition, Heard, PROMPT, sleep } from './guest.mjs'

/** @typedef {import('../../packages/hypervisor/src/index.ts').OwnHypervisor} OwnHypervisor */
/** @typedef {import('../../packages/hypervisor/src/index.ts').MachineSpec} MachineSpec */
/** @typedef {{ heard: Heard, write(text: string): void }} Console */

const { createHypervisor } = await product('hypervisor')
const { nodeLoop, workerProcessor } = await product('host-node')

/** The guest of `keys` that is typed to. */
export const DESK = 'desk'

/** Of Linux: the clock of a thread, by its number (clock_getcpuclockid(3)). */
const CPUCLOCK_OF_THREAD = 6

/** A hypervisor with processors in worker threads, as many as the host has, and guests that have booted. */
export class Fleet {
  /** @type {OwnHypervisor} */
  hypervisor
  /** @type {Map<string, Console>} */
  #consoles = new Map()
  #numbers
  /** @type {((clock: number, into: BigInt64Array) => number) | null} */
  #clock = null

  /** @param {{ capacity?: import('../../packages/hypervisor/src/index.ts').Capacity, processors?: number }} [options] */
  constructor({ capacity = {}, processors = availableParallelism() } = {}) {
    const numbers = this.#numbers = new BigInt64Array(new SharedArrayBuffer(24))
    const open = () => workerProcessor(new URL('processor.mjs', import.meta.url), { data: { watched: DESK, numbers } })
    this.hypervisor = createHypervisor({ loop: nodeLoop, processors, open, capacity })
  }

  /** CPU time in ns that others than the desk have taken on its processor so far; and when it ran last. */
  others() {
    const [thread, own, then] = [0, 1, 2].map((at) => Number(Atomics.load(this.#numbers, at)))
    this.#clock ??= createRequire(new URL('../../packages/host-node/package.json', import.meta.url))('koffi').load(null).func('int clock_gettime(int, void *)')
    const time = new BigInt64Array(2)
    this.#clock?.((~(thread ?? 0) << 3) | CPUCLOCK_OF_THREAD, time)
    return { now: Number(time[0]) * 1e9 + Number(time[1]) - (own ?? 0), then: then ?? 0 }
  }

  /** @param {string} name @returns {Promise<Console>} */
  async console(name) {
    const known = this.#consoles.get(name)
    if (known !== undefined) return known
    const heard = new Heard()
    const connection = await this.hypervisor.console(name, { output: (bytes) => { heard.take(String.fromCharCode(...bytes)) }, closed() {} })
    const own = { heard, write: (/** @type {string} */ text) => { connection.write(new TextEncoder().encode(text)) } }
    this.#consoles.set(name, own)
    return own
  }

  /** @param {string} name @param {Partial<MachineSpec>} [more] */
  async boot(name, more = {}) {
    await this.hypervisor.add({ name, machine: definition, ...more })
    await this.hypervisor.start(name)
    const { heard } = await this.console(name)
    await heard.until(PROMPT, true)
  }

  /** Has a guest answer. @param {string} name */
  async ask(name) {
    const { heard, write } = await this.console(name)
    const answer = heard.until('hello')
    write('echo he""llo\n')
    await answer
  }

  async used() {
    // Reports come four times a second.
    await sleep(600)
    return new Map((await this.hypervisor.machines()).map((machine) => [machine.name, machine]))
  }
}
