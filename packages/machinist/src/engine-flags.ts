import { setFlagsFromString } from 'node:v8'
import type { Machine } from '@machinist/machine'

/**
 * V8 optimises a WebAssembly function when it has executed some bytes of it. For the core, the module that executes harts, more than it does by itself: what is executed rarely
 * does not come there.
 */
const CORE_BUDGET = 15e6
/** Translations are many, most are used for a short time, and what V8 makes of them at once is good enough for that. */
const TRANSLATION_BUDGET = 30e6

/** Instructions that are executed before the core may be optimised, and milliseconds between two looks at how many there were. */
const COLD = 5e5
const LOOK = 10

/** A function that no module has, and one that is all of them. */
const [NONE, ALL] = [2 ** 30, -1]

/** V8 takes longer to optimise functions that write and decode code for a second or two than they take themselves. Call this before any of them runs. */
export function optimiseScriptLater(): void {
  setFlagsFromString('--interrupt-budget=1000000')
  optimiseWasmAfter(CORE_BUDGET)
}

/** Call this when the machine has been made; it holds for modules made from then on. */
export function optimiseTranslationsLater(): void {
  optimiseWasmAfter(TRANSLATION_BUDGET)
}

/**
 * Makes a machine whose core V8 does not optimise, until {@link optimiseWhenWarm}. The interpreter is one large loop, which V8 takes for hot after a hundred instructions,
 * and optimises in another thread for 50 ms: more than a command spends that ends by then.
 */
export function withColdCore(make: () => Machine): Machine {
  optimiseWasmOf(NONE)
  try {
    return make()
  } catch (error) {
    optimiseWasmOf(ALL)
    throw error
  }
}

/**
 * Has the core of a machine optimised, and translations, when it has executed enough. What V8 compiled without counting it does not count later, so that the code is made anew.
 *
 * @returns ends the waiting, when the machine has ended
 */
export function optimiseWhenWarm(machine: Machine): () => void {
  const began = machine.stats.retired
  const end = (): void => {
    clearInterval(timer)
    optimiseWasmOf(ALL)
  }
  const timer = setInterval(() => {
    if (machine.stats.retired - began < COLD) return
    end()
    machine.renewCode()
    optimiseTranslationsLater()
  }, LOOK)
  timer.unref()
  return end
}

function optimiseWasmAfter(bytes: number): void {
  setFlagsFromString(`--wasm-tiering-budget=${String(bytes)}`)
}

function optimiseWasmOf(number: number): void {
  setFlagsFromString(`--wasm-tier-up-filter=${String(number)}`)
}
