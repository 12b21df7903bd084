/**
 * Builds drivers of Linux that Debian's riscv64 kernel lacks, as modules for it, from Debian's own sources and headers. Needs the
 * network and apt, and Debian's packages gcc-riscv64-linux-gnu, gcc, libc6-dev, make, tar and xz-utils. The first run downloads about
 * 170 MB; others take the module from the cache.
 */
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { cachedFolder } from '../src/guest/cache.ts'
import { cacheFolder, prepareGuest, type PreparedGuest } from '../src/guest/index.ts'
import { openArchive, unpack } from '../src/guest/packages.ts'
import { runProgram } from '../src/guest/process.ts'

/** A guest, and a module for its kernel. */
export interface GuestWithModule {
  readonly guest: PreparedGuest
  readonly module: Uint8Array
}

/** Debian has moved on: it has the sources of another kernel than the one in the cache. */
class OtherKernel extends Error {}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { status, stdout, stderr, missing } = await runProgram(program, args)
  if (missing) throw new Error(`this system has no ${program}, which one of the packages in scripts/debian.mjs brings`)
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${status}\n${stdout.toString()}${stderr}`)
}

/** Builds the module of `source`, a file in Linux's tree, into `folder`. */
async function build(source: string, guest: PreparedGuest, folder: string): Promise<void> {
  const [version] = guest.release.split('-')
  const series = /^\d+\.\d+/.exec(guest.release)?.[0]
  const work = join(folder, 'work')
  mkdirSync(work)
  const apt = await openArchive(join(work, 'apt'), undefined)
  const names = [`linux-headers-${guest.release}`, `linux-headers-${version}-common`, `linux-kbuild-${version}`, `linux-source-${series}`]
  const wanted = guest.packages[`linux-image-${guest.release}`]
  for (const name of names) {
    const offered = (await apt.show(name))?.get('Version')
    if (wanted === undefined || offered !== wanted) throw new OtherKernel(`Debian offers ${name} ${String(offered)}; the kernel in the cache is ${String(wanted)}`)
  }
  const tree = join(work, 'tree')
  await unpack(apt, names, work, tree, undefined, '')
  const [headers, common] = [join(tree, 'usr/src', `linux-headers-${guest.release}`), join(tree, 'usr/src', `linux-headers-${version}-common`)]
  const kbuild = join(tree, 'usr/lib', `linux-kbuild-${version}`)
  const linux = join(work, `linux-source-${series}`)
  const tools = ['basic', 'include', 'mod']
  await run('tar', ['-xf', join(tree, 'usr/src', `linux-source-${series}.tar.xz`), '-C', work, ...[source, ...tools.map((name) => `scripts/${name}`)].map((name) => `linux-source-${series}/${name}`)])

  // Debian's tools for building run on riscv64: the same from source take their place.
  symlinkSync(join(common, 'include'), join(linux, 'include'))
  for (const name of tools) {
    rmSync(join(kbuild, 'scripts', name), { recursive: true, force: true })
    symlinkSync(join(linux, 'scripts', name), join(kbuild, 'scripts', name))
  }
  await run('gcc', ['-O1', '-I', join(linux, 'scripts/include'), join(linux, 'scripts/basic/fixdep.c'), '-o', join(linux, 'scripts/basic/fixdep')])
  const make = async (what: string): Promise<void> => {
    await run('make', ['-C', headers, '-f', join(common, 'Makefile'), `-j${availableParallelism()}`, `M=${what}`, 'CC=riscv64-linux-gnu-gcc',
      // An older compiler than the kernel's lacks the option; and no types for BPF, which would need pahole.
      'CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT=', 'CONFIG_DEBUG_INFO_BTF_MODULES='])
  }
  await make(join(linux, 'scripts/mod'))
  const [name = ''] = /[^/]+(?=\.c$)/.exec(source) ?? []
  const place = join(work, 'module')
  mkdirSync(place)
  copyFileSync(join(linux, source), join(place, `${name}.c`))
  writeFileSync(join(place, 'Makefile'), `obj-m := ${name}.o\n`)
  await make(place)
  copyFileSync(join(place, `${name}.ko`), join(folder, 'module.ko'))
  rmSync(work, { recursive: true })
}

/**
 * Debian's guest, and a module for it that is built of `source`, such as `drivers/virtio/virtio_mem.c`. If the kernel in the cache is not
 * Debian's current one, of which there are sources, the guest is one apart.
 */
export async function guestWithModule(source: string): Promise<GuestWithModule> {
  const prepare = async (cache: string): Promise<GuestWithModule> => {
    const guest = await prepareGuest({ cache })
    const folder = await cachedFolder(cache, `module-${guest.release}-${source.replaceAll('/', '-')}`, () => undefined, (temporary) => build(source, guest, temporary))
    return { guest, module: readFileSync(join(folder, 'module.ko')) }
  }
  try {
    return await prepare(cacheFolder())
  } catch (error) {
    if (!(error instanceof OtherKernel)) throw error
    const apart = join(cacheFolder(), 'with-modules')
    try {
      return await prepare(apart)
    } catch (again) {
      if (!(again instanceof OtherKernel)) throw again
      rmSync(apart, { recursive: true })
      return await prepare(apart)
    }
  }
}
