import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isMachinistError, machinistError } from '@machinist/api'
import { boardCatalogue } from '@machinist/boards'
import { fileError, openDisks, readImages } from '@machinist/host-node'
import { type MachineBlueprint, type MachineDefinition, parseDefinition } from '@machinist/machine'
import { openControls } from './balloon.ts'

/** What a machine file that is a program may export by default. */
export type MachineModule = MachineBlueprint | MachineDefinition | (() => MachineModule | Promise<MachineModule>)

const EXTENSIONS: readonly string[] = ['.json', '.js', '.mjs', '.ts']

/** Whether a file is one of a machine, by its name. */
export function isMachineFile(path: string): boolean {
  return EXTENSIONS.includes(extname(path))
}

/** What a JSON file holds. */
function fromJson(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw fileError(error, 'machine file', path)
  }
  try {
    return JSON.parse(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw machinistError({ code: 'machine-file', part: path, value: why, remedy: 'Correct the file.' }, 'is not JSON')
  }
}

/** The types taken out of a TypeScript file, as a file beside it, so that its imports are found. */
async function withoutTypes(path: string): Promise<string> {
  const remedy = 'Install esbuild beside it, or compile it to .mjs.'
  let transform: (code: string, options: object) => Promise<{ readonly code: string }>
  try {
    const esbuild = await import(pathToFileURL(createRequire(path).resolve('esbuild')).href) as { transform?: typeof transform; default: { transform: typeof transform } }
    transform = esbuild.transform ?? esbuild.default.transform
  } catch {
    throw machinistError({ code: 'machine-file', part: path, remedy }, 'this version of Node.js does not run TypeScript')
  }
  let code: string
  try {
    code = readFileSync(path, 'utf8')
  } catch (error) {
    throw fileError(error, 'machine file', path)
  }
  const result = await transform(code, { loader: 'ts', format: 'esm', target: 'node20', sourcefile: path, logLevel: 'silent' })
  const plain = join(dirname(path), `.machinist-${process.pid}.mjs`)
  writeFileSync(plain, result.code)
  return plain
}

/** What a module exports by default, or what that makes. */
async function fromModule(path: string): Promise<unknown> {
  try {
    readFileSync(path)
  } catch (error) {
    throw fileError(error, 'machine file', path)
  }
  const typed = extname(path) === '.ts' && !('typescript' in process.features && process.features.typescript)
  const file = typed ? await withoutTypes(path) : path
  let exported: unknown
  try {
    exported = (await import(pathToFileURL(file).href) as { readonly default?: unknown }).default
    for (let depth = 0; typeof exported === 'function' && depth < 2; depth++) exported = await (exported as () => unknown)()
  } catch (error) {
    if (isMachinistError(error)) throw error
    const why = error instanceof Error ? `${error.name}: ${error.message.split('\n')[0] ?? ''}` : String(error)
    throw machinistError({ code: 'machine-file', part: path, value: why, remedy: 'Correct the file; node shows the place when it runs the file.' }, 'it does not run')
  } finally {
    if (typed) rmSync(file, { force: true })
  }
  return exported
}

/**
 * What a machine file holds: the data of JSON, or what a module exports by default, or makes.
 *
 * @throws typed errors that name the file
 */
export async function exportOf(given: string): Promise<unknown> {
  const path = resolve(given)
  const extension = extname(path)
  if (!isMachineFile(given)) {
    throw machinistError({ code: 'machine-file', part: given, value: extension || 'no extension', remedy: 'Use .json, .mjs or .ts.' }, 'not a machine file')
  }
  const exported = extension === '.json' ? fromJson(path) : await fromModule(path)
  if (typeof exported !== 'object' || exported === null) {
    throw machinistError({ code: 'machine-file', part: path, remedy: 'Export by default what defineMachine returns.' }, 'it exports no machine')
  }
  return exported
}

/**
 * Reads a machine file as it is: JSON, or a module whose default export is a machine or makes one.
 *
 * @throws typed errors that name the file
 */
export async function readMachineFile(given: string): Promise<MachineBlueprint> {
  const exported = await exportOf(given)
  if (isFleet(exported)) throw machinistError({ code: 'machine-file', part: given, remedy: `Use machinist up ${given}` }, 'it names several machines')
  // The parts of definitions from files are those of the `virt` machine's catalogue.
  return isBlueprint(exported) ? exported : { definition: parseDefinition(exported), catalogue: boardCatalogue, backends: new Map() }
}

/**
 * The same, with the files read that the definition names, and its disks open, relative to the machine file.
 *
 * @throws typed errors that name the file
 */
export async function loadMachineFile(given: string): Promise<MachineBlueprint> {
  const blueprint = await readMachineFile(given)
  const folder = dirname(resolve(given))
  return openDisks(openControls({ ...blueprint, definition: readImages(blueprint.definition, folder) }), folder)
}

function isBlueprint(exported: unknown): exported is MachineBlueprint {
  return typeof exported === 'object' && exported !== null && 'definition' in exported && 'catalogue' in exported
}

/** Whether what a machine file holds names several machines. */
export function isFleet(exported: unknown): boolean {
  return typeof exported === 'object' && exported !== null && !('cpu' in exported) && !isBlueprint(exported) && ('machines' in exported || 'pools' in exported)
}
