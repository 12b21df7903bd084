import { defineConfig, type ViteUserConfig } from 'vitest/config'

/** The long suites: those that take minutes, or need every package built. `npx vitest run --config vitest.long.config.ts` */
const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ['@machinist/source'] },
  ssr: { resolve: { conditions: ['@machinist/source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.long.test.ts', 'packages/*/test/**/*.long.test.ts', 'examples/*/**/*.long.test.ts', 'scripts/**/*.long.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    setupFiles: ['./vitest.setup.ts'],
    // Against what hangs. A busy host may take many times longer than a quiet one.
    testTimeout: 30 * 60_000,
    hookTimeout: 30 * 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})

export default config
