import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

const JSON_OUTPUT = { json: { type: 'boolean', forms: [['', 'for programs']] } } as const
const QUOTA = { quota: { type: 'string', forms: [['SIZE', 'the most that its disks may take together: 20G. What the file system has unless given.']] } } as const
const RESIZE = { shrink: { type: 'boolean', forms: [['', 'may make the disk smaller: what lies behind its new end is lost']] } } as const

/** Options of all actions of `machinist datastore` together. */
export const DATASTORE_OPTIONS: typeof JSON_OUTPUT & typeof QUOTA & typeof RESIZE & typeof COMMON_OPTIONS = { ...JSON_OUTPUT, ...QUOTA, ...RESIZE, ...COMMON_OPTIONS }

const plain: CommandInfo['groups'] = [{ title: 'Options', options: COMMON_OPTIONS }]
const SIZES = 'Sizes are bytes, or have a unit: 512M, 20G.'

/** The actions of `machinist datastore`, in the order of its help. */
export const DATASTORE_COMMANDS: readonly CommandInfo[] = [
  {
    name: 'datastore create', summary: 'make a datastore: thin disks within a quota', usage: [['FOLDER [options]']],
    groups: [{ title: 'Options', options: { ...QUOTA, ...COMMON_OPTIONS } }], offers: 'folder', examples: ['vms --quota 20G'],
  },
  {
    name: 'datastore list', summary: 'show the disks of a datastore, and what they take', usage: [['FOLDER [options]']],
    groups: [{ title: 'Options', options: { ...JSON_OUTPUT, ...COMMON_OPTIONS } }], offers: 'folder', examples: ['vms'],
  },
  {
    name: 'datastore add', summary: 'make a thin disk on a datastore', usage: [['FOLDER NAME SIZE']], groups: plain, offers: 'folder',
    notes: [`${SIZES} A disk may be larger than the quota.`], examples: ['vms debian 100G'],
  },
  {
    name: 'datastore clone', summary: 'make a linked clone of a disk of a datastore', usage: [['FOLDER DISK NAME']], groups: plain, offers: 'folder',
    notes: ['A clone reads what the disk has, and takes what is written to it. While there are clones of it, a disk is only read, and cannot be deleted.'], examples: ['vms debian test'],
  },
  {
    name: 'datastore resize', summary: 'make a disk of a datastore larger, or with --shrink smaller', usage: [['FOLDER NAME SIZE [options]']],
    groups: [{ title: 'Options', options: { ...RESIZE, ...COMMON_OPTIONS } }], offers: 'folder', notes: [SIZES], examples: ['vms test 200G'],
  },
  {
    name: 'datastore delete', summary: 'delete a disk of a datastore', usage: [['FOLDER NAME']], groups: plain, offers: 'folder', examples: ['vms test'],
  },
  {
    name: 'datastore quota', summary: 'change the quota of a datastore', usage: [['FOLDER SIZE|none']], groups: plain, offers: 'folder', examples: ['vms 40G'],
  },
]
