import { defineConfig, type Options } from 'tsup'

/** The build of every package: ESM for ES2022, one file per entry, source maps; `tsc` writes the declarations. */
export function library(entry: Record<string, string>): Options | Options[] | ReturnType<typeof defineConfig> {
  return defineConfig({ entry, format: ['esm'], target: 'es2022', platform: 'neutral', dts: false, clean: true, sourcemap: true, splitting: true, external: [/^node:/] })
}
