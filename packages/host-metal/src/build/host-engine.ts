import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { compileAll, engineFiles, headers, mendedEngine } from './engine.ts'
import { cacheFolder, nativeFolder } from './image.ts'
import { digest, place, run } from './tools.ts'

/** The engine as a program of the build host. */
export interface HostEngineOptions {
  /** Folder of QuickJS' source, as for an image. */
  readonly engine: string
  /** As for an image. */
  readonly cache?: string | undefined
}

/**
 * Builds the engine of the images for the build host: a program that runs a script, which has `print`, and nothing that ECMAScript does not have. When it waits for nothing any more, the global function `next` is
 * called, if there is one, until that says false. For tests of what is to run on bare metal.
 *
 * Needs the Debian packages `gcc` and `libc6-dev`.
 *
 * @returns the path of the program
 * @throws typed `metal-tool` when a tool is missing or fails, `metal-engine` when the engine's source is another
 */
export async function buildHostEngine(options: HostEngineOptions): Promise<string> {
  const cache = join(options.cache ?? cacheFolder(), 'metal')
  const engine = await mendedEngine(options.engine, cache)
  const [kernel, port] = [join(nativeFolder(), 'kernel'), join(nativeFolder(), 'engine')]
  const compiler = {
    program: 'gcc', flags: ['-O2', '-w', '-D_GNU_SOURCE', '-DMACHINIST_LOW_POINTERS', '-DCONFIG_VERSION="2025-04-26"', `-I${engine}`],
    inputs: [await headers(engine, kernel, port), await run('gcc', ['--version'])],
  }
  const objects = await compileAll([...engineFiles.map((name) => join(engine, name)), join(kernel, 'heap.c'), join(port, 'allocator.c'), join(port, 'run.c')], compiler, cache)
  const program = join(cache, `run-${digest(...objects)}`)
  if (await readFile(program).then(() => true, () => false)) return program
  return place(program, (temporary) => run('gcc', [...objects, '-lm', '-o', temporary]))
}
