import { machinistError } from '@machinist/api'
import { runProgram } from '../guest/process.ts'

/** Where Debian has the tools for file systems, which is not on everybody's path. */
const PLACES = '/usr/sbin:/sbin'

/** Status 1 of e2fsck: it found something, and put it right. */
const CORRECTED = 1

/** Runs `mke2fs`, `e2fsck`, `resize2fs` or `tune2fs` on an image. None of them needs privileges for that. */
export async function fileSystemTool(name: 'mke2fs' | 'e2fsck' | 'resize2fs' | 'tune2fs', args: readonly string[]): Promise<void> {
  const result = await runProgram(name, args, { env: { PATH: `${process.env['PATH'] ?? ''}:${PLACES}` } })
  if (result.missing) {
    throw machinistError({ code: 'debian-tools', part: name, remedy: 'Install the package e2fsprogs' }, 'making the disk needs a program that this system does not have')
  }
  if (result.status === 0 || (name === 'e2fsck' && result.status === CORRECTED)) return
  const said = `${result.stderr}\n${result.stdout.toString()}`.trim().split('\n').filter((line) => !/^\w+ \d[\d.]+ \(/.test(line)).slice(0, 2).join(' ')
  throw machinistError({ code: 'debian-tools', part: name, value: said || `status ${result.status}`, remedy: 'Check that there is room for the disk, and its size' }, 'could not do its work')
}

/** Copies a disk image; what is empty in it takes no room in the copy. */
export async function copyDisk(from: string, to: string): Promise<void> {
  const result = await runProgram('cp', ['--sparse=always', '--reflink=auto', from, to])
  if (result.status === 0) return
  throw machinistError({ code: 'debian-output', part: '--output', value: to, remedy: 'Name another place, with room for the disk' }, result.stderr.trim().split('\n').at(-1) ?? 'cannot be written')
}
