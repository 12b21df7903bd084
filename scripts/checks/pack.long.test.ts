import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pnpm } from '../lib/workspace.mjs'
import { importedModules } from './floors.ts'
import { OLDEST_TYPESCRIPT, packages, root, type Package } from './workspace.ts'

const all = packages()
const work = mkdtempSync(join(tmpdir(), 'machinist-pack-'))
const archives = new Map<string, string>()

/** A package's own and inherited dependencies within the workspace, by the manifests. */
function closure(start: Package): string[] {
  const found = new Set<string>()
  const pending = [start.manifest.name]
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (found.has(name)) continue
    found.add(name)
    const manifest = all.find((item) => item.manifest.name === name)?.manifest
    pending.push(...Object.keys({ ...manifest?.dependencies, ...manifest?.peerDependencies }).filter((item) => all.some((other) => other.manifest.name === item)))
  }
  return [...found].sort()
}

beforeAll(async () => {
  // Not built here: other tests run what is built, at the same time.
  const missing = all.filter(({ dir }) => !existsSync(join(root, dir, 'dist')))
  if (missing.length > 0) throw new Error(`${missing.map(({ manifest }) => manifest.name).join()}: these tests need what \`npm run build\` makes`)
  for (const { dir, manifest } of all) {
    const folder = join(work, 'archives', dir)
    mkdirSync(folder, { recursive: true })
    expect(await pnpm(['pack', '--pack-destination', folder], { cwd: join(root, dir), quiet: true })).toBe(0)
    const file = readdirSync(folder).find((name) => name.endsWith('.tgz'))
    if (file !== undefined) archives.set(manifest.name, join(folder, file))
  }
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

/** A package's archive, as npm takes it in the place of a version. */
function file(name: string): string {
  const archive = archives.get(name)
  if (archive === undefined) throw new Error(`${name} was not packed`)
  return `file:${archive}`
}

/** Installs packages in a folder of their own. What they need of each other comes from the archives too, since the registry does not have it yet. */
function install(folder: string, names: readonly string[], others: Readonly<Record<string, string>> = {}): void {
  mkdirSync(folder, { recursive: true })
  const overrides = Object.fromEntries(all.map(({ manifest }) => manifest.name).filter((item) => !names.includes(item)).map((item) => [item, file(item)]))
  const dependencies = { ...others, ...Object.fromEntries(names.map((name) => [name, file(name)])) }
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'alone', version: '1.0.0', private: true, type: 'module', dependencies, overrides }))
  execFileSync('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, stdio: 'pipe' })
}

/** Whether a package lives in other software, such as a test runner, whose own declarations are not ours to check. */
const guest = ({ manifest: { peerDependencies = {} } }: Package): boolean => Object.keys(peerDependencies).some((name) => !name.startsWith('@machinist/'))

/** What can be imported of a package: `@machinist/virtio/block`. */
const specifiers = ({ manifest: { name, exports = {} } }: Package): string[] => Object.keys(exports).filter((key) => key !== './package.json').map((entry) => name + entry.slice(1))

describe('a packed package, installed alone', () => {
  for (const owner of all) {
    const { name } = owner.manifest
    it(`${name} imports, by every entry point`, () => {
      const folder = join(work, 'install', owner.dir)
      install(folder, [name])

      const installed = readdirSync(join(folder, 'node_modules/@machinist')).map((item) => `@machinist/${item}`).sort()
      expect(installed).toEqual(closure(owner))
      expect(existsSync(join(folder, 'node_modules', name, 'src'))).toBe(false)
      for (const specifier of specifiers(owner)) {
        const script = `const found = await import(${JSON.stringify(specifier)}); process.stdout.write(String(typeof found))`
        expect(execFileSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: folder, encoding: 'utf8' })).toBe('object')
      }
      const home = join(folder, 'node_modules', name)
      const bare = readdirSync(join(home, 'dist'), { encoding: 'utf8', recursive: true }).filter((path) => /\.(?:js|d\.ts)$/.test(path))
        .flatMap((path) => importedModules(path, readFileSync(join(home, 'dist', path), 'utf8'))).filter((module) => builtinModules.includes(module))
      expect(bare, 'modules of Node.js are imported with node:').toEqual([])
      for (const command of Object.keys(owner.manifest.bin ?? {})) {
        // By the link that npm made, twice: the second finds what the first has kept.
        for (let run = 0; run < 2; run++) expect(execFileSync(join(folder, 'node_modules/.bin', command), ['--version'], { cwd: folder, encoding: 'utf8' })).toBe(`${command} ${owner.manifest.version}\n`)
        expect(readdirSync(join(home, 'dist')).filter((path) => path.endsWith('.code'))).toHaveLength(1)
      }
      if (owner.manifest.man !== undefined) expect(readFileSync(join(home, owner.manifest.man), 'utf8')).toMatch(/^\.TH /)
    })
  }
})

describe(`the packages' declarations, to TypeScript ${OLDEST_TYPESCRIPT}`, () => {
  const folder = join(work, 'types')
  beforeAll(() => {
    install(folder, all.map(({ manifest }) => manifest.name), { 'typescript': `~${OLDEST_TYPESCRIPT}.0`, '@types/node': '^20' })
    const imports = all.filter((item) => !guest(item)).flatMap(specifiers).map((specifier, index) => `import * as m${index} from '${specifier}'\nexport const v${index} = m${index}\n`)
    writeFileSync(join(folder, 'all.ts'), imports.join(''))
    writeFileSync(join(folder, 'guests.ts'), all.filter(guest).flatMap(specifiers).map((specifier, index) => `export * as m${index} from '${specifier}'\n`).join(''))
    const program = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = '']) => code).find((code) => code.includes('defineMachine'))
    expect(program).toBeDefined()
    writeFileSync(join(folder, 'program.ts'), program ?? '')
  })
  it.each([
    ['nodenext', 'nodenext', false], ['bundler', 'es2022', false], ['nodenext', 'nodenext', true], ['bundler', 'es2022', true],
  ])('are whole, resolved as %s does (%s, guests of other software: %s)', (moduleResolution, module, skipLibCheck) => {
    const options = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, target: 'es2022', lib: ['es2023', 'dom'], types: ['node'], skipLibCheck, module, moduleResolution }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: skipLibCheck ? ['guests.ts'] : ['all.ts', 'program.ts'] }))
    let found = ''
    try {
      execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.', '--pretty', 'false'], { cwd: folder, encoding: 'utf8' })
    } catch (error) {
      found = error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
    }
    expect(found).toBe('')
  })
})

it('new versions are for packages alone, not for examples', () => {
  const clone = join(work, 'clone')
  execFileSync('git', ['clone', '-q', '--depth=1', `file://${root}`, clone])
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))
  cpSync(join(root, '.changeset'), join(clone, '.changeset'), { recursive: true })
  writeFileSync(join(clone, '.changeset/all.md'), `---\n${all.map(({ manifest }) => `'${manifest.name}': minor\n`).join('')}---\n\nAll.\n`)
  execFileSync(process.execPath, [join(root, 'node_modules/@changesets/cli/bin.js'), 'version'], { cwd: clone, stdio: 'pipe' })
  const versions = (parent: string): string[] => readdirSync(join(clone, parent)).map((name) => (JSON.parse(readFileSync(join(clone, parent, name, 'package.json'), 'utf8')) as { version: string }).version)
  expect(new Set(versions('examples'))).toEqual(new Set(['0.0.0']))
  expect(new Set(versions('packages'))).toEqual(new Set(['0.1.0']))
  expect(readdirSync(join(clone, 'examples')).filter((name) => existsSync(join(clone, 'examples', name, 'CHANGELOG.md')))).toEqual([])
})
