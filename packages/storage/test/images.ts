import { spawnSync } from 'node:child_process'
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync, inflateRawSync, inflateSync } from 'node:zlib'
import { machinistError } from '@machinist/api'
import type { BlockPort, BlockStatus } from '@machinist/api'
import { imageDisk } from '../src/index.ts'
import type { Codec, DiskFormat, DiskImage, OpenFile, RandomAccessFile } from '../src/index.ts'

/** A file of this computer. */
export function nodeFile(path: string, mode: 'r' | 'r+' | 'w+'): RandomAccessFile {
  const fd = openSync(path, mode)
  return {
    size: fstatSync(fd).size,
    writable: mode !== 'r',
    read: (offset, into) => Promise.resolve(readSync(fd, into, 0, into.length, offset)),
    write: (offset, from) => {
      writeSync(fd, from, 0, from.length, offset)
      return Promise.resolve()
    },
    flush: () => Promise.resolve(fdatasyncSync(fd)),
    truncate: (size) => Promise.resolve(ftruncateSync(fd, size)),
    close: () => Promise.resolve(closeSync(fd)),
  }
}

export const codec: Codec = {
  inflates: ['deflate', 'zlib'],
  inflate: (compression, from, size) => new Promise((resolve) => {
    const inflate = compression === 'zlib' ? inflateSync : inflateRawSync
    resolve(new Uint8Array(inflate(from, { maxOutputLength: Math.max(1, size) })))
  }),
  deflate: (_compression, from) => Promise.resolve(new Uint8Array(deflateSync(from))),
}

/** Opens files beside the image. */
export function beside(folder: string): OpenFile {
  return (name, writable) => {
    if (name.includes('/')) return Promise.reject(machinistError({ code: 'image-file-refused', part: name, remedy: 'Stay in the folder' }, 'is elsewhere'))
    return Promise.resolve({ file: nodeFile(join(folder, name), writable ? 'r+' : 'r'), name, openFile: beside(folder) })
  }
}

export function open(format: DiskFormat, folder: string, name: string, readOnly: boolean = false): Promise<DiskImage> {
  return format.open(nodeFile(join(folder, name), readOnly ? 'r' : 'r+'), { name, readOnly, openFile: beside(folder), codec })
}

export async function create(format: DiskFormat, folder: string, name: string, size: number, parameters: Record<string, string>): Promise<void> {
  const file = nodeFile(join(folder, name), 'w+')
  await format.create?.(file, size, { name, parameters, createFile: (other) => Promise.resolve(nodeFile(join(folder, other), 'w+')) })
  await file.close()
}

export function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Runs a tool of qemu-utils. */
export function qemu(tool: 'qemu-img' | 'qemu-io', ...args: string[]): string {
  const result = spawnSync(tool, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (result.status !== 0) throw new Error(`${tool} ${args.join(' ')}: ${result.stdout}${result.stderr}`)
  return `${result.stdout}${result.stderr}`
}

/** Why comparisons with QEMU cannot be made here, or null. */
export const noQemu: string | null = ['qemu-img', 'qemu-io'].every((tool) => spawnSync(tool, ['--version']).status === 0) ? null : 'needs qemu-img and qemu-io of the Debian package qemu-utils'

/** A disk, and what it must read as. */
export class Checked {
  readonly port: BlockPort
  readonly model: Uint8Array
  readonly statuses: Set<BlockStatus> = new Set()
  readonly close: () => Promise<void>

  constructor(image: DiskImage, model: Uint8Array) {
    const disk = imageDisk(image)
    this.port = disk.connect((callback) => { callback() })
    this.model = model
    this.close = () => disk.close()
  }

  /** Random requests, a few at a time; returns how many reads differed from the model. */
  async exercise(random: () => number, count: number, most: number): Promise<number> {
    const { port, model } = this
    const pick = (below: number): number => Math.floor(random() * below)
    let wrong = 0
    let inFlight: Promise<void>[] = []
    const ask = (submit: (done: (status: BlockStatus) => void) => void): void => {
      inFlight.push(new Promise((resolve) => {
        submit((status) => {
          this.statuses.add(status)
          resolve()
        })
      }))
    }
    for (let index = 0; index < count; index++) {
      const unit = random() < 0.9 ? 512 : 1
      const offset = pick(model.length / unit) * unit
      const length = Math.min(model.length - offset, (1 + pick(random() < 0.8 ? 64 : most / 512)) * unit)
      const kind = random()
      if (kind < 0.5) {
        const bytes = new Uint8Array(length).fill(1 + pick(255))
        bytes[0] = pick(256)
        model.set(bytes, offset)
        const split = pick(length)
        ask((done) => { port.write(offset, [bytes.subarray(0, split), bytes.subarray(split)], done) })
      } else if (kind < 0.8) {
        const bytes = new Uint8Array(length)
        const expected = model.slice(offset, offset + length)
        ask((done) => {
          port.read(offset, [bytes], (status) => {
            if (status === 'ok' && Buffer.compare(bytes, expected) !== 0) wrong += 1
            done(status)
          })
        })
      } else if (kind < 0.92) {
        model.fill(0, offset, offset + length)
        ask((done) => { port.writeZeroes?.(offset, length, done) })
      } else ask((done) => { port.flush(done) })
      if (inFlight.length >= 8) await Promise.all(inFlight.splice(0, pick(9)))
    }
    await Promise.all(inFlight)
    inFlight = []
    return wrong
  }

  /** Where the disk first differs from the model, or -1. */
  async difference(): Promise<number> {
    const bytes = new Uint8Array(this.model.length)
    for (let at = 0; at < bytes.length; at += 1 << 20) {
      const status = await new Promise<BlockStatus>((resolve) => { this.port.read(at, [bytes.subarray(at, at + (1 << 20))], resolve) })
      if (status !== 'ok') return at
    }
    return bytes.findIndex((byte, index) => byte !== this.model[index])
  }
}
