/** Tests that use the fixture, and what Vitest says of those that fail. */
import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

it('shows in its failures what the guests did, gives each test a copy, and boots once in a worker', () => {
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs')
  const config = fileURLToPath(new URL('failing/config.ts', import.meta.url))
  const { stdout, stderr, status } = spawnSync(process.execPath, [vitest, 'run', '--config', config], { encoding: 'utf8', env: { ...process.env, NO_COLOR: '1', CI: '1' }, timeout: 20 * 60_000 })
  const said = `${stdout}${stderr}`
  expect(said).toMatch(/Tests {2}2 failed \| 2 passed \(4\)/)
  expect(status).toBe(1)
  // The message, and then the guests in the order in which they were made, with commands and consoles.
  const [, first = ''] = /FAIL .*fails\n([^]*?)❯ first\.failing/.exec(said) ?? []
  expect(first).toContain("expected '1' to be 'an assertion'")
  expect(first).toMatch(/guest guest-1\n {2}last commands:\n {2}\$ touch \/mark {3}→ status 0, [\d.]+ s\n {2}\$ cat \/boots {3}→ status 0, [\d.]+ s\n {4}1\n {2}console:\n(?: {2}│.*\n)* {2}│ at-the-42-console\n/)
  expect(first).toMatch(/guest web\n {2}last commands:\n {2}\$ echo from-web; echo problem >&2; exit 3 {3}→ status 3, [\d.]+ s\n {4}from-web\n {4}problem\n {2}console:\n/)
  const [, second = ''] = /FAIL .*takes too long\n([^]*)/.exec(said) ?? []
  expect(second).toMatch(/Test timed out in 5000ms[^]*\$ echo begun; sleep 1000 {3}→ (?:runs|no answer, [\d.]+ s)\n/)
})
