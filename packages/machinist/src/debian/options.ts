import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

/** Options of `machinist debian build`, besides those of every command. */
export const DEBIAN_OPTIONS = {
  'arch': { type: 'string', offers: ['riscv64', 'amd64', 'i386'], forms: [['riscv64|amd64|i386', 'what the system is for; riscv64 by default. For i386 it is Debian 12, the last with kernels for that.']] },
  'output': { type: 'string', offers: 'file', forms: [['PATH', 'the disk to write, in the format that its name ends with, such as .qcow2 or .img (raw); debian.qcow2 by default']] },
  'size': { type: 'string', forms: [['SIZE', 'of the disk; 4G by default. The file takes what is in it.']] },
  'packages': { type: 'string', multiple: true, forms: [['A,B', 'packages besides the usual ones']] },
  'hostname': { type: 'string', forms: [['NAME', 'debian by default']] },
  'root-password': { type: 'string', forms: [['TEXT', "root's password; without one, root needs none at the console"]] },
  'ssh-key': { type: 'string', multiple: true, offers: 'file', forms: [['PATH', 'public keys that may log in as root. A key itself will do. Repeat for more.']] },
  'fresh': { type: 'boolean', forms: [['', 'install anew, with what the mirror has now']] },
  'quiet': { type: 'boolean', forms: [['', 'no progress']] },
} as const

export const DEBIAN_COMMAND: CommandInfo = {
  name: 'debian build',
  summary: 'make a disk with Debian 13, with systemd and ssh',
  usage: [['[options]']],
  groups: [{ title: 'Options', options: { ...DEBIAN_OPTIONS, ...COMMON_OPTIONS } }],
  notes: ["The disk is installed once from the mirror that this system's apt uses, and cached. machinist debian.qcow2 boots it."],
  examples: ['--packages git --ssh-key ~/.ssh/id_ed25519.pub'],
}
