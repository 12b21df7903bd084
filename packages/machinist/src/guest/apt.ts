import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { machinistError } from '@machinist/api'
import { exists } from './cache.ts'
import { debPackage } from './deb.ts'
import { runProgram } from './process.ts'
import type { Progress } from './progress.ts'
import { debianArchive, parseDeb822, parseList } from './sources.ts'
import type { AptSource } from './sources.ts'

const OWN_FILES = 'give a kernel and an initrd of your own with --kernel and --initrd'

/** A refusal that ends in the other way to get a guest. */
export function guestError(code: string, problem: string, remedy: string, value?: string): Error {
  return machinistError({ code, part: 'guest', value, remedy: `${remedy}, or ${OWN_FILES}` }, problem)
}

/** What programs say on a full disk. */
const FULL = /No space left on device|enough free space|Disk quota exceeded/

/** The refusal of a program that failed: a full disk is not the fault of what the program was at. */
export function programError(code: string, problem: string, remedy: string, stderr: string, status: number | null): Error {
  const lines = stderr.split('\n').filter((line) => /^[EW]:|error:/.test(line))
  const full = stderr.split('\n').find((line) => FULL.test(line))
  if (full !== undefined) return guestError('guest-cache', 'the disk of the cache is full', 'Make room there or name another folder with MACHINIST_CACHE', full.replace(/^[EW]: */, '').trim())
  return guestError(code, problem, remedy, lines.at(0)?.replace(/^[EW]: */, '') ?? (stderr.trim().split('\n').at(-1) || `status ${status ?? 'unknown'}`))
}

/** Keyrings of Debian's archive, for sources that do not name one. */
const KEYRINGS = ['/usr/share/keyrings/debian-archive-keyring.gpg', '/usr/share/keyrings/debian-archive-keyring.pgp']

async function readOr(path: string, otherwise: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => otherwise)
}

/** Debian's archive in the machine's own apt configuration, and all else that is configured there. No address is known in advance. */
export interface ConfiguredSources {
  readonly archive: AptSource
  readonly all: readonly AptSource[]
}

/**
 * Reads the machine's own apt configuration.
 *
 * @throws typed `guest-no-apt` or `guest-no-archive`
 */
export async function configuredSources(): Promise<ConfiguredSources> {
  const config = await runProgram('apt-config', ['shell', 'LIST', 'Dir::Etc::sourcelist/f', 'PARTS', 'Dir::Etc::sourceparts/d'])
  if (config.missing) {
    throw machinistError(
      { code: 'guest-no-apt', part: 'guest', remedy: `Run this on Debian, or ${OWN_FILES}` },
      'fetching Debian for the guest needs apt, which this system does not have',
    )
  }
  const place = (name: string, otherwise: string): string => new RegExp(`^${name}='(.*)'$`, 'm').exec(config.stdout.toString())?.[1] ?? otherwise
  const sources = parseList(await readOr(place('LIST', '/etc/apt/sources.list'), ''))
  const parts = place('PARTS', '/etc/apt/sources.list.d')
  for (const name of (await readdir(parts).catch(() => [])).sort()) {
    if (name.endsWith('.sources')) sources.push(...parseDeb822(await readOr(join(parts, name), '')))
    else if (name.endsWith('.list')) sources.push(...parseList(await readOr(join(parts, name), '')))
  }
  const release = /^VERSION_CODENAME=["']?([a-z]+)/m.exec(await readOr('/etc/os-release', ''))?.[1]
  const debian = /^ID=["']?debian/m.test(await readOr('/etc/os-release', ''))
  const archive = debianArchive(sources, debian ? release : undefined)
  if (archive === undefined) {
    throw guestError('guest-no-archive', "this system's apt has no entry for Debian's main archive", 'Add one to /etc/apt/sources.list.d')
  }
  return { archive, all: sources }
}

/** A package that apt would install, as `apt-get --print-uris` tells of it. */
export interface AptPackage {
  readonly name: string
  readonly version: string
  /** Bytes to download. */
  readonly size: number
}

/** Reads what `apt-get --print-uris` says: a line for each package, `'URI' NAME_VERSION_ARCHITECTURE.deb SIZE SUM`. */
export function parseUris(text: string): AptPackage[] {
  const packages: AptPackage[] = []
  for (const line of text.split('\n')) {
    const match = /^'[^']*' ([^_\s]+)_([^_\s]+)_[^_\s]+\.deb (\d+)(?:\s|$)/.exec(line)
    if (match === null) continue
    const [, name = '', version = '', size = ''] = match
    // A version's epoch is set off by a colon, which file names do not hold.
    packages.push({ name, version: version.replaceAll('%3a', ':'), size: Number(size) })
  }
  return packages
}

/** apt with a state of its own: other architecture, other release, and the machine's own lists left alone. */
export interface PrivateApt {
  /** Fetches the package lists. */
  update(progress: (fraction: number) => void): Promise<void>
  /** The control fields of the newest version of a package, or undefined when there is none. */
  show(name: string): Promise<ReadonlyMap<string, string> | undefined>
  /** Packages with all that they depend on, as on a system that has none yet; recommended ones are left out. */
  closure(names: readonly string[]): Promise<readonly AptPackage[]>
  /** Downloads the original archive of a source package into `folder`; apt has checked its sum against the signed release. Returns its path. Only of an apt for `'source'`. */
  source(name: string, folder: string, progress: (fraction: number) => void): Promise<string>
  /** Downloads packages into `folder`; apt has checked their sums against the signed release. Returns the paths, in order. */
  download(names: readonly string[], folder: string, progress: (fraction: number) => void): Promise<readonly string[]>
}

/**
 * Sets up apt in `folder` for one release and architecture of Debian, from the mirror that this machine uses.
 *
 * @param architecture - or `'source'`, for source packages
 * @throws typed `guest-no-apt`, `guest-no-archive` or `guest-no-keyring`
 */
export async function privateApt(folder: string, suite: string, architecture: string): Promise<PrivateApt> {
  const { archive } = await configuredSources()
  let signedBy = archive.signedBy
  for (const keyring of KEYRINGS) if (signedBy === undefined && (await exists(keyring))) signedBy = keyring
  if (signedBy === undefined) {
    throw guestError('guest-no-keyring', "the keys of Debian's archive are missing", 'Install the package debian-archive-keyring')
  }
  for (const path of ['state/lists/partial', 'cache/archives/partial', 'sources']) await mkdir(join(folder, path), { recursive: true })
  const status = join(folder, 'state', 'status')
  await writeFile(status, '')
  await writeFile(
    join(folder, 'sources', 'debian.sources'),
    [`Types: ${architecture === 'source' ? 'deb-src' : 'deb'}`, `URIs: ${archive.uris.join(' ')}`, `Suites: ${suite}`, 'Components: main', ...(architecture === 'source' ? [] : [`Architectures: ${architecture}`]), `Signed-By: ${signedBy}`, ''].join('\n'),
  )
  const settings = {
    'Dir::State': join(folder, 'state'),
    'Dir::State::status': status,
    'Dir::Cache': join(folder, 'cache'),
    'Dir::Etc::SourceList': join(folder, 'sources', 'debian.sources'),
    'Dir::Etc::SourceParts': '-',
    'Dir::Etc::Preferences': '/dev/null',
    'Dir::Etc::PreferencesParts': '/dev/null',
    ...(architecture === 'source' ? {} : { 'APT::Architecture': architecture }),
    'APT::Update::Error-Mode': 'any',
    // Our folder may be under a home that apt's own user cannot enter.
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  }
  const config = join(folder, 'apt.conf')
  await writeFile(
    config,
    [
      // Other architectures of this machine, and hooks that would act on the machine itself.
      ...[...(architecture === 'source' ? [] : ['APT::Architectures']), 'APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success'].map((name) => `#clear ${name};`),
      ...(architecture === 'source' ? [] : [`APT::Architectures { "${architecture}"; };`]),
      ...Object.entries(settings).map(([name, value]) => `${name} "${value}";`),
      '',
    ].join('\n'),
  )

  const apt = async (program: string, args: readonly string[], cwd: string, progress?: (fraction: number) => void): Promise<Buffer> => {
    const onLine = (line: string): void => {
      const percent = Number(/^dlstatus:\d+:([\d.]+):/.exec(line)?.[1])
      if (Number.isFinite(percent)) progress?.(Math.min(1, percent / 100))
    }
    const result = await runProgram(program, ['-c', config, ...args], { cwd, onLine })
    if (result.status === 0) return result.stdout
    throw programError('guest-download', `${program} could not fetch Debian ${suite} for ${architecture}`, 'Check the network connection and try again', result.stderr, result.status)
  }

  return {
    async update(progress: (fraction: number) => void): Promise<void> {
      await apt('apt-get', ['-q', '-o', 'APT::Status-Fd=3', 'update'], folder, progress)
    },
    async show(name: string): Promise<ReadonlyMap<string, string> | undefined> {
      const result = await runProgram('apt-cache', ['-c', config, '--no-all-versions', 'show', name])
      if (result.status !== 0 || result.stdout.length === 0) return undefined
      const fields = result.stdout.toString().split('\n').map((line) => /^([^\s:]+):\s*(.*)$/.exec(line))
      return new Map(fields.flatMap((field) => (field === null ? [] : [[field[1] ?? '', field[2] ?? ''] as const])))
    },
    async closure(names: readonly string[]): Promise<readonly AptPackage[]> {
      const answer = await apt('apt-get', ['-q', '-y', '--no-install-recommends', '--print-uris', 'install', ...names], folder)
      return parseUris(answer.toString())
    },
    async source(name: string, to: string, progress: (fraction: number) => void): Promise<string> {
      await apt('apt-get', ['-q', '-o', 'APT::Status-Fd=3', 'source', '--download-only', name], to, progress)
      const file = (await readdir(to)).find((candidate) => candidate.startsWith(`${name}_`) && candidate.includes('.orig.tar.'))
      if (file === undefined) throw guestError('guest-download', 'apt did not deliver a source package', 'Try again', name)
      return join(to, file)
    },
    async download(names: readonly string[], to: string, progress: (fraction: number) => void): Promise<readonly string[]> {
      await apt('apt-get', ['-q', '-o', 'APT::Status-Fd=3', 'download', ...names], to, progress)
      const files = (await readdir(to)).filter((file) => file.endsWith('.deb'))
      return names.map((name) => {
        const file = files.find((candidate) => candidate.startsWith(`${name}_`))
        if (file === undefined) throw guestError('guest-download', 'apt did not deliver a package', 'Try again', name)
        return join(to, file)
      })
    },
  }
}

/** Extracts the files of a package into `folder`. */
export async function extractPackage(file: string, folder: string): Promise<void> {
  const result = await runProgram('dpkg-deb', ['--extract', file, folder])
  if (result.status === 0) return
  throw programError('guest-extract', 'a package could not be extracted', 'Empty the cache and try again', result.stderr, result.status)
}

/**
 * Decompresses a `.xz` file with nothing but dpkg: every Debian has that, not every one has xz. dpkg-deb writes a package's content
 * archive decompressed to its output without looking into it, so a package is made whose "archive" is the file.
 *
 * @param scratch - a folder for the package
 */
export async function decompressXz(bytes: Uint8Array, scratch: string): Promise<Uint8Array> {
  const file = join(scratch, 'decompress.deb')
  await writeFile(file, debPackage(new Uint8Array(1024), 'data.tar.xz', bytes))
  const result = await runProgram('dpkg-deb', ['--fsys-tarfile', file])
  if (result.status === 0) return result.stdout
  throw programError('guest-extract', 'a file could not be decompressed', 'Empty the cache and try again', result.stderr, result.status)
}

/** A step of a task, told at its begin, and then whenever a whole percent more is done. */
export function step(progress: Progress | undefined, text: string): (fraction: number) => void {
  let told = -1
  progress?.(text)
  return (fraction) => {
    const percent = Math.floor(fraction * 100)
    if (percent <= told) return
    told = percent
    progress?.(text, fraction)
  }
}
