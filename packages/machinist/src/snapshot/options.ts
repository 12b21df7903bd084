import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

const JSON_OUTPUT = { json: { type: 'boolean', forms: [['', 'for programs']] } } as const

/** Options of `machinist snapshot`. */
export const SNAPSHOT_OPTIONS: typeof JSON_OUTPUT & typeof COMMON_OPTIONS = { ...JSON_OUTPUT, ...COMMON_OPTIONS }

const options = [{ title: 'Options', options: COMMON_OPTIONS }]
const WHERE = 'WHERE is the folder of machinist run --snapshots, or a machine of the hypervisor whose file names one, as "snapshots": "vm".'
const RUNNING = 'A machine that runs goes on meanwhile.'

/** The actions of `machinist snapshot`, in the order of its help. */
export const SNAPSHOT_COMMANDS: readonly CommandInfo[] = [
  {
    name: 'snapshot take', summary: 'take a snapshot of a machine, its memory and its disks', usage: [['WHERE [NAME]']], groups: options, offers: 'folder',
    notes: [`${WHERE} Without NAME, the snapshot has the date and the time as its name. ${RUNNING} Of one that is off, the disks are kept.`],
    examples: ['vm before-upgrade'],
  },
  {
    name: 'snapshot list', summary: 'show the snapshots of a machine, as a tree', usage: [['WHERE [options]']], groups: [{ title: 'Options', options: SNAPSHOT_OPTIONS }], offers: 'folder', notes: [WHERE], examples: ['vm'],
  },
  {
    name: 'snapshot revert', summary: 'have a machine go back to a snapshot', usage: [['WHERE NAME']], groups: options, offers: 'folder',
    notes: [WHERE, 'The machine has to be off. When it runs next (machinist run --snapshots FOLDER, or machinist start MACHINE), it goes on from there. What it did since its last snapshot is lost.'],
    examples: ['vm before-upgrade'],
  },
  {
    name: 'snapshot delete', summary: 'delete a snapshot of a machine', usage: [['WHERE NAME']], groups: options, offers: 'folder',
    notes: [WHERE, `Snapshots that came from it stay as they are. ${RUNNING}`], examples: ['vm before-upgrade'],
  },
  {
    name: 'snapshot save', summary: 'save a machine of the hypervisor into a file', usage: [['MACHINE FILE']], groups: options, offers: 'file',
    notes: ['MACHINE is one that machinist ps shows; it goes on. machinist start MACHINE --from FILE goes on from there, and so does a machine file that says {"snapshot": "FILE"}.'], examples: ['web-1 web-1.snapshot'],
  },
]
