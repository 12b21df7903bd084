import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { importViolations, importedModules, manifestViolations } from './floors.ts'
import { packages, root, sources, type Package } from './workspace.ts'

const all = packages()

describe('the floors of the house', () => {
  it('hold in every manifest', () => {
    expect(all.length).toBeGreaterThan(10)
    expect(manifestViolations(all)).toEqual([])
  })

  it('hold in every import of every package', () => {
    const wrong = all.flatMap((owner) => [...sources(`${owner.dir}/src`), ...sources(`${owner.dir}/test`)]
      .flatMap((file) => importViolations(all, owner, file, readFileSync(join(root, file), 'utf8'))))
    expect(wrong).toEqual([])
  })
})

describe('the check itself', () => {
  const pack = (name: string, floor: number, dependencies: readonly string[], dev: readonly string[] = []): Package => ({
    dir: `packages/${name}`,
    manifest: {
      name: `@machinist/${name}`, version: '1.0.0', machinist: { floor },
      dependencies: Object.fromEntries(dependencies.map((item) => [`@machinist/${item}`, 'workspace:^'])),
      devDependencies: Object.fromEntries(dev.map((item) => [`@machinist/${item}`, 'workspace:^'])),
    },
  })
  const low = pack('low', 1, [])
  const side = pack('side', 1, ['low'])
  const high = pack('high', 2, ['low'], ['side'])
  const house = [low, side, high]

  it('sees every way to name a module', () => {
    const text = `import a from 'a'\nimport type { B } from 'b'\nexport * from 'c'\nexport type { D } from 'd'\nconst e = await import('e')\ntype F = import('f').F\nimport 'g'`
    expect(importedModules('x.ts', text)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g'])
  })

  it('refuses manifests that go sideways or up', () => {
    expect(manifestViolations(house)).toHaveLength(1)
    expect(manifestViolations([low, pack('up', 1, ['high']), high])).toHaveLength(1)
    expect(manifestViolations([pack('lost', 3, ['nowhere'])])).toHaveLength(1)
  })

  it('refuses imports that go sideways, are undeclared, or reach into a neighbour', () => {
    const check = (owner: Package, file: string, text: string): number => importViolations(house, owner, `${owner.dir}/src/${file}`, text).length
    expect(check(high, 'a.ts', `import type { X } from '@machinist/low/sub'`)).toBe(0)
    expect(check(side, 'a.ts', `import type { X } from '@machinist/low'`)).toBe(1)
    expect(check(high, 'a.ts', `import { X } from '@machinist/side'`)).toBe(1)
    expect(check(high, 'a.test.ts', `import { X } from '@machinist/side'\nimport { it } from 'vitest'`)).toBe(0)
    expect(check(high, 'a.ts', `import { it } from 'vitest'`)).toBe(1)
    expect(check(high, 'a.ts', `import { X } from '../../low/src/x.ts'`)).toBe(1)
    expect(check(high, 'a.test.ts', `import { X } from '../../low/src/x.ts'`)).toBe(1)
    expect(check(high, 'a.ts', `import { X } from '../../low/test/x.ts'`)).toBe(1)
    expect(check(high, 'a.test.ts', `import { X } from '../../low/test/x.ts'`)).toBe(0)
    expect(check(high, 'a.ts', `import { readFileSync } from 'fs'`)).toBe(1)
  })
})
