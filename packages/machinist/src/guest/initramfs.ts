import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cpio } from '@machinist/boot'
import { modulesAlias, modulesDep } from './modules.ts'
import type { KernelModule } from './modules.ts'
import { EXEC, INITTAB, LEASE, POWER_PRESSED, PROFILE, SESSION, START, WATCH_POWER } from './scripts.ts'

/** The parts of the guest's first file system. */
export interface InitramfsParts {
  /** What `uname -r` says in the guest. */
  readonly kernelRelease: string
  /** Path of a static busybox. */
  readonly busybox: string
  /** Folder with the modules' files, laid out as below `/lib/modules/<release>`. */
  readonly moduleFolder: string
  readonly modules: readonly KernelModule[]
}

/** Small files: path, content, mode. */
function texts(release: string): readonly (readonly [string, string, number])[] {
  return [
    ['etc/inittab', INITTAB, 0o644],
    ['etc/machinist/start', START, 0o755],
    ['etc/machinist/session', SESSION, 0o755],
    ['etc/machinist/exec', EXEC, 0o755],
    ['etc/machinist/lease', LEASE, 0o755],
    ['etc/machinist/power', WATCH_POWER, 0o755],
    ['etc/acpi/PWRF/00000080', POWER_PRESSED, 0o755],
    ['etc/profile', PROFILE, 0o644],
    ['etc/hostname', 'machinist\n', 0o644],
    ['etc/hosts', '127.0.0.1 localhost machinist\n', 0o644],
    ['etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n', 0o644],
    ['etc/group', 'root:x:0:\ntty:x:5:\ndisk:x:6:\n', 0o644],
    ['etc/shells', '/bin/sh\n', 0o644],
    // What mount tries when it is not told a type; the module is loaded on demand.
    ['etc/filesystems', 'ext4\n', 0o644],
    ['etc/motd', `Debian's Linux ${release} on Machinist. \`poweroff\`, or leaving this shell, ends the machine.\n`, 0o644],
  ]
}

/** Everything that decides what the archive holds, besides the packages: for the name under which it is cached. */
export function initramfsRecipe(): string {
  return JSON.stringify(texts(''))
}

/**
 * Builds the guest's initial root file system: busybox, its start, and the kernel modules of this machine's devices.
 * Not compressed: reading it costs the guest less than decompressing it.
 */
export async function buildInitramfs(parts: InitramfsParts): Promise<Uint8Array> {
  const archive = cpio()
  for (const folder of ['bin', 'sbin', 'usr/bin', 'usr/sbin', 'etc', 'dev', 'proc', 'sys', 'run', 'mnt', 'var']) archive.directory(folder)
  archive.directory('root', 0o700).directory('tmp', 0o1777).symlink('var/run', '/run')
  // The kernel opens it for /init before anything is mounted.
  archive.device('dev/console', 'character', 5, 1).device('dev/null', 'character', 1, 3, 0o666)
  archive.file('bin/busybox', await readFile(parts.busybox), 0o755).symlink('bin/sh', 'busybox').symlink('init', 'bin/busybox')
  for (const [path, content, mode] of texts(parts.kernelRelease)) archive.file(path, content, mode)
  const modules = `lib/modules/${parts.kernelRelease}`
  archive.file(`${modules}/modules.dep`, modulesDep(parts.modules))
  archive.file(`${modules}/modules.alias`, modulesAlias(parts.modules))
  for (const { path } of parts.modules) archive.file(`${modules}/${path}`, await readFile(join(parts.moduleFolder, path)))
  return archive.toBytes()
}
