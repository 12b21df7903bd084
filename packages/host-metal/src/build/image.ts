import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cpio } from '@machinist/boot'
import { compileAll, engineFiles, headers, mendedEngine } from './engine.ts'
import { bytecode } from './program.ts'
import { recordHeader } from './record-header.ts'
import { digest, place, run, write } from './tools.ts'

/** What to build. */
export interface ImageOptions {
  /** Folder of QuickJS' source, version 2025-04-26: Debian's source package `quickjs`, unpacked. */
  readonly engine: string
  /** The program: a file of TypeScript or JavaScript; what it imports is bundled. */
  readonly program: string
  /** Files that the program finds in `native.files`, by their names there. */
  readonly files?: Readonly<Record<string, Uint8Array>> | undefined
  /** Where the image goes; beside it the same with symbols, as `….elf`. */
  readonly output: string
  /** Where compiled files are kept; `$MACHINIST_CACHE`, else `machinist` in the user's cache folder, unless given. */
  readonly cache?: string | undefined
  /** What exceptions tell sources' paths from; the working folder unless given. */
  readonly root?: string | undefined
  /** Whether the engine tells which of the program's functions begins and ends, to a plugin of QEMU that counts what each takes; false unless given. */
  readonly telling?: boolean | undefined
}

/** An image. */
export interface Image {
  readonly path: string
  /** Bytes, of it, and of the program's bytecode and the files in it. */
  readonly size: number
  readonly programSize: number
  readonly filesSize: number
}

const TOOL = 'riscv64-unknown-elf-'
/** Links until the table of functions is that of the image which has it: one that has none, one with a table of the same length, one with the right one. */
const MOST_LINKS = 3

/** The native sources: beside the sources of this module, or beside `dist`. */
export function nativeFolder(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'native', 'kernel', 'image.ld'))) return join(folder, 'native')
    if (folder === dirname(folder)) return resolve('native')
  }
}

/** Where compiled files are kept unless a caller says otherwise. */
export function cacheFolder(): string {
  return process.env['MACHINIST_CACHE'] ?? join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'machinist')
}

/** The functions of a linked image as a C table, for the kernel's crash report. */
async function symbols(elf: string): Promise<string> {
  const lines = (await run(`${TOOL}nm`, ['-n', '--defined-only', elf])).split('\n').map((line) => /^([0-9a-f]+) [tT] ([A-Za-z]\w+)$/.exec(line))
  const found = lines.flatMap((match) => (match === null ? [] : [{ address: match[1] ?? '', name: match[2] ?? '' }]))
  return [
    '#include <stdint.h>',
    `const uint64_t symbol_count = ${found.length};`,
    `const uint64_t symbol_addresses[] = { ${found.map(({ address }) => `0x${address}`).join(', ')} };`,
    `const char *const symbol_names[] = { ${found.map(({ name }) => `"${name}"`).join(', ')} };`,
    '',
  ].join('\n')
}

/** An archive of files, in a file of the cache that is named by its content. */
async function archiveOf(files: Readonly<Record<string, Uint8Array>>, cache: string): Promise<string> {
  const writer = cpio()
  for (const [name, content] of Object.entries(files)) writer.file(name, content)
  const bytes = Object.keys(files).length === 0 ? new Uint8Array(0) : writer.toBytes()
  return write(join(cache, 'programs', `${digest(bytes)}.cpio`), bytes)
}

/**
 * Builds an image that firmware (OpenSBI) starts in HS-mode: the kernel, the engine, and a program as bytecode. It begins as a RISC-V Linux `Image` does, for boot loaders.
 *
 * Needs the Debian packages `gcc`, `libc6-dev`, `gcc-riscv64-unknown-elf` and `picolibc-riscv64-unknown-elf`.
 *
 * @throws typed `metal-tool` when a tool is missing or fails, `metal-engine` when the engine's source is another
 */
export async function buildImage(options: ImageOptions): Promise<Image> {
  const cache = join(options.cache ?? cacheFolder(), 'metal')
  const native = nativeFolder()
  const engine = await mendedEngine(options.engine, cache, options.telling)
  const program = await bytecode(resolve(options.program), resolve(options.root ?? '.'), engine, native, cache)

  const record = recordHeader()
  const generated = join(cache, `record-${digest(record)}`)
  await write(join(generated, 'record.h'), record)
  const machine = ['--specs=picolibc.specs', '-march=rv64gc', '-mabi=lp64d', '-mcmodel=medany']
  const common = [...machine, '-DMACHINIST_LOW_POINTERS', '-O2', '-std=gnu11', '-fno-omit-frame-pointer', '-ffunction-sections', '-fdata-sections']
  const folders = [join(native, 'kernel'), join(native, 'engine')]
  const version = await run(`${TOOL}gcc`, ['--version'])
  const engineHeaders = await headers(engine)
  const own = { program: `${TOOL}gcc`, flags: [...common, '-Wall', '-Wextra', '-Werror', `-I${generated}`, '-isystem', engine], inputs: [version, engineHeaders, record, await headers(...folders)] }
  const port = join(native, 'engine', 'port.h')
  const foreign = { program: `${TOOL}gcc`, flags: [...common, '-march=rv64gc_zba_zbb_zbs', '-w', '-D_GNU_SOURCE', '-DCONFIG_VERSION="2025-04-26"', '-D__TM_GMTOFF=tm_gmtoff', '-include', port], inputs: [version, engineHeaders, await readFile(port, 'utf8')] }

  const files: string[] = []
  for (const folder of folders) {
    for (const name of (await readdir(folder)).sort()) if (/\.[cS]$/.test(name) && name !== 'bytecode.c' && name !== 'run.c') files.push(join(folder, name))
  }
  const archive = await archiveOf(options.files ?? {}, cache)
  const embedded = join(cache, 'programs', `${digest(program, archive)}.S`)
  await write(embedded, `.section .rodata.program, "a"\n.balign 16\n.globl bytecode, bytecode_end\nbytecode:\n.incbin "${program}"\nbytecode_end:\n.balign 4096\n.globl files, files_end\nfiles:\n.incbin "${archive}"\nfiles_end:\n`)
  const objects = [
    ...await compileAll(files, own, cache),
    ...await compileAll(engineFiles.map((name) => join(engine, name)), foreign, cache),
    ...await compileAll([embedded], { ...own, inputs: [digest(await readFile(program)), archive] }, cache),
  ]

  const script = join(native, 'kernel', 'image.ld')
  const link = (elf: string, more: readonly string[]): Promise<string> =>
    place(elf, (temporary) => run(`${TOOL}gcc`, [...machine, '-nostartfiles', '-Wl,--gc-sections', '-Wl,--no-warn-rwx-segments', '-T', script, ...objects, ...more, '-lm', '-o', temporary]))
  const output = resolve(options.output)
  await mkdir(dirname(output), { recursive: true })
  const elf = await link(`${output}.elf`, [])
  // The table lies behind the code, but where there is one, references to it and behind it may have other lengths: the last link must be the one that the table tells of.
  for (let [round, told] = [0, '']; round < MOST_LINKS; round++) {
    const found = await symbols(elf)
    if (found === told) break
    told = found
    await link(elf, await compileAll([await write(join(cache, 'programs', `${digest(output)}-symbols.c`), found)], own, cache))
  }
  await place(output, (temporary) => run(`${TOOL}objcopy`, ['-O', 'binary', elf, temporary]))
  return { path: output, size: (await stat(output)).size, programSize: (await stat(program)).size, filesSize: (await stat(archive)).size }
}
