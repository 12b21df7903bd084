import { setFlagsFromString } from 'node:v8'

/**
 * V8 takes longer to optimise functions that write and decode code for a second or two than they take themselves. Call
 * this before any of them runs.
 */
export function optimiseScriptLater(): void {
  setFlagsFromString('--interrupt-budget=1000000')
  optimiseWasmAfter(15e6)
}

/**
 * V8 optimises a WebAssembly function when it has executed some bytes of it. For the core, whose module is made first, more than it
 * does by itself: the interpreter comes there at once, and what is executed rarely does not. Translations are many, most are used
 * for a short time, and what V8 makes of them at once is good enough for that. Call this when the machine has been made; it holds for
 * modules made from then on.
 */
export function optimiseTranslationsLater(): void {
  optimiseWasmAfter(30e6)
}

function optimiseWasmAfter(bytes: number): void {
  setFlagsFromString(`--wasm-tiering-budget=${String(bytes)}`)
}
