/** `npm run exports`: writes into each package's README what the package exports, by groups. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { root, workspacePackages } from '../lib/workspace.mjs'
import { groupOf, groups } from './groups.mjs'

/** @typedef {{ name: string, source: string, value: boolean }} Export */

/** What every package exports, by all its entries: the names, the files below `src` that declare them, and whether they are more than types. */
export function packageExports() {
  const packages = workspacePackages(['packages']).map(({ dir, manifest }) => {
    const targets = /** @type {unknown[]} */ (Object.values(manifest.exports ?? {}))
    const files = targets.flatMap((target) => typeof target === 'object' && target !== null && '@machinist/source' in target ? [join(root, dir, String(target['@machinist/source']))] : [])
    return { dir, name: /** @type {string} */ (manifest.name), files }
  })
  const program = ts.createProgram(packages.flatMap(({ files }) => files), {
    noEmit: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, target: ts.ScriptTarget.ES2022,
    customConditions: ['@machinist/source'], allowImportingTsExtensions: true, skipLibCheck: true, types: [],
  })
  const checker = program.getTypeChecker()
  return packages.map(({ dir, name, files }) => {
    /** @type {Map<string, Export>} */
    const found = new Map()
    for (const file of files) {
      const source = program.getSourceFile(file)
      const module = source === undefined ? undefined : checker.getSymbolAtLocation(source)
      for (const symbol of module === undefined ? [] : checker.getExportsOfModule(module)) {
        const declared = (symbol.flags & ts.SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol)
        const at = declared.declarations?.[0]?.getSourceFile().fileName ?? file
        found.set(symbol.name, { name: symbol.name, source: relative(join(root, dir, 'src'), at).replaceAll(sep, '/'), value: (declared.flags & ts.SymbolFlags.Value) !== 0 })
      }
    }
    return { dir, name, exports: [...found.values()] }
  })
}

const HEADING = '## Exports'

/**
 * The section of a README that names what its package exports.
 * @param {string} name the package's
 * @param {readonly Export[]} exports
 */
export function exportsSection(name, exports) {
  const rows = Object.keys(groups[name] ?? {}).map((group) => {
    const names = (/** @type {boolean} */ value) => exports.filter((item) => item.value === value && groupOf(name, item.source) === group).map((item) => `\`${item.name}\``).join(', ')
    const [values, types] = [names(true), names(false)]
    return `| ${group} | ${[values, ...types === '' ? [] : [`types ${types}`]].filter((text) => text !== '').join('; ')} |`
  })
  return `${HEADING}\n\nNode.js 20.19 and TypeScript 5.7, or newer. The reference (\`npm run docs\` in the repository) describes each of these, in the same groups.\n\n| | |\n|---|---|\n${rows.join('\n')}\n`
}

/** A README with its section as it should be. @param {string} readme @param {string} section */
export function withSection(readme, section) {
  const at = readme.indexOf(`\n${HEADING}\n`)
  return `${(at < 0 ? readme : readme.slice(0, at)).trimEnd()}\n\n${section}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { dir, name, exports } of packageExports()) {
    const path = join(root, dir, 'README.md')
    writeFileSync(path, withSection(readFileSync(path, 'utf8'), exportsSection(name, exports)))
  }
}
