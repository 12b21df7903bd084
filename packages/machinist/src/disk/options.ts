import { diskFormats } from '@machinist/storage'
import { COMMON_OPTIONS, type CommandInfo, type Option, type OptionTable } from '../command-line/table.ts'

const FORMAT = {
  format: {
    type: 'string',
    forms: [['FORMAT', "raw, qcow2 or another, of the image FILE or TO. Otherwise a new image has the format of its name's extension, else raw, and an old one what its signature shows."]],
  },
} as const
const FILES = {
  files: {
    type: 'string', offers: ['inside', 'any', 'none'],
    forms: [['WHICH', 'the files that an image may name: inside (its folder and below; the default), any, or none']],
  },
} as const
const LOCK = {
  lock: {
    type: 'string', offers: ['off', 'on', 'auto'],
    forms: [['off', 'do not mind that another program has the image open; on: only where it can be locked. Otherwise, it is locked where the system can, as QEMU does']],
  },
} as const
const JSON_OUTPUT = { json: { type: 'boolean', forms: [['', 'for programs']] } } as const
const QUIET = { quiet: { type: 'boolean', forms: [['', 'no progress']] } } as const
const NEW_IMAGE = {
  set: { type: 'string', multiple: true, forms: [['NAME=VALUE', 'a parameter of the new image, such as cluster_size=2M. Repeat for more.']] },
  force: { type: 'boolean', forms: [['', 'write over a file that exists']] },
} as const
const CREATE = {
  backing: { type: 'string', offers: 'file', forms: [['BASE', 'the image below: the new one holds what differs from it']] },
  'backing-format': { type: 'string', forms: [['FORMAT', 'the format of BASE']] },
} as const
const CONVERT = {
  from: { type: 'string', forms: [['FORMAT', 'the format of FROM']] },
  snapshot: { type: 'string', forms: [['NAME', 'convert an internal snapshot of FROM']] },
} as const
const RESIZE = { shrink: { type: 'boolean', forms: [['', 'may make the disk smaller: what lies behind its new end is lost']] } } as const
const CHECK = {
  repair: { type: 'string', offers: ['leaks', 'all'], forms: [['leaks|all', 'mend space that nothing uses, or damage too']] },
} as const

/** Options of all actions of `machinist disk` together. */
export const DISK_OPTIONS: typeof FORMAT & typeof FILES & typeof LOCK & typeof JSON_OUTPUT & typeof QUIET & typeof NEW_IMAGE & typeof CREATE & typeof CONVERT & typeof RESIZE & typeof CHECK & typeof COMMON_OPTIONS =
  { ...FORMAT, ...FILES, ...LOCK, ...JSON_OUTPUT, ...QUIET, ...NEW_IMAGE, ...CREATE, ...CONVERT, ...RESIZE, ...CHECK, ...COMMON_OPTIONS }

const FORMAT_NAMES: readonly string[] = diskFormats.map(({ name }) => name)

/** The options of an action; where a format is to be named, a shell offers those that there are. */
function options(table: OptionTable): CommandInfo['groups'] {
  const entries = Object.entries<Option>({ ...table, ...COMMON_OPTIONS })
  return [{ title: 'Options', options: Object.fromEntries(entries.map(([name, option]) => [name, option.forms[0]?.[0] === 'FORMAT' ? { ...option, offers: FORMAT_NAMES } : option])) }]
}

const SIZES = 'Sizes are bytes, or have a unit: 512M, 20G.'
const URLS = 'A file that is only read may be given as an http: or https: URL.'

/** The actions of `machinist disk`, in the order of its help. */
export const DISK_COMMANDS: readonly CommandInfo[] = [
  {
    name: 'disk info', summary: 'tell what a disk image is', usage: [['FILE [options]']],
    groups: options({ ...FORMAT, ...FILES, ...LOCK, ...JSON_OUTPUT }), offers: 'file', notes: [URLS], examples: ['debian.qcow2'],
  },
  {
    name: 'disk create', summary: 'make a disk image',
    usage: [['FILE SIZE [options]', 'one that reads as zeroes'], ['FILE [SIZE] --backing BASE [options]', 'one that holds what differs from BASE']],
    groups: options({ ...FORMAT, ...CREATE, ...NEW_IMAGE, ...FILES, ...LOCK }), offers: 'file', notes: [SIZES], examples: ['data.qcow2 20G', 'test.qcow2 --backing debian.qcow2'],
  },
  {
    name: 'disk convert', summary: 'write the content of a disk image, with all below it, as another image', usage: [['FROM TO [options]']],
    groups: options({ ...FORMAT, ...CONVERT, ...NEW_IMAGE, ...FILES, ...LOCK, ...QUIET }), offers: 'file', notes: [URLS], examples: ['debian.qcow2 debian.img'],
  },
  {
    name: 'disk resize', summary: 'make a disk larger, or with --shrink smaller', usage: [['FILE SIZE|+SIZE|-SIZE [options]']],
    groups: options({ ...FORMAT, ...RESIZE, ...FILES, ...LOCK }), offers: 'file', notes: [SIZES], examples: ['debian.qcow2 +4G'],
  },
  {
    name: 'disk check', summary: 'look for damage in a disk image, and for space that nothing uses', usage: [['FILE [options]']],
    groups: options({ ...FORMAT, ...CHECK, ...FILES, ...LOCK, ...JSON_OUTPUT, ...QUIET }), offers: 'file',
    notes: ['Its exit status is 3 when space leaks and 4 when there is damage; with --repair, when that is left.'], examples: ['debian.qcow2 --repair leaks'],
  },
]
