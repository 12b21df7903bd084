import { type BootEntry, type EntropyPort, type FirmwareInfo, machinistError, type X86Start } from '@machinist/api'
import { type BootSegment, planFirmware, planRiscvBoot, planX86Boot } from '@machinist/boot'
import type { BootDefinition, ImageSource } from '../definition/definition.ts'
import type { MachineHost } from '../assembly/host.ts'
import type { ResolvedMachine } from '../resolving/resolve.ts'
import { firmwareFiles, firmwareTables } from './firmware-tables.ts'
import { buildTree } from './tree.ts'

/** What to put where, and where to begin. */
export interface BootPlacement {
  readonly segments: readonly Pick<BootSegment, 'part' | 'address' | 'bytes'>[]
  readonly entry: BootEntry
  /** What firmware is told, if it begins with some. */
  readonly firmware?: FirmwareInfo
}

/** Linux credits 256 bits from `rng-seed`; twice that leaves room for conditioning. */
const SEED_BYTES = 64

/** Where processors of x86 begin after a reset (SDM volume 3, 10.1.4). */
const RESET: BootEntry = { pc: 0xffff_fff0, args: [], start: { kind: 'reset' } satisfies X86Start }

/** What starting a machine needs of its host. */
export interface BootHost extends Pick<MachineHost, 'inflate'> {
  /** Has the images that a definition names, when they are needed. */
  image?(file: string): Uint8Array
}

function bytesOf(source: ImageSource, part: string, host: BootHost): Uint8Array {
  if (source instanceof Uint8Array) return source
  if (host.image !== undefined) return host.image(source.file)
  throw machinistError({ code: 'image-not-loaded', part, value: source.file, remedy: 'Read the files of a definition before making the machine.' }, 'the file has not been read')
}

/** The device that a device tree calls the console; others are told by the command line. */
function consoleOf(boot: BootDefinition): string | undefined {
  return boot.protocol === 'x86' ? undefined : boot.console
}

/**
 * Plans one start of a machine: loads images, makes the device tree with a new seed, or none without `entropy`. Called for each power-on and
 * reset.
 */
export function planBoot(machine: ResolvedMachine, entropy: EntropyPort | null, host: BootHost): BootPlacement {
  const boot: BootDefinition = machine.definition.boot ?? { protocol: 'raw', images: [], entry: machine.memory[0]?.base ?? 0 }
  const rngSeed = entropy === null ? undefined : new Uint8Array(SEED_BYTES)
  if (rngSeed !== undefined) entropy?.fill(rngSeed)
  const ram = machine.memory[0]
  if (ram === undefined) throw machinistError({ code: 'definition', part: 'memory', remedy: 'Give at least one range.' }, 'the machine has no RAM')
  const console = consoleOf(boot)
  if (console !== undefined && !machine.devices.some((device) => device.name === console)) {
    throw machinistError({ code: 'unknown-part', part: 'boot.console', value: console, remedy: `Use one of ${machine.devices.map(({ name }) => name).join(', ')}.` }, 'no such device')
  }
  if (boot.protocol === 'riscv') {
    const { kernel, initrd, firmware } = boot
    return planRiscvBoot({
      memory: ram,
      kernel: kernel && bytesOf(kernel, 'kernel', host),
      initrd: initrd && bytesOf(initrd, 'initrd', host),
      firmware: firmware && bytesOf(firmware, 'firmware', host),
      inflate: host.inflate?.bind(host),
      dtb: (placed) => buildTree(machine, { bootargs: boot.append, initrd: placed.initrd, rngSeed, console }),
    })
  }
  if (boot.protocol === 'x86') {
    const { kernel, initrd, append, start, firmware, files = [] } = boot
    if (firmware !== undefined) {
      if (kernel !== undefined) throw machinistError({ code: 'boot-protocol', part: 'firmware', remedy: 'Give either.' }, 'firmware and a kernel cannot both be first')
      const own = firmwareFiles(machine)
      return {
        segments: planFirmware(bytesOf(firmware, 'firmware', host)),
        entry: RESET,
        firmware: {
          memory: machine.memory.filter((range) => range.firmware !== true),
          reserved: own.reserved,
          harts: machine.cpu.spec.harts(machine.cpu.config),
          files: [...own.files, ...files.map(({ name, bytes }) => ({ name, bytes: bytesOf(bytes, name, host) }))],
        },
      }
    }
    if (kernel === undefined) return { segments: [], entry: RESET }
    return planX86Boot({
      memory: machine.memory,
      kernel: bytesOf(kernel, 'kernel', host),
      initrd: initrd && bytesOf(initrd, 'initrd', host),
      append, protocol: start, rngSeed, inflate: host.inflate?.bind(host), ...firmwareTables(machine),
    })
  }
  const segments = boot.images.map(({ name, at, bytes }) => ({ part: name, address: at, bytes: bytesOf(bytes, name, host) }))
  if (boot.fdt !== undefined) segments.push({ part: 'dtb', address: boot.fdt, bytes: buildTree(machine, { rngSeed, console }) })
  for (const [index, a] of segments.entries()) {
    const inside = machine.memory.some(({ base, size }) => a.address >= base && a.address + a.bytes.length <= base + size)
    if (!inside) throw machinistError({ code: 'boot-outside', part: a.part, value: `0x${a.address.toString(16)}`, remedy: 'Put it into RAM.' }, 'it does not lie in RAM')
    const b = segments.slice(0, index).find((other) => a.address < other.address + other.bytes.length && other.address < a.address + a.bytes.length)
    if (b) throw machinistError({ code: 'boot-overlap', part: a.part, value: `0x${a.address.toString(16)}`, remedy: `Move ${a.part} or ${b.part}.` }, `it overlaps ${b.part}`)
  }
  return { segments, entry: { pc: boot.entry, args: boot.fdt === undefined ? ['hartid'] : ['hartid', boot.fdt] } }
}

/**
 * The device tree with which a machine starts, as a blob (`fdtText` of `@machinist/boot` makes source of it): with the command line and the place of
 * the initial file system, but without the random seed that each start has of its own.
 *
 * @param machine - `machine.resolved`, or what `resolve` gives; the files that its definition names have been read
 * @param host - unpacks a kernel that is compressed
 * @throws typed errors, as the start of the machine: `'image-…'`, `'boot-…'`, `'linux-image'`
 */
export function deviceTree(machine: ResolvedMachine, host: Pick<MachineHost, 'inflate'> = {}): Uint8Array {
  const { boot } = machine.definition
  // A machine that starts without one has one all the same.
  return planBoot(machine, null, host).segments.find(({ part }) => part === 'dtb')?.bytes ?? buildTree(machine, { console: boot && consoleOf(boot) })
}
