import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { packageExports } from '../docs/exports.mjs'
import { groupOf, groups } from '../docs/groups.mjs'
import { importedModules, packageOf } from './floors.ts'
import { OLDEST_TYPESCRIPT, packages, root, trackedFiles } from './workspace.ts'

const all = packageExports()

describe.each(all)('$name', ({ dir, name, exports }) => {
  const readme = readFileSync(join(root, dir, 'README.md'), 'utf8')
  it('has each of its exports in a group (scripts/docs/groups.mjs)', () => {
    expect(exports.length).toBeGreaterThan(0)
    expect(exports.filter(({ source }) => groupOf(name, source) === undefined)).toEqual([])
  })
  it('has no group that is empty, and names each in its README (npm run exports)', () => {
    const used = new Set(exports.map(({ source }) => groupOf(name, source)))
    for (const group of Object.keys(groups[name] ?? {})) {
      expect([...used]).toContain(group)
      expect(readme).toContain(`\n| ${group} | `)
    }
  })
  it('says in its README how it is installed, and what it needs', () => {
    expect(readme).toMatch(new RegExp(`^npm install (?:--[a-z-]+ )?${name}(?: |$)`, 'm'))
    expect(readme).toContain(`TypeScript ${OLDEST_TYPESCRIPT}, or newer`)
    // On npm a README stands alone.
    expect([...readme.matchAll(/\]\(\.\.?\/[^)]*\)/g)].map(([link]) => link)).toEqual([])
  })
})

it('groups are of packages that there are', () => {
  expect(Object.keys(groups).sort()).toEqual(packages().map(({ manifest }) => manifest.name).sort())
})

const documents = trackedFiles().filter((name) => /^(README|docs\/guides\/.*|packages\/[^/]*\/README)\.md$/.test(name))
it.each(documents)('%s names the packages that its programs need', (file) => {
  const text = readFileSync(join(root, file), 'utf8')
  const programs = [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = '']) => code).filter((code) => code.startsWith('import '))
  const needed = new Set(programs.flatMap((code) => importedModules('x.ts', code)).filter((module) => module.startsWith('@machinist/')).map(packageOf))
  const installed = new Set([...text.matchAll(/^npm install (?:--[a-z-]+ )*(.*)$/gm)].flatMap(([, names = '']) => names.split(' ')))
  expect([...needed].filter((name) => !installed.has(name))).toEqual([])
})
