/**
 * What a disk image format is: the contract between formats (qcow2, VMDK, VDI, VHD, VHDX, raw) and those who open,
 * make, convert, check and resize images.
 *
 * An image is hostile until proven otherwise: whoever wrote it may have been a guest, or a stranger. So `open` checks
 * whatever it believes, bounds what it holds by what the file can hold, and says what is wrong in a typed error
 * ({@link imageDamaged}, {@link imageUnsupported}). Once open, nothing throws because of the content: damage that is
 * met later completes a request with `'io-error'`.
 */
import { machinistError } from '@machinist/api'
import type { MachinistError } from '@machinist/api'
import type { DiskEngine } from './disk.ts'
import type { RandomAccessFile } from './file.ts'

/** The two ends of a file, from which formats are recognised. */
export interface ImageSample {
  /** The first {@link sampleSize} bytes, fewer when the file is shorter. */
  readonly header: Uint8Array
  /** The last 512 bytes, fewer when the file is shorter: a fixed VHD is known by its footer alone. */
  readonly trailer: Uint8Array
  /** Bytes of the file. */
  readonly size: number
}

/** Bytes of {@link ImageSample.header}. */
export const sampleSize = 4096

/** A file that an image names, and how the names that stand in that file are looked up in turn. */
export interface NamedFile {
  readonly file: RandomAccessFile
  /** For errors. */
  readonly name: string
  readonly openFile: OpenFile
}

/**
 * Opens a file that an image names: a backing file, a parent, an extent. The name is a path as the image has it, unchecked and
 * relative to the image; the host decides what it may reach. `@machinist/host-node` opens only what lies, after all
 * symbolic links, in the folder of the first image or below it, unless told otherwise.
 *
 * Rejects with a typed error: `'image-file-refused'` when the image may not reach it, `'file-…'` when it cannot be opened.
 */
export interface OpenFile {
  (name: string, writable: boolean): Promise<NamedFile>
  /**
   * Names of files that the image may open, of which a format looks at {@link imageFileLimit} at most: for those that know the image
   * below by its identity alone. Absent when the host cannot tell.
   */
  list?(): Promise<readonly string[]>
}

/** How many files an image may have looked at to find the one that it stands on. */
export const imageFileLimit = 1000

/** How compressed data is compressed: raw DEFLATE (RFC 1951), DEFLATE in a zlib stream (RFC 1950), Zstandard (RFC 8878). */
export type Compression = 'deflate' | 'zlib' | 'zstd'

/** What a host can decompress and compress; packages on this floor cannot by themselves. */
export interface Codec {
  /** Which of them {@link inflate} knows. */
  readonly inflates: readonly Compression[]
  /**
   * Decompresses one stream. What follows the stream in `from` is ignored; the result may be shorter than `size`. Rejects when
   * `from` is no such stream, or one of more than `size` bytes. Never allocates more than about `size`.
   */
  inflate(compression: Compression, from: Uint8Array, size: number): Promise<Uint8Array>
  /** Compresses `from`. Absent when the host cannot. */
  deflate?(compression: 'deflate' | 'zlib', from: Uint8Array): Promise<Uint8Array>
}

/** What a format may use of the host while it opens an image. */
export interface OpenOptions {
  /** How errors name the image. */
  readonly name: string
  /** Refuses writes. Always so when the file is not writable. Files below (backing, parent) are never written. Default: false. */
  readonly readOnly?: boolean
  /** Opens files that the image names. Absent: an image that names one is refused with `'image-file-refused'`. */
  readonly openFile?: OpenFile
  /** Absent: an image with compressed data is refused, or its compressed parts fail to read. */
  readonly codec?: Codec
  /** Formats that a backing file or parent may have. Default: none but the format's own and raw. */
  readonly formats?: readonly DiskFormat[]
  /** How many images stand above this one. Give {@link below} of your own options to whatever is opened below. Default: 0. */
  readonly depth?: number
  /**
   * Opens it for `check` alone: an image that is marked as damaged, or was not closed in good order, is neither refused nor
   * repaired while opening. Default: false.
   */
  readonly maintenance?: boolean
  /** An internal snapshot to open, by name or id, read-only. Formats without snapshots refuse it. */
  readonly snapshot?: string
}

/** How many images a chain may have. */
export const maxDepth = 64

/**
 * The options for an image that one with `options` stands on: read-only, one deeper, looking up names from its place.
 *
 * @throws a typed error, `'image-chain'`, when the chain is too deep, as one that leads back to itself is
 */
export function below(options: OpenOptions, named: NamedFile): OpenOptions {
  const depth = (options.depth ?? 0) + 1
  if (depth >= maxDepth) {
    throw machinistError(
      { code: 'image-chain', part: options.name, value: named.name, remedy: 'Look whether it leads back to itself, or convert it to one image' },
      `stands at the end of a chain of more than ${String(maxDepth)} images`)
  }
  const { snapshot: _snapshot, maintenance: _maintenance, ...rest } = options
  return { ...rest, name: named.name, readOnly: true, openFile: named.openFile, depth }
}

/** How an image is made. */
export interface CreateOptions {
  /** How errors name the image. */
  readonly name: string
  /** The image below a new one that holds only what differs from it, by its path from the new one's folder. Refused by formats that cannot. */
  readonly backing?: { readonly name: string, readonly format: string, readonly size: number }
  /** By name, as a user wrote them; the format knows which ({@link DiskFormat.parameters}) and refuses others. */
  readonly parameters?: Readonly<Record<string, string>>
  /** Makes a further file beside the image, for formats of several. Absent: such are refused. */
  readonly createFile?: (name: string) => Promise<RandomAccessFile>
}

/** A format of disk images. */
export interface DiskFormat {
  /** As users write it: `'qcow2'`. */
  readonly name: string
  /** Of file names, without the dot, lower case; the first is the usual one. */
  readonly extensions: readonly string[]
  /** The parameters of {@link create}, each with a line of help. */
  readonly parameters?: Readonly<Record<string, string>>
  /** Whether it is an image of this format: by its signature, never by guess. Must not throw, whatever the sample. */
  probe(sample: ImageSample): boolean
  /**
   * Opens an image. From then on the file is the image's, and `close` closes it; when opening fails it stays the caller's,
   * and whatever was opened below is closed.
   *
   * @throws a typed error: {@link imageDamaged}, {@link imageUnsupported}, or what {@link OpenFile} gives
   */
  open(file: RandomAccessFile, options: OpenOptions): Promise<DiskImage>
  /**
   * Writes a new image that reads as zeroes (or as `backing`) into an empty file, and flushes it. The file stays the caller's.
   * Absent when images of the format can only be read.
   *
   * @param size - of the disk in bytes, a multiple of 512
   * @throws a typed error: a size or parameter that the format does not have, {@link imageUnsupported}
   */
  create?(file: RandomAccessFile, size: number, options: CreateOptions): Promise<void>
}

/**
 * An open image. It is an engine: `imageDisk` makes a disk of it, which adds checks of ranges and the order of
 * overlapping requests. Those who use the engine itself see to both.
 */
export interface DiskImage extends DiskEngine {
  /** {@link DiskFormat.name}. */
  readonly format: string
  /** The file begins with the disk itself, so that who writes the disk writes what the next to open it looks at first. */
  readonly plain?: boolean
  /** The open image that holds what this one does not (backing file, parent). `close` closes it too. */
  readonly below?: DiskImage
  info(): Promise<ImageInfo>
  /**
   * Where the content is, in order and without gaps, from byte 0 to `size`. Neighbours may be in the same state.
   * Work and memory are bounded for each step, not in all.
   */
  ranges(): AsyncIterable<ImageRange>
  /**
   * Looks through the image's own structures (not those of images below). Absent when the format has none. While nothing else runs.
   * After a repair the image has to be closed and opened anew before it is written.
   */
  check?(options?: CheckOptions): Promise<CheckReport>
  /**
   * Changes the size of the disk, and flushes. What is added reads as zeroes. Afterwards `size` is the new one. Absent when it cannot be.
   * While nothing else runs, and before a disk is made of it.
   *
   * @throws a typed error
   */
  resize?(size: number, options?: ResizeOptions): Promise<void>
}

/** A part of a disk, and where its content is. */
export interface ImageRange {
  readonly offset: number
  readonly length: number
  /** `'data'`: in the image. `'zero'`: nowhere, it reads as zeroes. `'backing'`: in the image below. */
  readonly state: 'data' | 'zero' | 'backing'
}

/** What an image is. */
export interface ImageInfo {
  readonly format: string
  /** Of the disk, in bytes. */
  readonly size: number
  /** The unit of allocation in bytes, where there is one. */
  readonly clusterSize?: number
  /** The image below, as this one names it; `format` when it says so. */
  readonly backing?: { readonly name: string, readonly format?: string }
  readonly snapshots?: readonly ImageSnapshot[]
  /** Was not closed in good order: a check is due. */
  readonly dirty?: boolean
  /** Is marked as damaged. */
  readonly corrupt?: boolean
  /** What else there is to say, for people and `--json`: `{ version: 3, compression: 'zlib' }`. */
  readonly details: Readonly<Record<string, string | number | boolean>>
}

/** An internal snapshot of an image. */
export interface ImageSnapshot {
  readonly id: string
  readonly name: string
  /** Of the disk when it was taken, in bytes. */
  readonly size: number
  /** Seconds since 1970. */
  readonly time: number
}

/** What {@link DiskImage.check} may do. */
export interface CheckOptions {
  /**
   * Repairs what can be repaired without a loss: `'leaks'` gives back space that nothing uses, `'all'` also corrects
   * counts and marks that contradict the image's tables. Default: false, nothing is written.
   */
  readonly repair?: false | 'leaks' | 'all'
  /** Told how far it is, from 0 to 1. */
  readonly progress?: (done: number) => void
}

/** What {@link DiskImage.check} found. */
export interface CheckReport {
  /** What may lose or mix up data: still there. */
  readonly corruptions: number
  /** Space of the file that nothing uses, in units of the format: still there. */
  readonly leaks: number
  readonly corruptionsFixed: number
  readonly leaksFixed: number
  /** A line for each of the first hundred. */
  readonly problems: readonly string[]
}

/** What {@link DiskImage.resize} may do. */
export interface ResizeOptions {
  /** Allows a smaller size, which loses what is beyond it. Default: false, which is refused. */
  readonly shrink?: boolean
}

/** An image that is not what its format prescribes. */
export function imageDamaged(name: string, format: string, problem: string, value?: string | number): MachinistError {
  return machinistError(
    { code: 'image-damaged', part: name, value, remedy: 'Check it, or restore a copy' },
    `is not a sound ${format} image: ${problem}`)
}

/** An image that uses what is not implemented here. */
export function imageUnsupported(name: string, format: string, feature: string, remedy: string = 'Convert it with the program that made it'): MachinistError {
  return machinistError({ code: 'image-unsupported', part: name, value: feature, remedy }, `uses a feature of ${format} that is not supported`)
}

/** An image that can hold no more, whatever room the host has. To a guest, its disk is full. */
export function imageFull(name: string, problem: string): MachinistError {
  return machinistError({ code: 'image-full', part: name, remedy: 'Copy the content into an image with larger blocks, or of another format' }, problem)
}
