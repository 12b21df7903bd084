/** Disks with Debian's GRUB, its kernel and an initial file system, made without privileges. */
import { copyFile, cp, mkdir, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileSystemTool } from '../../src/debian/tools.ts'
import { cachedFolder } from '../../src/guest/cache.ts'
import { cacheFolder } from '../../src/guest/cache-folder.ts'
import { openArchive, suiteOf, unpack } from '../../src/guest/packages.ts'
import { runProgram } from '../../src/guest/process.ts'

const SECTOR = 512
const MIB = 2 ** 20
/** Where the partition begins, in bytes: GRUB's core is in the gap before it. */
const FIRST = MIB
/** The first entry of the table of partitions, and those behind it up to the signature, where GRUB's first sector has what only floppies need. */
const [ENTRY, ENTRIES_END] = [446, 510]
const LINUX = 0x83
/** What the core has in it: it needs no file but its menu. */
const MODULES = ['biosdisk', 'part_msdos', 'ext2', 'normal', 'linux', 'echo']

/** GRUB's first sector and its core, fetched and put together once. */
async function grub(): Promise<{ readonly boot: Uint8Array; readonly core: Uint8Array }> {
  const folder = await cachedFolder(cacheFolder(), `debian-${suiteOf('amd64')}-grub-1`, () => {}, async (temporary) => {
    const [work, tree] = [join(temporary, 'work'), join(temporary, 'work/tree')]
    await mkdir(work)
    const apt = await openArchive(join(work, 'apt'), undefined, 'amd64')
    const packages = (await apt.closure(['base-files', 'grub-common', 'grub-pc-bin'])).map(({ name }) => name)
    await unpack(apt, ['base-files', ...packages.filter((name) => name !== 'base-files')], work, tree, undefined, 'GRUB')
    // The release of the packages may be newer than this system: the program runs with the libraries that it was made for.
    const [library, images] = [join(tree, 'usr/lib/x86_64-linux-gnu'), join(tree, 'usr/lib/grub/i386-pc')]
    const made = await runProgram(join(library, 'ld-linux-x86-64.so.2'), [
      '--library-path', library, join(tree, 'usr/bin/grub-mkimage'), '-O', 'i386-pc', '-d', images, '-p', '(hd0,msdos1)/boot/grub', '-o', join(temporary, 'core.img'), ...MODULES,
    ])
    if (made.status !== 0) throw new Error(`grub-mkimage: ${made.stderr}`)
    await copyFile(join(images, 'boot.img'), join(temporary, 'boot.img'))
    await rm(work, { recursive: true })
  })
  const read = async (name: string): Promise<Uint8Array> => new Uint8Array(await readFile(join(folder, name)))
  return { boot: await read('boot.img'), core: await read('core.img') }
}

/** Makes a disk of so many bytes that starts a kernel from GRUB's menu, in the place of `path`; `files` go beside the kernel in /boot, from a folder `${path}.files`. */
export async function grubDisk(path: string, size: number, options: { readonly kernel: string; readonly initrd: string; readonly append: string; readonly files?: Readonly<Record<string, Uint8Array>> }): Promise<void> {
  const { boot, core } = await grub()
  const tree = `${path}.files`
  await mkdir(join(tree, 'boot/grub'), { recursive: true })
  await cp(options.kernel, join(tree, 'boot/vmlinuz'))
  await cp(options.initrd, join(tree, 'boot/initrd'))
  for (const [name, bytes] of Object.entries(options.files ?? {})) await writeFile(join(tree, 'boot', name), bytes)
  await writeFile(join(tree, 'boot/grub/grub.cfg'), ['set timeout=-1', 'menuentry "Other" { echo other }', 'menuentry "Linux from the disk" {', ` linux /boot/vmlinuz ${options.append}`, ' initrd /boot/initrd', '}', ''].join('\n'))
  await writeFile(path, '')
  await truncate(path, size)
  await fileSystemTool('mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', '-O', '^metadata_csum_seed,^orphan_file,^has_journal', '-d', tree, '-E', `offset=${FIRST}`, path, String((size - FIRST) / 4096)])
  await rm(tree, { recursive: true })
  if (SECTOR + core.length > FIRST) throw new Error('no room for the core of GRUB')
  const first = new Uint8Array(SECTOR)
  first.set(boot)
  first.fill(0, ENTRY, ENTRIES_END)
  const entry = new DataView(first.buffer, ENTRY)
  entry.setUint8(0, 0x80)
  entry.setUint8(4, LINUX)
  entry.setUint32(8, FIRST / SECTOR, true)
  entry.setUint32(12, (size - FIRST) / SECTOR, true)
  const file = await open(path, 'r+')
  await file.write(first, 0, SECTOR, 0)
  await file.write(core, 0, core.length, SECTOR)
  await file.close()
}
