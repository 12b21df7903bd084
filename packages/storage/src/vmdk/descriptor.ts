/**
 * The descriptor of a VMDK image ("Virtual Disk Format 5.0", "The Descriptor File"): text, in a file of its own or within a sparse extent.
 */
import { imageDamaged, imageUnsupported } from '../format.ts'

/** The most text that is believed. */
export const mostText: number = 1 << 20
export const mostExtents = 8192
/** The CID that says that there is no parent. */
export const noParent = 'ffffffff'

/** Types of extents; ESX calls its own flat and sparse ones `VMFS…`. */
const extentTypes = ['FLAT', 'SPARSE', 'ZERO', 'VMFS', 'VMFSSPARSE', 'SESPARSE'] as const

/** A part of the disk. */
export interface ExtentLine {
  readonly access: 'RW' | 'RDONLY'
  readonly sectors: number
  readonly type: typeof extentTypes[number]
  /** Empty for `'ZERO'`. */
  readonly file: string
  /** Where in the file it begins, in sectors. */
  readonly offset: number
}

export interface Descriptor {
  readonly text: string
  /** Changes with every change of the content: a number of at most eight hexadecimal digits. */
  readonly cid: string
  /** Where in the text its digits begin. */
  readonly cidAt: number
  readonly parentCid: string
  readonly parentName: string | null
  readonly createType: string
  readonly extents: readonly ExtentLine[]
}

/**
 * Whether it looks like the text of a descriptor: in a comment at its beginning it says so, or the first that it says is its version, as QEMU looks at it. What
 * that comment is differs from program to program.
 */
export function isDescriptor(text: string): boolean {
  // Perhaps behind a byte order mark.
  for (const line of text.replace(/^\xef\xbb\xbf/, '').split(/[\r\n]+/)) {
    const said = line.trim()
    if (/^#\s*disk\s*descriptor\s*file/i.test(said)) return true
    if (said !== '' && !said.startsWith('#')) return /^version\s*=\s*"?[1-4]"?$/i.test(said)
  }
  return false
}

export function parseDescriptor(text: string, name: string): Descriptor {
  const zero = text.indexOf('\0')
  if (zero >= 0) text = text.slice(0, zero)
  const value = (key: string): string | null => new RegExp(`^[ \\t]*${key}[ \\t]*=[ \\t]*"?([^"\\r\\n]*)"?`, 'im').exec(text)?.[1]?.trim() ?? null
  const cid = /^[ \t]*CID[ \t]*=[ \t]*([0-9a-f]{1,8})\b/im.exec(text)
  const createType = value('createType')
  if (cid?.[1] === undefined || createType === null) throw imageDamaged(name, 'vmdk', 'its descriptor lacks a CID or a type')
  const extents: ExtentLine[] = []
  for (const line of text.split(/\r?\n/)) {
    const match = /^[ \t]*(RW|RDONLY|NOACCESS)[ \t]+(\d{1,15})[ \t]+([A-Z]+)(?:[ \t]+"([^"]*)"(?:[ \t]+(\d{1,15}))?)?/.exec(line)
    if (match === null) continue
    const [, access, sectors, type, file = '', offset = '0'] = match
    if (access === 'NOACCESS') throw imageUnsupported(name, 'vmdk', 'an extent without access')
    const known = extentTypes.find((each) => each === type)
    if (known === undefined) throw imageUnsupported(name, 'vmdk', `an extent of type ${String(type)}`)
    if (Number(sectors) === 0) throw imageDamaged(name, 'vmdk', 'an extent is empty')
    extents.push({ access: access === 'RW' ? 'RW' : 'RDONLY', sectors: Number(sectors), type: known, file, offset: Number(offset) })
    if (extents.length > mostExtents) throw imageDamaged(name, 'vmdk', 'it has too many extents', extents.length)
  }
  const total = extents.reduce((sum, { sectors }) => sum + sectors, 0) * 512
  if (extents.length === 0 || !Number.isSafeInteger(total)) throw imageDamaged(name, 'vmdk', 'its extents make no disk', total)
  return {
    text, cid: cid[1].toLowerCase(), cidAt: cid.index + cid[0].length - cid[1].length, createType, extents,
    parentCid: (value('parentCID') ?? noParent).toLowerCase().padStart(8, '0'), parentName: value('parentFileNameHint'),
  }
}

/** Another CID, of as many digits: not one of those that mean something. */
export function nextCid(cid: string): string {
  const next = (Math.imul(parseInt(cid, 16), 1664525) + 1013904223) >>> 0
  return (next >= 0xfffffffe ? 1 : next).toString(16).padStart(8, '0').slice(8 - cid.length)
}

/** The text of a new image's descriptor. */
export function encodeDescriptor(createType: string, extents: readonly ExtentLine[], cid: string): string {
  const sectors = extents.reduce((sum, extent) => sum + extent.sectors, 0)
  return [
    '# Disk DescriptorFile', 'version=1', `CID=${cid}`, `parentCID=${noParent}`, `createType="${createType}"`, '',
    '# Extent description',
    ...extents.map(({ access, sectors: count, type, file, offset }) => `${access} ${String(count)} ${type} "${file}"${type === 'FLAT' ? ` ${String(offset)}` : ''}`),
    '', '# The Disk Data Base', '#DDB', '',
    'ddb.virtualHWVersion = "4"',
    `ddb.geometry.cylinders = "${String(Math.min(16383, Math.ceil(sectors / 1008)))}"`,
    'ddb.geometry.heads = "16"', 'ddb.geometry.sectors = "63"', 'ddb.adapterType = "ide"', '',
  ].join('\n')
}

/** The text with another size of its only extent. */
export function withSize(text: string, sectors: number): string {
  return text.replace(/^([ \t]*(?:RW|RDONLY)[ \t]+)\d+/m, `$1${String(sectors)}`)
}
