import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pnpm } from '../lib/workspace.mjs'
import { packages, root, type Package } from './workspace.ts'

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
  expect(await pnpm(['exec', 'turbo', 'run', 'build', '--output-logs=errors-only', '--continue'])).toBe(0)
  for (const { dir, manifest } of all) {
    const folder = join(work, 'archives', dir)
    mkdirSync(folder, { recursive: true })
    expect(await pnpm(['pack', '--pack-destination', folder], { cwd: join(root, dir), quiet: true })).toBe(0)
    const file = readdirSync(folder).find((name) => name.endsWith('.tgz'))
    if (file !== undefined) archives.set(manifest.name, join(folder, file))
  }
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

describe('a packed package, installed alone', () => {
  for (const owner of all) {
    const { name, exports = {} } = owner.manifest
    it(`${name} imports, by every entry point`, () => {
      const folder = join(work, 'install', owner.dir)
      mkdirSync(folder, { recursive: true })
      const file = (item: string): string => {
        const archive = archives.get(item)
        if (archive === undefined) throw new Error(`${item} was not packed`)
        return `file:${archive}`
      }
      // Its dependencies come from their archives too, since the registry does not have them yet.
      const overrides = Object.fromEntries(closure(owner).filter((item) => item !== name).map((item) => [item, file(item)]))
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'alone', version: '1.0.0', private: true, type: 'module', dependencies: { [name]: file(name) }, overrides }))
      execFileSync('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: folder, stdio: 'pipe' })

      const installed = readdirSync(join(folder, 'node_modules/@machinist')).map((item) => `@machinist/${item}`).sort()
      expect(installed).toEqual(closure(owner))
      expect(existsSync(join(folder, 'node_modules', name, 'src'))).toBe(false)
      for (const entry of Object.keys(exports).filter((key) => key !== './package.json')) {
        const specifier = name + entry.slice(1)
        const script = `const found = await import(${JSON.stringify(specifier)}); process.stdout.write(String(typeof found))`
        expect(execFileSync(process.execPath, ['--input-type=module', '--eval', script], { cwd: folder, encoding: 'utf8' })).toBe('object')
      }
    })
  }
})
