import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { compileAll, engineFiles, headers } from './engine.ts'
import { positions } from './source-map.ts'
import { digest, place, run, write } from './tools.ts'

/** A program for the engine: one script. */
interface Bundle {
  readonly text: string
  /** Where its parts come from, for bytecode.c. */
  readonly positions: string
}

async function bundle(entry: string, root: string): Promise<Bundle> {
  const result = await build({
    entryPoints: [entry],
    bundle: true,
    format: 'iife',
    // Private names as WeakMaps are slower than the engine's own.
    target: 'es2022',
    // Fields are assigned, not defined and then assigned, and what is constant is computed here: the engine does neither.
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false, verbatimModuleSyntax: true } },
    minifySyntax: true,
    platform: 'neutral',
    mainFields: ['module', 'main'],
    ...(entry.endsWith('.ts') ? { conditions: ['@machinist/source'] } : {}),
    absWorkingDir: root,
    outfile: join(root, 'program.js'),
    sourcemap: 'external',
    sourcesContent: false,
    write: false,
    logLevel: 'silent',
  })
  const file = (suffix: string): string => result.outputFiles.find(({ path }) => path.endsWith(suffix))?.text ?? ''
  const map = JSON.parse(file('.map')) as { readonly sources: readonly string[]; readonly mappings: string }
  const list = positions(map.mappings)
  return {
    text: file('.js'),
    positions: [map.sources.length, ...map.sources, list.length, ...list.map((at) => `${at.line} ${at.column} ${at.source} ${at.sourceLine} ${at.sourceColumn}`), ''].join('\n'),
  }
}

/** The compiler of bytecode: the same engine, for the host. */
async function bytecodeCompiler(engine: string, native: string, cache: string): Promise<string> {
  const flags = ['-O2', '-w', '-D_GNU_SOURCE', '-DCONFIG_VERSION="2025-04-26"', '-DMACHINIST_POSITIONS', `-I${engine}`]
  const compiler = { program: 'gcc', flags, inputs: [await headers(engine), await run('gcc', ['--version'])] }
  const objects = await compileAll([...engineFiles.map((name) => join(engine, name)), join(native, 'engine', 'bytecode.c')], compiler, cache)
  const program = join(cache, `bytecode-${digest(...objects)}`)
  if (await readFile(program).then(() => true, () => false)) return program
  return place(program, (temporary) => run('gcc', [...objects, '-lm', '-o', temporary]))
}

/** The bytecode of a program in TypeScript or JavaScript, in a file of the cache; exceptions show the positions of its sources, as paths from `root`. */
export async function bytecode(entry: string, root: string, engine: string, native: string, cache: string): Promise<string> {
  const { text, positions: places } = await bundle(entry, root)
  const name = join(cache, 'programs', digest(text, places, engine))
  const compiler = await bytecodeCompiler(engine, native, cache)
  await write(`${name}.js`, text)
  await write(`${name}.positions`, places)
  return place(`${name}.bytecode`, (temporary) => run(compiler, [`${name}.js`, `${name}.positions`, temporary]))
}
