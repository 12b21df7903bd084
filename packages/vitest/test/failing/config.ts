import { defineConfig, type ViteUserConfig } from 'vitest/config'

/** Runs the tests beside it, which fail, without the isolation of files: they share a worker. */
const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ['@machinist/source'] },
  ssr: { resolve: { conditions: ['@machinist/source', 'node', 'import', 'default'] } },
  test: { root: import.meta.dirname, include: ['*.failing.ts'], isolate: false, pool: 'forks', maxWorkers: 1, testTimeout: 10 * 60_000 },
})

export default config
