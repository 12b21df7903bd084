import { execFileSync, spawnSync } from 'node:child_process'
import { dirname, resolve } from 'node:path'
import { deflateRawSync, deflateSync, inflateRawSync, inflateSync } from 'node:zlib'
import { expect } from 'vitest'
import type { Codec, OpenFile } from '../src/index.ts'
import { nodeFile } from './node-file.ts'

export { generator, nodeFile } from './node-file.ts'

/** Why tests against QEMU's tools are skipped; null when they are there. `npm run test:long` on Debian installs them (qemu-utils). */
export const noQemu: string | null = spawnSync('qemu-img', ['--version']).status === 0 && spawnSync('qemu-io', ['--version']).status === 0 ? null : 'qemu-img and qemu-io (qemu-utils) are not installed'

/** Without any guard: for images that the test made. */
export function openFileFrom(folder: string): OpenFile {
  return (name, writable) => {
    const path = resolve(folder, name)
    return Promise.resolve({ file: nodeFile(path, writable), name: path, openFile: openFileFrom(dirname(path)) })
  }
}

export const codec: Codec = {
  inflates: ['deflate', 'zlib'],
  async inflate(compression, from, size) {
    return (compression === 'zlib' ? inflateSync : inflateRawSync)(from, { maxOutputLength: size })
  },
  async deflate(compression, from) { return compression === 'zlib' ? deflateSync(from) : deflateRawSync(from) },
}

/** Runs a tool of QEMU; its output. */
export function qemu(tool: 'qemu-img' | 'qemu-io', ...args: string[]): string {
  return execFileSync(tool, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** The exit status of `qemu-img check`: 0 sound, 2 corrupt, 3 leaks. */
export function qemuCheck(path: string): number {
  const { status, stdout, stderr } = spawnSync('qemu-img', ['check', path], { encoding: 'utf8' })
  if (status !== 0 && status !== 3) expect.soft(`${stdout}${stderr}`).toBe('')
  return status ?? -1
}
