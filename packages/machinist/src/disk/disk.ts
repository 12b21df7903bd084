import { existsSync, realpathSync, statSync } from 'node:fs'
import { dirname, relative, resolve } from 'node:path'
import { machinistError } from '@machinist/api'
import { imageFiles, isUrl, openDiskImage } from '@machinist/host-node'
import { checkImage, type CreateOptions, diskFormats, formatForNew, openImage } from '@machinist/storage'
import { terminalProgress } from '../guest/index.ts'
import type { DiskCommand } from './arguments.ts'
import { convertDisk, createFile } from './create.ts'
import { checkText, infoText } from './text.ts'

const LEAKS = 3
const CORRUPT = 4

type Of<Action extends DiskCommand['action']> = Extract<DiskCommand, { readonly action: Action }>

/**
 * The `machinist disk` command.
 *
 * @returns the exit status
 * @throws typed errors
 */
export async function runDisk(command: DiskCommand): Promise<number> {
  switch (command.action) {
    case 'info': return info(command)
    case 'create': return create(command)
    case 'convert': return convert(command)
    case 'resize': return resize(command)
    case 'check': return check(command)
  }
}

/** Options of opening the image of a command. */
function opening({ format, files, lock }: Pick<Of<'info'>, 'format' | 'files' | 'lock'>): Pick<Of<'info'>, 'format' | 'files' | 'lock'> {
  return { ...(format !== undefined && { format }), ...(files !== undefined && { files }), ...(lock !== undefined && { lock }) }
}

async function info(command: Of<'info'>): Promise<number> {
  // What an image is can be told without what it stands on.
  const image = await openDiskImage(command.file, { ...opening(command), maintenance: true })
  try {
    const about = { file: command.file, ...await image.info(), ...(!isUrl(command.file) && { fileSize: statSync(command.file).size, allocated: statSync(command.file).blocks * 512 }) }
    process.stdout.write(command.json ? `${JSON.stringify(about, null, 2)}\n` : infoText(about))
    return 0
  } finally {
    await image.close()
  }
}

async function create(command: Of<'create'>): Promise<number> {
  const { file, backing, force, lock, parameters } = command
  const format = formatForNew(file, command.format)
  let { size } = command
  let base: CreateOptions['backing']
  if (backing !== undefined) {
    // As the image is going to look it up: relative to itself, and only where it may.
    const name = relative(dirname(resolve(file)), resolve(backing))
    const named = await imageFiles(file, command.files, command.lock)(name, false)
    const image = await openImage(named.file, { name: backing, readOnly: true, formats: diskFormats, openFile: named.openFile, maintenance: true }, command.backingFormat)
    base = { name, format: image.format, size: image.size }
    size ??= image.size
    await image.close()
  }
  await createFile(file, { force, ...(lock !== undefined && { lock }) }, format, size ?? 0, { parameters, ...(base !== undefined && { backing: base }) })
  return 0
}

async function convert(command: Of<'convert'>): Promise<number> {
  const { file, to, force, lock, snapshot, parameters, quiet } = command
  const format = formatForNew(to, command.toFormat)
  const source = await openDiskImage(file, { ...opening(command), ...(snapshot !== undefined && { snapshot }) })
  const { progress, done } = terminalProgress(process.stderr)
  try {
    if (!isUrl(file) && existsSync(to) && realpathSync(to) === realpathSync(file)) {
      throw machinistError({ code: 'file-exists', part: to, remedy: 'Choose another name.' }, 'it is the image to be converted')
    }
    await convertDisk(source, file, to, format, { force, ...(lock !== undefined && { lock }), parameters, ...(!quiet && { progress: (fraction: number) => { progress('Converting', fraction) } }) })
  } finally {
    done()
    await source.close()
  }
  return 0
}

async function resize(command: Of<'resize'>): Promise<number> {
  const image = await openDiskImage(command.file, { ...opening(command), writable: true })
  try {
    if (image.resize === undefined) throw machinistError({ code: 'image-unsupported', part: command.file, value: image.format, remedy: 'Convert it to another format.' }, 'images of this format cannot be resized')
    const { bytes, relative: more } = command.size
    await image.resize(more ? image.size + bytes : bytes, { shrink: command.shrink })
  } finally {
    await image.close()
  }
  return 0
}

async function check(command: Of<'check'>): Promise<number> {
  const { file, repair, json } = command
  const image = await openDiskImage(file, { ...opening(command), writable: repair !== false, maintenance: true })
  const { progress, done } = terminalProgress(process.stderr)
  try {
    const report = await checkImage(image, { name: file, repair, ...(!json && !command.quiet && { progress: (fraction: number) => { progress('Checking', fraction) } }) })
    done()
    process.stdout.write(json ? `${JSON.stringify({ file, format: image.format, ...report }, null, 2)}\n` : checkText(report))
    return report.corruptions > 0 ? CORRUPT : report.leaks > 0 ? LEAKS : 0
  } finally {
    done()
    await image.close()
  }
}
