import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PROGRAM = 'qemu-system-x86_64'
/** A write there ends it. */
export const EXIT_PORT = 0x501
/** What is written there is the answer. */
export const ANSWER_PORT = 0xe9

/** Why there is no QEMU to compare with, or null. */
export function whyNoQemu(): string | null {
  return spawnSync(PROGRAM, ['--version']).status === 0 ? null : `there is no ${PROGRAM}`
}

/** Starts a multiboot image, and returns what it wrote to the port of answers. */
export function runQemu(image: Uint8Array, cpu: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'machinist-x86-'))
  try {
    const [kernel, answer] = [join(folder, 'image'), join(folder, 'answer')]
    writeFileSync(kernel, image)
    const { error, signal, stderr } = spawnSync(PROGRAM, [
      '-machine', 'pc', '-accel', 'tcg', '-cpu', cpu, '-m', '16M', '-nodefaults', '-display', 'none', '-no-reboot',
      '-kernel', kernel, '-chardev', `file,id=answer,path=${answer}`, '-device', `isa-debugcon,iobase=${ANSWER_PORT},chardev=answer`, '-device', `isa-debug-exit,iobase=${EXIT_PORT}`,
    ], { timeout: 120_000, encoding: 'utf8' })
    // When it is told to end, since it took too long, it does so by itself.
    if (error) throw error
    if (signal !== null) throw new Error(`QEMU was ended by ${signal}: ${stderr}`)
    return readFileSync(answer)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
