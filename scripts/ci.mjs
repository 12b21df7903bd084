/**
 * The steps of `.ci/run`. Every step runs even if an earlier one failed; each prints its time, and the last line sums
 * the tests and checks of all. Names given as arguments pick steps.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { ensureDebianPackages } from './debian.mjs'
import { run } from './lib/run.mjs'
import { Unmet } from './lib/say.mjs'
import { checkNode, ensureDependencies, pnpm, root, workspacePackages } from './lib/workspace.mjs'

/** @typedef {{ passed: number, failed: number, again?: readonly string[] }} Tally `again`: tests that failed, and passed when they were run again */

/** A fault that comes and goes shows in a few files; when more of them fail, something else is wrong. */
const FEW_FILES = 3

const minutes = 60 * 1000
const packages = workspacePackages(['packages'])
const work = mkdtempSync(join(tmpdir(), 'machinist-ci-'))

/** @type {readonly { name: string, body: () => Promise<Tally> }[]} */
const steps = [
  { name: 'install', body: () => one(install) },
  { name: 'test', body: () => vitest('vitest.config.ts', 30 * minutes) },
  { name: 'lint', body: () => one(() => tool('eslint', 'eslint', ['.', '--max-warnings=0'], 20 * minutes)) },
  { name: 'typecheck', body: () => one(async () => Math.max(await tool('typescript', 'tsc', [], 20 * minutes), await tool('typescript', 'tsc', ['-p', 'scripts'], 20 * minutes), await tool('typescript', 'tsc', ['-p', 'examples/playground'], 20 * minutes))) },
  { name: 'build', body: () => one(() => pnpm(['exec', 'turbo', 'run', 'build', '--output-logs=errors-only', '--continue'], { stdout: 'inherit', timeoutMs: 25 * minutes })) },
  { name: 'packages', body: checkPackages },
  { name: 'examples', body: runExamples },
  { name: 'long', body: () => vitest('vitest.long.config.ts', 70 * minutes) },
  { name: 'docs', body: () => one(() => tool('typedoc', 'typedoc', ['--logLevel', 'Warn'], 10 * minutes)) },
]

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !steps.some((step) => step.name === name))
if (unknown.length > 0) {
  console.error(`No step is named ${unknown.join(', ')}; the steps are ${steps.map((step) => step.name).join(', ')}.`)
  process.exit(1)
}

/** @type {Tally} */
const total = { passed: 0, failed: 0 }
/** @type {string[]} */
const again = []
/** @type {string[]} */
const summary = []
for (const { name, body } of steps) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  console.log(`\n=== ${name}`)
  const began = performance.now()
  /** @type {Tally} */
  const tally = await body().catch((error) => {
    console.error(error instanceof Unmet ? error.message : error)
    return { passed: 0, failed: 1 }
  })
  total.passed += tally.passed
  total.failed += tally.failed
  again.push(...tally.again ?? [])
  const line = `${name}: ${tally.passed} passed, ${tally.failed} failed in ${((performance.now() - began) / 1000).toFixed(1)} s`
  summary.push(line)
  console.log(`=== ${line}`)
}
rmSync(work, { recursive: true, force: true })
console.log(`\n${summary.map((line) => `  ${line}`).join('\n')}\n`)
if (again.length > 0) console.log(`Faults that come and go (failed, then passed when run again), to be found and mended:\n${again.map((name) => `  ${name}`).join('\n')}\n`)
console.log(`${total.passed} passed, ${total.failed} failed`)
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1)

/** @param {() => number | Promise<number>} body resolves with an exit status @returns {Promise<Tally>} */
async function one(body) {
  return tallyOf(await body())
}

/** @param {number} status @returns {Tally} */
function tallyOf(status) {
  return status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 }
}

async function install() {
  checkNode()
  ensureDebianPackages('test')
  await ensureDependencies()
  return 0
}

/** Runs a tool of the root's devDependencies with the Node that runs us. @param {string} name @param {string} bin @param {readonly string[]} args @param {number} timeoutMs */
function tool(name, bin, args, timeoutMs) {
  const folder = join(root, 'node_modules', name)
  const entry = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).bin
  const file = join(folder, typeof entry === 'string' ? entry : entry[bin])
  const env = { ...process.env, NODE_OPTIONS: '--max-old-space-size=4096' }
  return run(process.execPath, [file, ...args], { cwd: root, env, stdout: 'inherit', timeoutMs })
}

/**
 * Runs the tests of a configuration. The files of a few that failed run once more, alone: what then passes counts, and is told at the end.
 * @param {string} config @param {number} timeoutMs @returns {Promise<Tally>}
 */
async function vitest(config, timeoutMs) {
  const first = await runTests(config, [], timeoutMs)
  const files = [...new Set(first.failures.map(({ file }) => file))]
  if (first.failed === 0 || files.length === 0 || files.length > FEW_FILES || first.failures.length < first.failed) return first
  console.log(`\n=== once more, alone: ${files.join(' ')}\n`)
  const second = await runTests(config, files, timeoutMs)
  const still = new Set(second.failures.map(({ name }) => name))
  const again = first.failures.map(({ name }) => name).filter((name) => !still.has(name))
  return { passed: first.passed + first.failures.length - second.failed, failed: second.failed, again: second.failed === 0 ? again : [] }
}

/** @param {string} config @param {readonly string[]} files empty: all @param {number} timeoutMs @returns {Promise<Tally & { failures: readonly { file: string, name: string }[] }>} */
async function runTests(config, files, timeoutMs) {
  const report = join(work, `${config}.json`)
  rmSync(report, { force: true })
  const args = ['run', '--config', config, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...files]
  const quick = config === 'vitest.config.ts'
  const status = quick
    ? await run(process.execPath, [join(root, 'scripts/test.mjs'), ...args.slice(1)], { cwd: root, stdout: 'inherit', timeoutMs })
    : await tool('vitest', 'vitest', args, timeoutMs)
  if (!existsSync(report)) return { passed: 0, failed: 1, failures: [] }
  const { numPassedTests, numFailedTests, numFailedTestSuites, testResults } = JSON.parse(readFileSync(report, 'utf8'))
  // A file that could not be loaded, or an error outside of any test, fails the run without failing a test.
  const failed = numFailedTests > 0 ? numFailedTests : status === 0 ? 0 : Math.max(1, numFailedTestSuites)
  /** @type {{ file: string, name: string }[]} */
  const failures = []
  for (const { name, assertionResults } of testResults) {
    const file = relative(root, name)
    for (const { status: outcome, fullName } of assertionResults) if (outcome === 'failed') failures.push({ file, name: `${file}: ${fullName}` })
  }
  return { passed: numPassedTests, failed, failures }
}

/** Packs every package as it would be published, and has publint and attw judge the archive. @returns {Promise<Tally>} */
async function checkPackages() {
  /** @type {Tally} */
  const tally = { passed: 0, failed: 0 }
  for (const { dir, manifest } of packages) {
    const folder = join(work, dir)
    mkdirSync(folder, { recursive: true })
    /** @type {Record<string, number>} */
    const status = { pack: await pnpm(['pack', '--pack-destination', folder], { cwd: join(root, dir), quiet: true, timeoutMs: 2 * minutes }) }
    const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'))
    if (status.pack === 0 && archive !== undefined) {
      status.publint = await tool('publint', 'publint', [join(folder, archive), '--strict'], 2 * minutes)
      status.attw = await tool('@arethetypeswrong/cli', 'attw', [join(folder, archive), '--profile', 'esm-only', '--format', 'ascii', '--quiet'], 2 * minutes)
    }
    for (const [check, value] of Object.entries(status)) {
      if (value === 0) tally.passed++
      else {
        tally.failed++
        console.log(`${manifest.name}: ${check} failed`)
      }
    }
  }
  return tally
}

/** Runs every example's `test` script, or its `start` where it has no test. @returns {Promise<Tally>} */
async function runExamples() {
  /** @type {Tally} */
  const tally = { passed: 0, failed: 0 }
  for (const { dir, manifest } of workspacePackages(['examples'])) {
    const script = ['test', 'start'].find((name) => manifest.scripts?.[name] !== undefined)
    const status = script === undefined ? 1 : await pnpm(['run', script], { cwd: join(root, dir), stdout: 'inherit', timeoutMs: 10 * minutes })
    console.log(`${dir}: ${script === undefined ? 'has neither a test nor a start script' : status === 0 ? 'ok' : `failed with status ${status}`}`)
    if (status === 0) tally.passed++
    else tally.failed++
  }
  return tally
}
