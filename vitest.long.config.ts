import { basename } from 'node:path'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take minutes on a quiet host, the longest first. They are begun first: none is left to one worker when the other has nothing more to do. */
const LONGEST: readonly string[] = ['debian', 'debian-amd64', 'images', 'differential', 'overcommitted', 'damaged-states', 'going-on', 'many-machines', 'daemon-killed', 'gdb', 'pack']

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.indexOf(basename(moduleId, '.long.test.ts'))
      return at < 0 ? LONGEST.length : at
    }
    return (await super.sort(files)).sort((one, other) => place(one) - place(other))
  }
}

/** The long suites: those that take minutes, or need every package built. `npx vitest run --config vitest.long.config.ts` */
const config: ViteUserConfig = defineConfig({
  resolve: { conditions: ['@machinist/source'] },
  ssr: { resolve: { conditions: ['@machinist/source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.long.test.ts', 'packages/*/test/**/*.long.test.ts', 'examples/*/**/*.long.test.ts', 'scripts/**/*.long.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    sequence: { sequencer: LongestFirst },
    setupFiles: ['./vitest.setup.ts'],
    // Against what hangs. A busy host may take many times longer than a quiet one.
    testTimeout: 30 * 60_000,
    hookTimeout: 30 * 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})

export default config
