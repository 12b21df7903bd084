/**
 * The few entry points of the host's WebAssembly engine that Machinist uses, typed here because the portable
 * packages are compiled without the DOM's declarations.
 */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule
  readonly Instance: new (module: WasmModule, imports: WasmImports) => { readonly exports: Record<string, unknown> }
  readonly Memory: new (limits: { initial: number; maximum?: number; shared?: boolean }) => WasmMemory
  readonly Table: new (limits: { element: 'anyfunc'; initial: number; maximum?: number }) => WasmTable
  compile(bytes: Uint8Array<ArrayBuffer>): Promise<WasmModule>
}

/** A compiled module; opaque, and may be sent to a worker. */
export interface WasmModule {
  readonly [opaque]?: never
}
declare const opaque: unique symbol

/** A linear memory. `grow` is in pages of 64 KiB and throws when the maximum or the host's memory is reached. */
export interface WasmMemory {
  readonly buffer: ArrayBuffer | SharedArrayBuffer
  grow(pages: number): number
}

/** A table of functions. */
export interface WasmTable {
  readonly length: number
  get(index: number): unknown
  set(index: number, value: unknown): void
  grow(by: number): number
}

export type WasmFunction = (...args: never[]) => unknown
export type WasmImports = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** Compiles at once, on the calling thread. */
export function compileNow(bytes: Uint8Array<ArrayBuffer>): WasmModule {
  return new WebAssembly.Module(bytes)
}

/** Compiles in the background. */
export function compileLater(bytes: Uint8Array<ArrayBuffer>): Promise<WasmModule> {
  return WebAssembly.compile(bytes)
}

/** Instantiates and returns the exports, typed by the caller, who built the module. */
export function instantiate<Exports>(module: WasmModule, imports: WasmImports): Exports {
  return new WebAssembly.Instance(module, imports).exports as Exports
}

/** A new memory; sizes in pages of 64 KiB. Throws a RangeError when the host has no room. */
export function createMemory(limits: { initial: number; maximum?: number; shared?: boolean }): WasmMemory {
  return new WebAssembly.Memory(limits)
}

/** A new table of functions. */
export function createTable(initial: number, maximum?: number): WasmTable {
  return new WebAssembly.Table(maximum === undefined ? { element: 'anyfunc', initial } : { element: 'anyfunc', initial, maximum })
}
