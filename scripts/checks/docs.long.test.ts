import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { exportsSection, packageExports, withSection } from '../docs/exports.mjs'
import { packages, root, trackedFiles } from './workspace.ts'

/** Where the sources of the packages' entries are, for the compiler, by what is imported. */
function paths(): Record<string, string[]> {
  const entries = packages().flatMap(({ dir, manifest }) => Object.entries(manifest.exports ?? {}).flatMap(([entry, target]): [string, string[]][] => {
    const source = typeof target === 'object' && target !== null && '@machinist/source' in target ? String(target['@machinist/source']) : null
    return source === null ? [] : [[join(manifest.name, entry), [join(root, dir, source)]]]
  }))
  return Object.fromEntries(entries)
}

/** Programs in a text: the blocks of TypeScript that import something. */
const programs = (text: string): string[] => [...text.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, code = '']) => code).filter((code) => code.startsWith('import '))

it('programs in the documentation compile', () => {
  mkdirSync(join(root, 'node_modules/.cache'), { recursive: true })
  const folder = mkdtempSync(join(root, 'node_modules/.cache/docs-'))
  try {
    let count = 0
    for (const file of trackedFiles().filter((name) => /^(README|docs\/.*|(packages|examples)\/[^/]*\/README)\.md$/.test(name))) {
      for (const [index, code] of programs(readFileSync(join(root, file), 'utf8')).entries()) {
        writeFileSync(join(folder, `${file.replace(/\.md$/, '').replaceAll('/', '-')}-${String(index)}.ts`), `${code}export {}\n`)
        count += 1
      }
    }
    expect(count).toBeGreaterThan(30)
    const compilerOptions = {
      noEmit: true, declaration: false, isolatedDeclarations: false, noUnusedLocals: false, noUnusedParameters: false,
      // WebAssembly is among the types of browsers.
      lib: ['es2023', 'dom'], types: ['node'], paths: paths(),
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: join(root, 'tsconfig.base.json'), compilerOptions, include: ['*.ts'] }))
    let found = ''
    try {
      execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder, '--pretty', 'false'], { cwd: folder, encoding: 'utf8' })
    } catch (error) {
      found = error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
    }
    expect(found).toBe('')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

it('READMEs name what the packages export (npm run exports)', () => {
  for (const { dir, name, exports } of packageExports()) {
    const readme = readFileSync(join(root, dir, 'README.md'), 'utf8')
    expect(readme).toBe(withSection(readme, exportsSection(name, exports)))
  }
})

it('the reference is built without a warning', () => {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-reference-'))
  try {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, 'node_modules/typedoc/bin/typedoc'), '--out', folder, '--logLevel', 'Warn'], { cwd: root, encoding: 'utf8' })
    expect(`${stdout}${stderr}`).toBe('')
    expect(status).toBe(0)
    const page = readFileSync(join(folder, 'modules/_machinist_virtio._machinist_virtio_block.html'), 'utf8')
    expect(page).toContain('Module @machinist/virtio/block')
    expect(page).toContain('Disks and persistent memory')
    expect(readdirSync(join(folder, 'documents'))).toContain('Write_a_device.html')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
