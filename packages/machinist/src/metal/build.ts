import { fileError, systemCode } from '@machinist/host-node'
import type { Image } from '@machinist/host-metal/build'
import { loadFleet } from '../fleet/file/fleet.ts'
import { terminalProgress } from '../guest/index.ts'
import type { Progress } from '../guest/progress.ts'
import { metalProgram, packagesFolder } from '../own-program.ts'
import type { MetalOptions } from './arguments.ts'
import { prepareEngine } from './engine.ts'
import { imageFiles } from './plan.ts'
import { prepareTools } from './tools.ts'

/**
 * Builds the image that runs the machines of a file on bare metal.
 *
 * @throws typed errors: of the file, of what an image does not have (`'metal-backend'`), of tools (`'metal-tools'`, `'metal-tool'`), of the engine's source (`'metal-source'`), of the place for the image
 */
export async function buildMetal({ file, output }: Pick<MetalOptions, 'file' | 'output'>, progress?: Progress): Promise<Image> {
  const files = imageFiles(await loadFleet(file))
  await prepareTools(progress)
  const engine = await prepareEngine({ progress })
  progress?.('Building the image')
  // Loaded only where it is needed, and never a part of the command's script: esbuild, which it needs, finds its program beside itself.
  const { buildImage } = await import('@machinist/host-metal/build')
  try {
    return await buildImage({ engine, program: metalProgram(), root: packagesFolder(), output, files })
  } catch (error) {
    throw systemCode(error) === undefined ? error : fileError(error, '--output', output)
  }
}

/** `machinist metal build`. Returns the exit status. */
export async function metal(options: MetalOptions): Promise<number> {
  const { progress, done } = terminalProgress(process.stderr)
  const { path, size } = await buildMetal(options, options.quiet ? undefined : progress).finally(done)
  if (!options.quiet) process.stderr.write(`${path}: ${(size / 2 ** 20).toFixed(1)} MiB. Start it in QEMU with: qemu-system-riscv64 -machine virt -cpu rv64,h=true -m 1G -nographic -echr 0x1d -bios default -kernel ${path}\n`)
  return 0
}
