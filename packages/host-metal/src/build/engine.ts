import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { mended, mendedHeader, mendedInstructions } from './patches.ts'
import { tellingPatches } from './telling-patches.ts'
import { digest, place, run, write } from './tools.ts'

/** The engine's files that are compiled. */
export const engineFiles = ['quickjs.c', 'cutils.c', 'dtoa.c', 'libregexp.c', 'libunicode.c'] as const

/**
 * The engine's source, mended, in a folder of the cache.
 *
 * @param source - the folder of QuickJS' source, as Debian's source package has it
 * @param telling - one that tells which of the program's functions begins and ends
 */
export async function mendedEngine(source: string, cache: string, telling: boolean = false): Promise<string> {
  const names = (await readdir(source)).filter((name) => /^(?:quickjs|cutils|dtoa|libregexp|libunicode|list)\b.*\.[ch]$/.test(name)).sort()
  const files = await Promise.all(names.map(async (name) => ({ name, text: await readFile(join(source, name), 'utf8') })))
  // Without its main file nothing is the engine.
  if (!names.includes('quickjs.c')) mended('')
  const mend: Readonly<Record<string, (text: string) => string>> = { 'quickjs.c': (text) => mended(text, telling ? tellingPatches : []), 'quickjs.h': mendedHeader, 'quickjs-opcode.h': mendedInstructions }
  const mendedFiles = files.map(({ name, text }) => ({ name, text: mend[name]?.(text) ?? text }))
  const folder = join(cache, `engine-${digest(...mendedFiles.flatMap(({ name, text }) => [name, text]))}`)
  for (const { name, text } of mendedFiles) await write(join(folder, name), text)
  return folder
}

/** A compiler: its program and flags, and what its objects depend on besides their source. */
export interface Compiler {
  readonly program: string
  readonly flags: readonly string[]
  /** Contents of headers, version of the compiler. */
  readonly inputs: readonly string[]
}

/** An object file, from the cache unless something of it changed. */
async function compiled(file: string, compiler: Compiler, cache: string): Promise<string> {
  const name = digest(await readFile(file), file.slice(-2), compiler.program, ...compiler.flags, ...compiler.inputs)
  const object = join(cache, 'objects', `${name}.o`)
  if (await readFile(object).then(() => true, () => false)) return object
  return place(object, (temporary) => run(compiler.program, [...compiler.flags, '-c', file, '-o', temporary]))
}

/** All headers of folders, as one text. */
export async function headers(...folders: readonly string[]): Promise<string> {
  const texts: string[] = []
  for (const folder of folders) {
    for (const name of (await readdir(folder)).sort()) if (name.endsWith('.h')) texts.push(name, await readFile(join(folder, name), 'utf8'))
  }
  return texts.join('\0')
}

/** At most so many compilers at once. */
const AT_ONCE = 2

/** Objects of files, in order. */
export async function compileAll(files: readonly string[], compiler: Compiler, cache: string): Promise<string[]> {
  const objects: string[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < files.length; i = next++) objects[i] = await compiled(files[i] ?? '', compiler, cache)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return objects
}
