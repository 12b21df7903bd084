import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { projectFields } from '../lib/metadata.mjs'
import { packages, root, trackedFiles } from './workspace.ts'

// Written in pieces, so that this file does not hold what it forbids.
const hosts = [
  ['registry', 'npmjs', 'org'], ['registry', 'yarnpkg', 'com'], ['npm', 'pkg', 'github', 'com'], ['npmmirror', 'com'],
  ['deb', 'debian', 'org'], ['ftp', 'debian', 'org'], ['security', 'debian', 'org'], ['snapshot', 'debian', 'org'], ['cdn-fastly', 'deb', 'debian', 'org'],
  ['archive', 'ubuntu', 'com'], ['deb', 'nodesource', 'com'],
]
const forbidden = new RegExp([
  ...hosts.map((parts) => parts.join('\\.')),
  // Any URL that an archive or tarball would be fetched from: those addresses come from the machine's own configuration.
  // Hosts that cannot exist (RFC 2606) may stand in tests.
  'https?://(?![\\w.-]+\\.invalid/)[^\\s\'"`]+/(?:debian|debian-security|pool/main)\\b',
  'https?://[^\\s\'"`]+/-/[^\\s\'"`]+\\.tgz',
].join('|'), 'i')

describe('tracked files', () => {
  const files = trackedFiles().filter((file) => statSync(join(root, file)).isFile() && statSync(join(root, file)).size < 8 << 20)

  it('name no registry and no mirror', () => {
    expect(files.length).toBeGreaterThan(50)
    expect(files.filter((file) => forbidden.test(readFileSync(join(root, file), 'latin1')))).toEqual([])
  })

  it('hold no merge marks', () => {
    expect(files.filter((file) => /^(<{7}|>{7}) /m.test(readFileSync(join(root, file), 'latin1')))).toEqual([])
  })

  it('would be caught if they did', () => {
    expect(forbidden.test(`https://${['registry', 'npmjs', 'org'].join('.')}/x`)).toBe(true)
    expect(forbidden.test(`http://example.test/${'debian'} trixie main`)).toBe(true)
    expect(forbidden.test(`http://mirror.invalid/${'debian'} trixie main`)).toBe(false)
    expect(forbidden.test('see https://example.test/specification')).toBe(false)
  })
})

describe('changesets', () => {
  it('name packages that there are', () => {
    const names = new Set(packages().map(({ manifest }) => manifest.name))
    for (const file of trackedFiles().filter((path) => /^\.changeset\/(?!README).*\.md$/.test(path))) {
      const [, header = ''] = readFileSync(join(root, file), 'utf8').split('---\n')
      for (const line of header.split('\n').filter((text) => text !== '')) {
        const [, name = line] = /^'(.+)': (?:major|minor|patch)$/.exec(line) ?? []
        expect(names).toContain(name)
      }
    }
  })
})

describe('every package', () => {
  for (const { dir, manifest } of packages()) {
    it(`${manifest.name} can be published: licence, files, ESM, engines, access`, () => {
      const raw = JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8')) as Record<string, unknown>
      expect(raw).toMatchObject({ license: 'MIT', type: 'module', engines: { node: '>=20.19' }, publishConfig: { access: 'public' } })
      expect(raw['files']).toContain('dist')
      // What is published under a name is what the sources export under it.
      const published = raw['publishConfig'] as { exports: Record<string, unknown> }
      expect(Object.keys(published.exports)).toEqual(Object.keys(manifest.exports ?? {}))
    })

    it(`${manifest.name} says what it is, who made it and where`, () => {
      expect(manifest).toMatchObject(projectFields(dir))
      expect(manifest.description).toMatch(/^.{10,}[^.]$/)
      expect(manifest.keywords).toContain('machinist')
      expect(manifest.keywords?.length).toBeGreaterThanOrEqual(5)
      expect(new Set(manifest.keywords).size).toBe(manifest.keywords?.length)
    })

    it(`${manifest.name} documents every entry point`, () => {
      const entries = Object.values(manifest.exports ?? {}).flatMap((target) => {
        const source = typeof target === 'object' && target !== null ? (target as Record<string, string>)['@machinist/source'] : undefined
        return source === undefined ? [] : [source.replace('./', '')]
      })
      const typedoc = JSON.parse(readFileSync(join(root, dir, 'typedoc.json'), 'utf8')) as { entryPoints: string[] }
      expect(typedoc.entryPoints).toEqual(entries)
    })
  }
})
