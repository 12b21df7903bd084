import { existsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { machinistError } from '@machinist/api'
import { programError, step } from '../guest/apt.ts'
import { runProgram } from '../guest/process.ts'
import type { Progress } from '../guest/progress.ts'

const CROSS = 'riscv64-unknown-elf-gcc'

/** The Debian packages that build images: each with the compiler that shows that it is there, and a file which that has to find. */
const TOOLS = [
  { name: 'gcc', compiler: 'gcc', finds: null },
  { name: 'libc6-dev', compiler: 'gcc', finds: 'crt1.o' },
  { name: 'gcc-riscv64-unknown-elf', compiler: CROSS, finds: null },
  { name: 'picolibc-riscv64-unknown-elf', compiler: CROSS, finds: 'picolibc.specs' },
] as const

/** What may be done here. */
interface System {
  readonly debian: boolean
  readonly root: boolean
}

/** Which packages' tools are not there, whoever brought them. */
async function missingTools(): Promise<readonly string[]> {
  const found = await Promise.all(TOOLS.map(async ({ compiler, finds }) => {
    const { status, stdout } = await runProgram(compiler, finds === null ? ['--version'] : [`-print-file-name=${finds}`])
    // A compiler gives back the name of what it does not find.
    return status === 0 && (finds === null || isAbsolute(stdout.toString().trim()))
  }))
  return TOOLS.filter((_, index) => found[index] !== true).map(({ name }) => name)
}

/** Runs apt-get for this system itself. */
async function apt(args: readonly string[], progress: (fraction: number) => void): Promise<void> {
  const onLine = (line: string): void => {
    const percent = Number(/^(?:dl|pm)status:[^:]*:([\d.]+):/.exec(line)?.[1])
    if (Number.isFinite(percent)) progress(Math.min(1, percent / 100))
  }
  const result = await runProgram('apt-get', ['-q', '-y', '-o', 'APT::Status-Fd=3', ...args], { onLine })
  if (result.status !== 0) throw programError('metal-tools', 'apt-get could not install what compiles the image', 'Check the network connection and try again', result.stderr, result.status)
}

/**
 * Sees to what compiles images for bare metal: where it is missing, root installs it on Debian.
 *
 * @throws typed `metal-tools` that says what is to be installed, or why it could not be
 */
export async function prepareTools(progress?: Progress, system: System = { debian: existsSync('/etc/debian_version'), root: process.getuid?.() === 0 }): Promise<void> {
  const missing = await missingTools()
  if (missing.length === 0) return
  const list = missing.join(' ')
  if (!system.debian || !system.root) {
    const remedy = system.debian ? `Install them with: sudo apt-get install --no-install-recommends ${list}` : 'Install their equivalents, or build the image on Debian.'
    throw machinistError({ code: 'metal-tools', part: 'metal', value: list, remedy }, 'this system lacks what these Debian packages bring')
  }
  // Without a fresh index apt may know none of the packages, or versions that the archive no longer has.
  await apt(['update'], step(progress, 'Reading the list of packages of this system'))
  await apt(['install', '--no-install-recommends', ...missing], step(progress, `Installing ${list}`))
}
