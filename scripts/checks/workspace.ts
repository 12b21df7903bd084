import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root folder. */
export const root: string = join(dirname(fileURLToPath(import.meta.url)), '../..')

/** The oldest TypeScript that understands the declarations of the packages. */
export const OLDEST_TYPESCRIPT = '5.7'

/** What the checks read of a package's manifest. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly description?: string
  readonly keywords?: readonly string[]
  readonly private?: boolean
  readonly man?: string
  readonly bin?: Readonly<Record<string, string>>
  readonly exports?: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly machinist?: { readonly floor?: number }
}

/** A published package of the workspace: its folder, relative to the root, and its manifest. */
export interface Package {
  readonly dir: string
  readonly manifest: Manifest
}

/** Every package under `packages/`. */
export function packages(): Package[] {
  return readdirSync(join(root, 'packages')).sort()
    .map((name) => `packages/${name}`)
    .filter((dir) => existsSync(join(root, dir, 'package.json')))
    .map((dir) => ({ dir, manifest: JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8')) as Manifest }))
}

/** The TypeScript files below a folder of the repository, relative to the root. */
export function sources(dir: string): string[] {
  if (!existsSync(join(root, dir))) return []
  return readdirSync(join(root, dir), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules'))
    .map((file) => `${dir}/${file}`)
    .sort()
}

/** The files that git tracks, relative to the root. */
export function trackedFiles(): string[] {
  return execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 }).split('\0').filter((file) => file !== '' && existsSync(join(root, file)))
}
