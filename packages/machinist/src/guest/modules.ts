import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { machinistError } from '@machinist/api'
import { decodeUtf8, parseElf } from '@machinist/boot'
import { didYouMean } from '../command-line/suggest.ts'
import { decompressXz, guestError } from './apt.ts'

/** A kernel module taken out of its package. */
export interface KernelModule {
  /** As the kernel names it: `virtio_blk`. */
  readonly name: string
  /** Path below `/lib/modules/<version>`, decompressed: `kernel/drivers/block/virtio_blk.ko`. */
  readonly path: string
  readonly depends: readonly string[]
  /** Patterns of devices and names that ask for it. */
  readonly aliases: readonly string[]
}

/** modprobe takes `-` and `_` for one another. */
export const kernelName = (file: string): string => basename(file).replace(/\.ko(\.xz)?$/, '').replaceAll('-', '_')

/** The `key=value` pairs of a module's `.modinfo` section. */
function moduleInfo(bytes: Uint8Array, file: string): ReadonlyMap<string, readonly string[]> {
  const section = parseElf(bytes, file).sections.find(({ name }) => name === '.modinfo')
  const info = new Map<string, string[]>()
  for (const pair of decodeUtf8(section?.bytes ?? new Uint8Array(0)).split('\0')) {
    const at = pair.indexOf('=')
    if (at <= 0) continue
    const key = pair.slice(0, at)
    const list = info.get(key) ?? []
    list.push(pair.slice(at + 1))
    info.set(key, list)
  }
  return info
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

/** The modules that a kernel package holds, as files by their names, and those that are built into its kernel. */
async function modulesOf(tree: string): Promise<{ readonly files: ReadonlyMap<string, string>; readonly builtIn: ReadonlySet<string> }> {
  return {
    files: new Map((await filesBelow(join(tree, 'kernel'))).filter((file) => /\.ko(\.xz)?$/.test(file)).map((file) => [kernelName(file), file])),
    builtIn: new Set((await readFile(join(tree, 'modules.builtin'), 'utf8')).split('\n').filter((line) => line !== '').map(kernelName)),
  }
}

/**
 * Refuses names that are not those of modules. What is built into the kernel is there already.
 *
 * @param tree - as for {@link collectModules}
 * @throws a typed error `guest-module`
 */
export async function checkModules(tree: string, names: readonly string[]): Promise<void> {
  const { files, builtIn } = await modulesOf(tree)
  const unknown = names.find((name) => !files.has(name) && !builtIn.has(name))
  if (unknown === undefined) return
  throw machinistError(
    { code: 'guest-module', part: 'modules', value: unknown, remedy: `${didYouMean(unknown, [...files.keys(), ...builtIn], 5)}All modules are in ${join(tree, 'kernel')}` },
    "Debian's kernel has no such module",
  )
}

/**
 * Copies the modules in `wanted`, and all that they depend on, decompressed from the tree of a kernel package to `to`. Debian makes
 * modules.dep only when it installs a kernel, so the dependencies are read from the modules themselves. A wanted module that the
 * kernel does not have is left out: it is built in, or there is none.
 *
 * @param tree - `lib/modules/<version>` of the extracted package
 * @returns the modules in an order in which they can be loaded
 */
export async function collectModules(tree: string, to: string, wanted: readonly string[]): Promise<readonly KernelModule[]> {
  const { files, builtIn } = await modulesOf(tree)
  const done: KernelModule[] = []
  const visited = new Set<string>()

  const visit = async (name: string, by: string | null): Promise<void> => {
    if (visited.has(name) || builtIn.has(name)) return
    visited.add(name)
    const file = files.get(name)
    if (file === undefined) {
      if (by === null) return
      throw guestError('guest-module', `the kernel package lacks a module that ${by} needs`, 'Empty the cache and try again', name)
    }
    const raw = await readFile(file)
    const bytes = file.endsWith('.xz') ? await decompressXz(raw, to) : raw
    const info = moduleInfo(bytes, file)
    const depends = (info.get('depends') ?? []).flatMap((list) => list.split(',')).filter((item) => item !== '').map(kernelName)
    for (const other of depends) await visit(other, name)
    const path = file.slice(tree.length + 1).replace(/\.xz$/, '')
    await mkdir(dirname(join(to, path)), { recursive: true })
    await writeFile(join(to, path), bytes)
    done.push({ name, path, depends: depends.filter((other) => !builtIn.has(other)), aliases: info.get('alias') ?? [] })
  }
  for (const name of wanted) await visit(name, null)
  return done
}

/** modules.dep(5): each module's path, and the paths of all it needs, the last to be loaded first. */
export function modulesDep(modules: readonly KernelModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]))
  const needs = (module: KernelModule): string[] => {
    const list: string[] = []
    for (const name of module.depends) {
      const other = byName.get(name)
      if (other !== undefined) list.push(other.path, ...needs(other))
    }
    return [...new Set(list.reverse())].reverse()
  }
  return modules.map((module) => `${module.path}:${needs(module).map((path) => ` ${path}`).join('')}\n`).join('')
}

/** modules.alias, which modprobe reads for devices and for what the kernel asks for by another name. */
export function modulesAlias(modules: readonly KernelModule[]): string {
  return modules.flatMap(({ name, aliases }) => aliases.map((alias) => `alias ${alias} ${name}\n`)).join('')
}
