import { microvm, type MicrovmOptions, virt, type VirtOptions } from '@machinist/boards'
import { isBzImage, isLinuxImage, parseBzImage } from '@machinist/boot'
import type { MachineBlueprint, MachineDefinition } from '@machinist/machine'
import type { RunOptions } from './arguments.ts'
import type { GuestArchitecture } from './guest/index.ts'
import { usageError } from './usage.ts'

/** What machines of the command line can be, by the names that `uname -m` has, and by those that Debian has. */
export const ARCHITECTURES = { riscv64: 'riscv64', x86_64: 'amd64', i386: 'i386' } as const

/**
 * Understands the value of `--arch`, in either way of naming.
 *
 * @throws a usage error
 */
export function parseArchitecture(value: string): GuestArchitecture {
  const found = Object.entries(ARCHITECTURES).find((names) => names.includes(value))
  if (found === undefined) throw usageError('--arch', 'there is no such choice', `Use ${Object.keys(ARCHITECTURES).join(' or ')}.`, value)
  return found[1]
}

/**
 * Refuses options that machines for an architecture have no place for.
 *
 * @throws a usage error
 */
export function checkArchitecture({ firmware, interrupts, dumpDtb, virtio, kernel, pmems, bootDisk }: Pick<RunOptions, 'firmware' | 'interrupts' | 'dumpDtb' | 'virtio' | 'kernel' | 'pmems' | 'bootDisk'>, architecture: GuestArchitecture): void {
  if (architecture === 'riscv64') return
  for (const [flag, value] of [['--firmware', firmware], ['--interrupts', interrupts], ['--dump-dtb', dumpDtb]] as const) {
    if (value !== undefined) throw usageError(flag, 'is for RISC-V', 'Leave it out, or --arch.', value)
  }
  if (virtio === 'mmio-legacy') throw usageError('--virtio', 'kernels for x86 find no virtio devices of version 1 there', 'Use pci or mmio.', virtio)
  if (kernel === 'none') throw usageError('--kernel', 'there is no firmware for x86', 'Give a kernel.', kernel)
  if (architecture === 'i386' && pmems !== undefined && kernel === undefined && bootDisk === undefined) {
    throw usageError('--pmem', "Debian's kernel for i386 has no driver of persistent memory", 'Give another kernel, or a disk.', pmems[0]?.path)
  }
}

/**
 * Refuses options that a PC with firmware has no place for.
 *
 * @throws a usage error
 */
export function checkPc({ kernel, initrd, append, interrupts, dumpDtb, virtio, exec, console, firmware, arch }: RunOptions): void {
  for (const [flag, value] of [['--kernel', kernel], ['--initrd', initrd], ['--append', append], ['--exec', exec]] as const) {
    if (value !== undefined) throw usageError(flag, 'with --board pc, firmware boots what is on the disk', 'Leave one of them out.', value)
  }
  if (arch === 'riscv64') throw usageError('--arch', 'a PC is not of this architecture', 'Leave it out.', arch)
  if (virtio !== undefined && virtio !== 'pci') throw usageError('--virtio', 'a PC has them on PCI', 'Leave it out.', virtio)
  if (console === 'hvc0') throw usageError('--console', 'a PC has a screen and a serial line', 'Use screen or ttyS0.', console)
  if (firmware === 'none') throw usageError('--firmware', 'a PC begins with firmware', 'Leave it out.', firmware)
  for (const [flag, value] of [['--interrupts', interrupts], ['--dump-dtb', dumpDtb]] as const) if (value !== undefined) throw usageError(flag, 'is for RISC-V', 'Leave it out, or --board.', value)
}

/** What a kernel is for, as it is in `/boot`; null when its file does not tell. */
export function kernelArchitecture(kernel: Uint8Array): GuestArchitecture | null {
  if (isBzImage(kernel)) return parseBzImage(kernel).has64 ? 'amd64' : 'i386'
  return isLinuxImage(kernel) ? 'riscv64' : null
}

/** The processor of a machine for i386. */
export const I386_MODEL = 'x86-32'
/** What saved machines for i386 may have: older ones have the other. */
const I386_MODELS: readonly unknown[] = [I386_MODEL, 'i686']

/** What a machine is that was described before. */
export function definedArchitecture({ cpu: { kind, config } }: Pick<MachineDefinition, 'cpu'>): GuestArchitecture {
  if (kind !== 'x86') return 'riscv64'
  return typeof config === 'object' && config !== null && 'model' in config && I386_MODELS.includes(config.model) ? 'i386' : 'amd64'
}

/** Options whose machine is known. */
export type Settled = RunOptions & Required<Pick<RunOptions, 'arch' | 'virtio'>>

/**
 * Decides what the options leave open.
 *
 * @param found - what is there already: the architecture of a disk's kernel, or of a machine that was saved
 * @throws a usage error for options that do not go with it
 */
export function settle(options: RunOptions, found: GuestArchitecture | null = null): Settled {
  const { arch = found ?? (options.board === 'pc' ? 'amd64' : 'riscv64') } = options
  // A PC of 64 bits runs what is of 32.
  if (found !== null && arch !== found && !(arch === 'amd64' && found === 'i386')) throw usageError('--arch', `the kernel of the disk is for ${found}`, 'Leave it out.', arch)
  const settled = { ...options, arch, virtio: options.virtio ?? virtioOf(arch) }
  if (options.board !== 'pc') checkArchitecture(settled, arch)
  return settled
}

/** What machines of every architecture understand, and what some do. */
export type BoardOptions = Pick<VirtOptions & MicrovmOptions, Exclude<keyof VirtOptions & keyof MicrovmOptions, 'cpu' | 'virtio'>> & Pick<VirtOptions, 'virtio' | 'firmware' | 'interrupts'>

/** Where a machine has its virtio devices, unless it is told. */
export const virtioOf = (architecture: GuestArchitecture): 'mmio' | 'pci' => architecture === 'riscv64' ? 'mmio' : 'pci'

/** The machine for an architecture. What it has no place for was refused before. */
export function board(architecture: GuestArchitecture, { virtio = virtioOf(architecture), firmware, interrupts, ...options }: BoardOptions): MachineBlueprint {
  if (architecture === 'riscv64') return virt({ ...options, virtio, ...(firmware !== undefined && { firmware }), ...(interrupts !== undefined && { interrupts }) })
  return microvm({ ...options, ...(architecture === 'i386' && { model: I386_MODEL }), virtio: virtio === 'pci' ? 'pci' : 'mmio' })
}
