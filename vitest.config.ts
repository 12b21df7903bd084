import { defineConfig, type ViteUserConfig } from 'vitest/config'

/** The quick tests: beside the code of every package, of the examples, and of the repository itself. */
const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ['@machinist/source'] },
  ssr: { resolve: { conditions: ['@machinist/source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'examples/*/**/*.test.ts', 'scripts/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', '**/*.long.test.ts'],
    testTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})

export default config
