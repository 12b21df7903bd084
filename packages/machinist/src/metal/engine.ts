import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isMachinistError, machinistError } from '@machinist/api'
import { decompressXz, privateApt, programError, step } from '../guest/apt.ts'
import { cachedFolder, used } from '../guest/cache.ts'
import { cacheFolder } from '../guest/cache-folder.ts'
import { SUITE } from '../guest/packages.ts'
import { runProgram } from '../guest/process.ts'
import type { Progress } from '../guest/progress.ts'

const PACKAGE = 'quickjs'
/** Names the layout of the cached folder. */
const LAYOUT = 1

/** How to get the engine's source. */
export interface PrepareEngineOptions {
  /** Where to keep it; as {@link prepareGuest} does, unless given. */
  readonly cache?: string | undefined
  readonly progress?: Progress | undefined
}

async function fetchSource(folder: string, progress: Progress | undefined): Promise<void> {
  const work = join(folder, 'work')
  await mkdir(work)
  const apt = await privateApt(join(work, 'apt'), SUITE, 'source')
  await apt.update(step(progress, `Reading the list of source packages of Debian ${SUITE}`))
  const archive = await apt.source(PACKAGE, work, step(progress, 'Downloading the source of the JavaScript engine'))
  const tar = join(work, 'source.tar')
  await writeFile(tar, archive.endsWith('.xz') ? await decompressXz(await readFile(archive), work) : await readFile(archive))
  const result = await runProgram('tar', ['--extract', '--file', tar, '--strip-components=1', '--no-same-owner', '--directory', folder])
  if (result.status !== 0) throw programError('guest-extract', 'a source package could not be extracted', 'Try again', result.stderr, result.status)
  await rm(work, { recursive: true })
}

/**
 * Gets the source of the JavaScript engine for bare metal, once: Debian's source package `quickjs`, from the mirror in the machine's own apt configuration; apt checks it against Debian's keys.
 *
 * @returns the folder of the source, for `buildImage` of `@machinist/host-metal/build`
 * @throws typed `metal-source`: no apt on this system, no entry for Debian, no network, no room
 */
export async function prepareEngine(options: PrepareEngineOptions = {}): Promise<string> {
  const waiting = (): void => options.progress?.('Waiting for another machinist that is fetching the engine')
  try {
    const folder = await cachedFolder(options.cache ?? cacheFolder(), `${PACKAGE}-${SUITE}-${LAYOUT}`, waiting, (temporary) => fetchSource(temporary, options.progress))
    await used(folder)
    return folder
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const value = isMachinistError(error) && error.value !== undefined ? `${error.code}: ${error.value}` : error.message
    throw machinistError({ code: 'metal-source', part: 'metal', value, remedy: 'Check the network and apt, or unpack the source of QuickJS 2025-04-26 yourself' }, 'the source of the JavaScript engine could not be fetched')
  }
}
