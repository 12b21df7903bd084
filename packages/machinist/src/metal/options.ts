import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

/** Options of `machinist metal build`, besides those of every command. */
export const METAL_OPTIONS = {
  output: { type: 'string', short: 'o', offers: 'file', forms: [['IMAGE', 'the image to write; beside it the same with symbols for a debugger, as IMAGE.elf']] },
  datastore: { type: 'string', offers: 'file', forms: [['DISK', 'makes a disk for the hardware, with the disks of the machines as its images; a new file']] },
  arch: { type: 'string', offers: ['riscv64'], forms: [['ARCH', 'the architecture of the hardware: riscv64, which is the default']] },
  quiet: { type: 'boolean', forms: [['', 'no progress']] },
} as const

export const METAL_COMMAND: CommandInfo = {
  name: 'metal build',
  summary: 'make an image that runs the machines of a file on bare metal',
  usage: [['FILE -o IMAGE [options]']],
  groups: [{ title: 'Options', options: { ...METAL_OPTIONS, ...COMMON_OPTIONS } }],
  offers: 'file',
  notes: [
    'FILE is a machine file, or names several machines, as for machinist up. OpenSBI starts the image in HS-mode, on hardware with the H extension; kernels and initial file systems are in it. Shared folders and sockets are not there yet. Networks are those that the file names: nat goes out by the first network of the hardware, and with switch=NAME machines are in one network; tap=NAME is a station of its own on that of the hardware.',
    'Disks of the machines are images on a disk of the hardware, which --datastore makes of the files that FILE names, whatever their format. An image is named as its file is, without the folder.',
    'What compiles the image is installed from Debian when root asks; the engine for JavaScript is fetched once, by this system\'s apt, and cached.',
  ],
  examples: ['fleet.json -o fleet.img', 'fleet.json -o fleet.img --datastore disks.img'],
}
