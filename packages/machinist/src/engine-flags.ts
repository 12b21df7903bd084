import { setFlagsFromString } from 'node:v8'

/**
 * V8 takes longer to optimise functions that write and decode code for a second or two than they take themselves. Call
 * this before any of them runs.
 */
export function optimiseScriptLater(): void {
  setFlagsFromString('--interrupt-budget=1000000')
}

/**
 * V8 optimises a WebAssembly function when it has executed some bytes of it. Right for the interpreter, whose module is made first;
 * translations are many, most are used for a short time, and what V8 makes of them at once is good enough for that. Call
 * this when the machine has been made; it holds for modules made from then on.
 */
export function optimiseTranslationsLater(): void {
  setFlagsFromString('--wasm-tiering-budget=30000000')
}
