import { posix } from 'node:path'
import { builtinModules } from 'node:module'
import ts from 'typescript'
import type { Package } from './workspace.ts'

/** A module named by a source file, in an import, a type import, a re-export, `import()` or `import('…')` type. */
export function importedModules(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, false)
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) note(node.moduleSpecifier)
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) note(node.arguments[0])
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) note(node.argument.literal)
    ts.forEachChild(node, visit)
  }
  const note = (specifier: ts.Node | undefined): void => {
    if (specifier !== undefined && ts.isStringLiteralLike(specifier)) found.push(specifier.text)
  }
  visit(source)
  return found
}

/** The package that a bare specifier names: `@scope/name/sub` → `@scope/name`. */
export function packageOf(specifier: string): string {
  return specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
}

/** What is wrong with the manifests: floors missing, dependencies that go up or sideways, or that do not exist. */
export function manifestViolations(all: readonly Package[]): string[] {
  const byName = new Map(all.map((item) => [item.manifest.name, item.manifest]))
  const wrong: string[] = []
  for (const { dir, manifest } of all) {
    const floor = manifest.machinist?.floor
    if (floor === undefined || !Number.isInteger(floor)) {
      wrong.push(`${dir}/package.json has no machinist.floor`)
      continue
    }
    for (const name of runtimeDependencies(manifest)) {
      if (!name.startsWith('@machinist/')) continue
      const target = byName.get(name)
      if (target === undefined) wrong.push(`${dir}/package.json depends on ${name}, which is not in the workspace`)
      else if ((target.machinist?.floor ?? Infinity) >= floor) wrong.push(`${dir}/package.json (floor ${floor}) depends on ${name} (floor ${target.machinist?.floor}): only floors below`)
    }
  }
  return wrong
}

/**
 * What is wrong with the imports of one source file of a package. Tests may also import what devDependencies declare
 * and, of the workspace's root, the test tools.
 */
export function importViolations(all: readonly Package[], owner: Package, file: string, text: string): string[] {
  const test = /\.test\.ts$/.test(file) || file.startsWith(`${owner.dir}/test/`)
  const floor = owner.manifest.machinist?.floor ?? -1
  const byName = new Map(all.map((item) => [item.manifest.name, item.manifest]))
  const declared = new Set(runtimeDependencies(owner.manifest))
  const testTools = new Set([...Object.keys(owner.manifest.devDependencies ?? {}), 'vitest', '@vitest/expect', 'fast-check', 'esbuild'])
  const wrong: string[] = []
  for (const specifier of importedModules(file, text)) {
    if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(file), specifier)
      // What tests are made with is published by nobody.
      const shared = test && /^packages\/[^/]+\/test\//.test(target)
      if (!target.startsWith(`${owner.dir}/`) && !shared) wrong.push(`${file} reaches into ${target}: import packages by name`)
      continue
    }
    if (specifier.startsWith('node:')) continue // which floors may is a lint rule
    if (builtinModules.includes(specifier)) {
      wrong.push(`${file} imports ${specifier}: write node:${specifier}`)
      continue
    }
    const name = packageOf(specifier)
    if (name === owner.manifest.name) continue
    if (!declared.has(name) && !(test && testTools.has(name))) {
      wrong.push(`${file} imports ${name}, which ${owner.dir}/package.json does not declare`)
      continue
    }
    const target = byName.get(name)
    if (!test && target !== undefined && (target.machinist?.floor ?? Infinity) >= floor) {
      wrong.push(`${file} (floor ${floor}) imports ${name} (floor ${target.machinist?.floor}): only floors below`)
    }
  }
  return wrong
}

function runtimeDependencies(manifest: Package['manifest']): string[] {
  return [manifest.dependencies, manifest.peerDependencies, manifest.optionalDependencies].flatMap((table) => Object.keys(table ?? {}))
}
