import { defineConfig, type Options } from 'tsup'

/** A build as tsup takes it. */
export type Build = ReturnType<typeof defineConfig>

/** The build of every package: ESM for ES2022, one file per entry, source maps; modules of Node.js keep their `node:`; `tsc` writes the declarations. */
export function library(entry: Record<string, string>, more: Pick<Options, 'esbuildPlugins' | 'onSuccess'> = {}): Build {
  return defineConfig({ ...more, entry, format: ['esm'], target: 'es2022', platform: 'neutral', dts: false, clean: true, sourcemap: true, splitting: true, removeNodeProtocol: false, external: [/^node:/] })
}
