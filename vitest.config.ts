import { defineConfig, type ViteUserConfig } from 'vitest/config'

/** The quick tests: beside the code of every package, of the examples, and of the repository itself. */
const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ['@machinist/source'] },
  ssr: { resolve: { conditions: ['@machinist/source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'examples/*/**/*.test.ts', 'scripts/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**', '**/*.long.test.ts'],
    setupFiles: ['./vitest.setup.ts'],
    // Against what hangs. A busy host may take many times longer than a quiet one.
    testTimeout: 5 * 60_000,
    hookTimeout: 5 * 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})

export default config
