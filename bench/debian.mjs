import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cache, command } from './guest.mjs'
import { product } from './product.mjs'

/** What the real programs' rows run, and what their scripts use. */
const packages = ['7zip-standalone', 'openssl', 'python3', 'gcc', 'libc6-dev', 'libstb-dev', 'gzip', 'dash', 'coreutils', 'grep', 'sed']

/**
 * Debian's kernel and the initial file system of Machinist's own guest, fetched and cached as for `machinist` itself.
 * @param {import('./options.mjs').Architecture} [architecture]
 */
export async function debianGuest(architecture = 'riscv64') {
  const { prepareGuest, terminalProgress } = await product('machinist')
  const { progress, done } = terminalProgress(process.stderr)
  return prepareGuest({ progress, architecture }).finally(done)
}

/** An ext4 disk with Debian's programs, made once and cached; resolves with its path. */
export async function debianDisk() {
  const disk = join(cache, `debian-${createHash('sha256').update(packages.join()).digest('hex').slice(0, 12)}.ext4`)
  if (existsSync(disk)) return disk
  mkdirSync(cache, { recursive: true })
  const work = mkdtempSync(join(cache, 'disk-'))
  try {
    const tree = join(work, 'tree')
    const { extractDebian, terminalProgress } = await product('machinist')
    const { progress, done } = terminalProgress(process.stderr)
    await extractDebian(packages, tree, { progress }).finally(done)
    mkdirSync(join(tree, 'bench'))
    const image = join(work, 'image')
    // No journal: a disk that is only read has nothing to recover.
    command('mke2fs', ['-q', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-d', tree, image, `${sizeInMebibytes(tree)}M`])
    renameSync(image, disk)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return disk
}

/**
 * A disk with Debian and systemd, as `machinist debian build` makes it, and its kernel and initial file system as files.
 * @returns {Promise<{ disk: string, kernel: string, initrd: string, root: string }>}
 */
export async function debianSystem() {
  const { bootDisk, buildDebian, terminalProgress } = await product('machinist')
  const disk = join(cache, 'debian.img'), kernel = join(cache, 'debian-kernel'), initrd = join(cache, 'debian-initrd')
  mkdirSync(cache, { recursive: true })
  const { progress, done } = terminalProgress(process.stderr)
  await buildDebian({ output: disk, progress }).finally(done)
  const { kernel: image, initrd: files, root } = await bootDisk(disk)
  writeFileSync(kernel, image)
  writeFileSync(initrd, files ?? new Uint8Array(0))
  return { disk, kernel, initrd, root }
}

/**
 * Room for the files and for the file system's own tables.
 * @param {string} tree
 */
function sizeInMebibytes(tree) {
  return Math.ceil(Number.parseInt(command('du', ['-sm', tree]), 10) * 1.15) + 32
}
