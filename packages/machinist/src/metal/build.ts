import { fileError, systemCode } from '@machinist/host-node'
import type { Image } from '@machinist/host-metal/build'
import { loadFleet } from '../fleet/file/fleet.ts'
import { terminalProgress } from '../guest/index.ts'
import type { Progress } from '../guest/progress.ts'
import { metalProgram, packagesFolder } from '../own-program.ts'
import { usageError } from '../usage.ts'
import type { MetalOptions } from './arguments.ts'
import { prepareEngine } from './engine.ts'
import { makeDatastore } from './datastore.ts'
import { type MetalDisk, metalDisks } from './disks.ts'
import { imageFiles } from './plan.ts'
import { prepareTools } from './tools.ts'

/** An image, and the disks of its machines. */
export interface MetalImage extends Image {
  readonly disks: readonly MetalDisk[]
}

/**
 * Builds the image that runs the machines of a file on bare metal, and makes the disk that has theirs, when it is to.
 *
 * @throws typed errors: of the file and its disks (`'metal-disk'`), of what an image does not have (`'metal-backend'`), of tools (`'metal-tools'`, `'metal-tool'`), of the engine's source (`'metal-source'`), of the places for the image and the disk
 */
export async function buildMetal({ file, output, datastore }: Pick<MetalOptions, 'file' | 'output' | 'datastore'>, progress?: Progress): Promise<MetalImage> {
  const { fleet, disks } = await metalDisks(await loadFleet(file))
  const files = imageFiles(fleet)
  if (datastore !== undefined) {
    if (disks.length === 0) throw usageError('--datastore', 'no machine of the file has a disk', 'Leave it out.', datastore)
    await makeDatastore(datastore, disks, progress)
  }
  await prepareTools(progress)
  const engine = await prepareEngine({ progress })
  progress?.('Building the image')
  // Loaded only where it is needed, and never a part of the command's script: esbuild, which it needs, finds its program beside itself.
  const { buildImage } = await import('@machinist/host-metal/build')
  try {
    return { ...await buildImage({ engine, program: metalProgram(), root: packagesFolder(), output, files }), disks }
  } catch (error) {
    throw systemCode(error) === undefined ? error : fileError(error, '--output', output)
  }
}

/** `machinist metal build`. Returns the exit status. */
export async function metal(options: MetalOptions): Promise<number> {
  const { progress, done } = terminalProgress(process.stderr)
  const { path, size, disks } = await buildMetal(options, options.quiet ? undefined : progress).finally(done)
  if (options.quiet) return 0
  const { datastore } = options
  const store = disks.length === 0 ? '' : ` -global virtio-mmio.force-legacy=false -drive file=${datastore ?? 'DISK'},if=none,id=store,format=raw -device virtio-blk-device,drive=store`
  process.stderr.write(`${path}: ${(size / 2 ** 20).toFixed(1)} MiB. Start it in QEMU with: qemu-system-riscv64 -machine virt -cpu rv64,h=true -m 1G -nographic -echr 0x1d -bios default -kernel ${path}${store}\n`)
  if (disks.length > 0 && datastore === undefined) process.stderr.write(`DISK is one with the images ${disks.map(({ name }) => name).join(', ')}: --datastore makes it.\n`)
  return 0
}
