import { defineConfig, type TestProjectInlineConfiguration, type ViteUserConfig } from 'vitest/config'

/** Packages whose tests leave nothing behind in a process: the next file's run in it. These are the portable ones, and the program above them. */
const TOGETHER = ['api', 'boards', 'boot', 'bus', 'cpu-core', 'cpu-riscv', 'cpu-x86', 'devices', 'display', 'hypervisor', 'interrupts', 'machine', 'memory', 'mmu',
  'machinist', 'network', 'packets', 'registers', 'sbi', 'schedulers', 'snapshot', 'softfloat', 'storage', 'testkit', 'translator', 'virtio', 'wasm']

const together = TOGETHER.map((name) => `packages/${name}`)

function project(name: string, isolate: boolean, folders: readonly string[], besides: readonly string[]): TestProjectInlineConfiguration {
  const files = (folder: string): string[] => [`${folder}/**/*.test.ts`]
  return {
    resolve: { conditions: ['@machinist/source'] },
    ssr: { resolve: { conditions: ['@machinist/source', 'node', 'import', 'default'] } },
    test: {
      name,
      include: folders.flatMap(files),
      exclude: ['**/node_modules/**', '**/dist/**', '**/*.long.test.ts', ...besides.flatMap(files)],
      setupFiles: ['./vitest.setup.ts'],
      // Against what hangs. A busy host may take many times longer than a quiet one.
      testTimeout: 5 * 60_000,
      hookTimeout: 5 * 60_000,
      pool: 'forks',
      isolate,
    },
  }
}

/** The quick tests: beside the code of every package, of the examples, and of the repository itself. */
const config: ViteUserConfig = defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project('alone', true, ['packages/*', 'examples/*', 'scripts'], together),
      project('together', false, together, []),
    ],
  },
})

export default config
