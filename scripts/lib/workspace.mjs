import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run.mjs'
import { Unmet, say } from './say.mjs'

/** The repository's root folder. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

const stamps = join(root, 'node_modules/.cache/machinist')
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

/** Refuses a Node older than `engines` allows, before anything else can fail in a stranger way. */
export function checkNode() {
  const wanted = String(manifest.engines.node).replace('>=', '')
  const [major = 0, minor = 0] = wanted.split('.').map(Number)
  const [haveMajor = 0, haveMinor = 0] = process.versions.node.split('.').map(Number)
  const older = haveMajor < major || (haveMajor === major && haveMinor < minor)
  if (older) throw new Unmet(`Node ${wanted} or newer is needed, and this is Node ${process.versions.node}: install a newer Node and run the command again.`)
}

/**
 * Every workspace package: the folder relative to the root, and its manifest.
 * @param {readonly string[]} [parents]
 * @returns {{ dir: string, manifest: Record<string, any> }[]}
 */
export function workspacePackages(parents = ['packages', 'examples']) {
  const dirs = parents.flatMap((parent) => {
    const path = join(root, parent)
    return existsSync(path) ? readdirSync(path).sort().map((name) => `${parent}/${name}`) : []
  })
  return dirs
    .filter((dir) => existsSync(join(root, dir, 'package.json')))
    .map((dir) => ({ dir, manifest: JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8')) }))
}

/**
 * Runs pnpm of exactly the version in `packageManager`. When that pnpm is not on the PATH, npm fetches it into its own
 * cache; nothing is installed globally. The same pnpm is on the PATH of whatever pnpm starts (turbo needs it there).
 * @param {readonly string[]} args
 * @param {{ cwd?: string, stdout?: 'inherit' | 'stderr', quiet?: boolean, timeoutMs?: number }} [options]
 */
export function pnpm(args, options = {}) {
  const version = String(manifest.packageManager).replace('pnpm@', '')
  // npm passes its settings down in the environment; the silence that the project's .npmrc asks of `npm start` must not reach pnpm.
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }
  for (const name of Object.keys(env)) if (name.toLowerCase() === 'npm_config_loglevel') delete env[name]
  if (onPath('pnpm')) {
    // Asked outside the repository: inside, another pnpm would answer with the version that packageManager names.
    const found = spawnSync('pnpm', ['--version'], { cwd: '/', env, encoding: 'utf8' })
    if (found.status === 0 && found.stdout.trim() === version) return run('pnpm', args, { cwd: root, ...options, env })
  }
  return run('npm', ['exec', '--yes', '--loglevel=error', `--package=pnpm@${version}`, '--', 'pnpm', ...args], { cwd: root, ...options, env })
}

/** @param {string} command */
export function onPath(command) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.some((folder) => existsSync(join(folder, command)))
}

/** Installs the npm dependencies unless the lockfile and every manifest are those of the last installation. */
export async function ensureDependencies() {
  const files = ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...workspacePackages().map(({ dir }) => `${dir}/package.json`)]
  const wanted = digest(files.map((file) => `${file}\0${readFileSync(join(root, file), 'utf8')}`))
  if (existsSync(join(root, 'node_modules/.modules.yaml')) && readStamp('install') === wanted) return
  say('Installing the npm packages …')
  const status = await pnpm(['install', '--frozen-lockfile', '--prefer-offline', '--reporter=append-only', '--loglevel=warn', '--config.confirm-modules-purge=false'])
  if (status !== 0) throw new Unmet('pnpm could not install the npm packages (its own message stands above): check the network and the free disk space, and run the command again.')
  writeStamp('install', wanted)
}

/**
 * Builds a package and what it depends on, unless no source changed since it was last built.
 * @param {string} name the package's name
 * @param {string} product a file that the build makes, relative to the root
 */
export async function ensureBuild(name, product) {
  const wanted = sourcesDigest()
  const stamp = `build-${name.replace(/\W+/g, '-')}`
  if (existsSync(join(root, product)) && readStamp(stamp) === wanted) return
  say('Building …')
  const status = await pnpm(['exec', 'turbo', 'run', 'build', `--filter=${name}...`, '--output-logs=errors-only', '--log-order=grouped'], { quiet: true })
  if (status !== 0) throw new Unmet(`the build of ${name} failed (the compiler's message stands above).`)
  writeStamp(stamp, wanted)
}

/** A digest of path, size and modification time of every file that a build reads: a few milliseconds, no content read. */
function sourcesDigest() {
  /** @type {string[]} */
  const entries = []
  const note = (/** @type {string} */ path) => {
    const { size, mtimeMs } = statSync(path)
    entries.push(`${relative(root, path)}\0${size}\0${mtimeMs}`)
  }
  const walk = (/** @type {string} */ dir) => {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (!entry.name.endsWith('.test.ts')) note(path)
    }
  }
  for (const file of ['tsconfig.base.json', 'tsconfig.build.json', 'tsup.base.ts', 'turbo.json']) note(join(root, file))
  for (const { dir } of workspacePackages(['packages'])) {
    for (const file of ['package.json', 'tsup.config.ts', 'tsconfig.build.json']) if (existsSync(join(root, dir, file))) note(join(root, dir, file))
    if (existsSync(join(root, dir, 'src'))) walk(join(root, dir, 'src'))
  }
  return digest(entries)
}

/** @param {readonly string[]} parts */
function digest(parts) {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part).update('\0')
  return hash.digest('hex')
}

/** @param {string} name */
function readStamp(name) {
  const path = join(stamps, name)
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

/** @param {string} name @param {string} value */
function writeStamp(name, value) {
  const path = join(stamps, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, value)
}
