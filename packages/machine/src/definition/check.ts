import { machinistError } from '@machinist/api'
import { X86_PROTOCOLS, type X86Protocol } from '@machinist/boot'
import {
  type BackendDescriptor, type BootDefinition, CPU_PART, type DeviceDefinition, type ImageSource, type IrqChoice, type IrqConnection, type MachineDefinition,
  type MemoryRange, type RawImage, type SlotChoice, type TimeMode,
} from './definition.ts'

type Fields = Readonly<Record<string, unknown>>

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 }
const NUMBER = /^(?:0x([0-9a-f]+)|([0-9]+)([kmgt]?)(?:i?b)?)$/
const NAME = /^[a-z][a-z0-9_-]{0,30}$/i
/** Characters of a name. */
export const MOST_NAME = 31

function refuse(part: string, value: unknown, problem: string, remedy: string): never {
  const shown = typeof value === 'string' || typeof value === 'number' ? value : Array.isArray(value) ? 'a list' : value === null ? 'null' : typeof value
  throw machinistError({ code: 'definition', part, value: shown, remedy }, problem)
}

function fieldsOf(input: unknown, part: string, allowed: readonly string[]): Fields {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) refuse(part, input, 'is not an object', 'Give an object.')
  for (const key of Object.keys(input)) {
    if (!allowed.includes(key)) refuse(`${part}.${key}`, key, 'is not a field of a machine definition', `Use one of ${allowed.join(', ')}.`)
  }
  return input as Fields
}

/**
 * A whole number of bytes, or an address: a number, or text such as `'0x8000_0000'`, `'512M'`, `'2GiB'`.
 *
 * @throws a typed error `'definition'` that names `part`
 */
export function parseNumber(input: unknown, part: string): number {
  if (typeof input === 'number' && Number.isSafeInteger(input) && input >= 0) return input
  const match = typeof input === 'string' ? NUMBER.exec(input.replaceAll('_', '').trim().toLowerCase()) : null
  const value = match === null ? NaN : match[1] !== undefined ? parseInt(match[1], 16) : Number(match[2]) * (UNITS[match[3] ?? ''] ?? NaN)
  if (!Number.isSafeInteger(value)) refuse(part, input, 'is not a whole number', 'Give a number such as 268435456, "0x10000000" or "256M".')
  return value
}

function textOf(input: unknown, part: string): string {
  if (typeof input !== 'string') refuse(part, input, 'is not text', 'Give a string.')
  return input
}

/** Checks a name. @throws a typed error */
export function nameOf(input: unknown, part: string): string {
  const name = textOf(input, part)
  if (!NAME.test(name)) refuse(part, name, 'is not a name', 'Begin with a letter and use letters, digits, - and _ only, at most 31.')
  return name
}

function backendsOf(input: unknown, part: string): Readonly<Record<string, BackendDescriptor>> {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) refuse(part, input, 'is not an object', 'Map the names of backends to descriptors.')
  for (const [name, descriptor] of Object.entries(input)) {
    const typed = typeof descriptor === 'object' && descriptor !== null && 'type' in descriptor && typeof descriptor.type === 'string'
    if (typeof descriptor !== 'string' && !typed) {
      refuse(`${part}.${name}`, descriptor, 'does not describe a backend', 'Give a name that the host knows, or an object with a type.')
    }
  }
  return input as Readonly<Record<string, BackendDescriptor>>
}

function irqChoiceOf(input: unknown, part: string): IrqChoice {
  if (input === null) return null
  if (typeof input === 'number' || typeof input === 'string') return parseNumber(input, part)
  return Array.isArray(input) ? input.map((each: unknown, index) => connectionOf(each, `${part}[${index}]`)) : connectionOf(input, part)
}

function connectionOf(input: unknown, part: string): IrqConnection {
  const fields = fieldsOf(input, part, ['to', 'line', 'shared'])
  if (typeof fields['shared'] !== 'boolean' && fields['shared'] !== undefined) refuse(`${part}.shared`, fields['shared'], 'is not a boolean', 'Use true or false.')
  const line = fields['line']
  return {
    ...(fields['to'] === undefined ? {} : { to: nameOf(fields['to'], `${part}.to`) }),
    line: typeof line === 'string' && !/^[0-9]/.test(line) ? line : parseNumber(line, `${part}.line`),
    ...(fields['shared'] === undefined ? {} : { shared: fields['shared'] }),
  }
}

function slotOf(input: unknown, part: string): SlotChoice {
  if (typeof input === 'number' || typeof input === 'string') return parseNumber(input, part)
  const fields = fieldsOf(input, part, ['on', 'device', 'function'])
  if (fields['function'] !== undefined && fields['device'] === undefined) refuse(`${part}.function`, 'no device', 'is that of no device', 'Give device as well.')
  return {
    ...(fields['on'] === undefined ? {} : { on: nameOf(fields['on'], `${part}.on`) }),
    ...(fields['device'] === undefined ? {} : { device: parseNumber(fields['device'], `${part}.device`) }),
    ...(fields['function'] === undefined ? {} : { function: parseNumber(fields['function'], `${part}.function`) }),
  }
}

function deviceOf(input: unknown, part: string): DeviceDefinition {
  const fields = fieldsOf(input, part, ['kind', 'config', 'at', 'slot', 'irq', 'backends'])
  const { at, irq } = fields
  const single = irq === null || typeof irq !== 'object' || Array.isArray(irq) || 'line' in irq
  return {
    kind: textOf(fields['kind'], `${part}.kind`),
    ...(fields['config'] === undefined ? {} : { config: fields['config'] }),
    ...(at === undefined ? {} : { at: Array.isArray(at) ? at.map((base, index) => parseNumber(base, `${part}.at[${index}]`)) : parseNumber(at, `${part}.at`) }),
    ...(fields['slot'] === undefined ? {} : { slot: slotOf(fields['slot'], `${part}.slot`) }),
    ...(irq === undefined ? {} : {
      irq: single ? irqChoiceOf(irq, `${part}.irq`)
        : Object.fromEntries(Object.entries(irq).map(([name, choice]) => [name, irqChoiceOf(choice, `${part}.irq.${name}`)])),
    }),
    ...(fields['backends'] === undefined ? {} : { backends: backendsOf(fields['backends'], `${part}.backends`) }),
  }
}

function memoryOf(input: unknown): readonly MemoryRange[] {
  const list: readonly unknown[] = Array.isArray(input) ? input : [input]
  if (list.length === 0) refuse('memory', input, 'the machine has no RAM', 'Give at least one range.')
  const ranges = list.map((each, index) => {
    const part = list.length === 1 ? 'memory' : `memory[${index}]`
    const fields = fieldsOf(each, part, ['name', 'base', 'size', 'firmware'])
    return {
      name: fields['name'] === undefined ? (list.length === 1 ? 'ram' : `ram${index}`) : nameOf(fields['name'], `${part}.name`),
      base: parseNumber(fields['base'], `${part}.base`),
      size: parseNumber(fields['size'], `${part}.size`),
      ...(fields['firmware'] === true && { firmware: true }),
    }
  })
  for (const { name, base, size } of ranges) {
    if (base % 4096 !== 0) refuse(`memory.${name}`, base, 'does not begin at a page', 'Use a multiple of 4096.')
    if (size <= 0 || size % 4096 !== 0) refuse(`memory.${name}`, size, 'is not a number of pages', 'Use a positive multiple of 4096 bytes.')
  }
  return ranges
}

function imageOf(input: unknown, part: string): ImageSource {
  if (input instanceof Uint8Array) return input
  const fields = fieldsOf(typeof input === 'string' ? { file: input } : input, part, ['file'])
  return { file: textOf(fields['file'], `${part}.file`) }
}

/** Names of files that firmware asks for: those that the directory of QEMU's device has room for (docs/specs/fw_cfg.rst), each once. */
function fileName(input: unknown, part: string, before: readonly { readonly name: string }[]): string {
  const name = textOf(input, part)
  if (!/^[\x21-\x7e]{1,55}$/.test(name)) return refuse(part, name.slice(0, 80), 'is not the name of a file for firmware', 'Use 1 to 55 printable characters of ASCII.')
  return before.some((each) => each.name === name) ? refuse(part, name, 'is the name of two files', 'Give each a name of its own.') : name
}

function filesOf(input: unknown, part: string): { readonly name: string; readonly bytes: ImageSource }[] {
  if (!Array.isArray(input)) return refuse(part, input, 'is not a list', 'Give a list of files.')
  const files: { readonly name: string; readonly bytes: ImageSource }[] = []
  for (const [index, each] of input.entries()) {
    const fields = fieldsOf(each, `${part}[${index}]`, ['name', 'bytes'])
    files.push({ name: fileName(fields['name'], `${part}[${index}].name`, files), bytes: imageOf(fields['bytes'], `${part}[${index}].bytes`) })
  }
  return files
}

function startOf(input: unknown, part: string): X86Protocol {
  return X86_PROTOCOLS.find((each) => each === input) ?? refuse(part, input, 'is not a way to start a kernel', `Use one of ${X86_PROTOCOLS.join(', ')}.`)
}

function bootOf(input: unknown): BootDefinition {
  const protocol = typeof input === 'object' && input !== null && 'protocol' in input ? input.protocol : undefined
  const optional = <T>(value: unknown, name: string, read: (value: unknown, part: string) => T): Record<string, T> =>
    value === undefined ? {} : { [name]: read(value, `boot.${name}`) }
  if (protocol === 'riscv') {
    const fields = fieldsOf(input, 'boot', ['protocol', 'kernel', 'initrd', 'firmware', 'append', 'console'])
    return {
      protocol,
      ...optional(fields['kernel'], 'kernel', imageOf),
      ...optional(fields['initrd'], 'initrd', imageOf),
      ...optional(fields['firmware'], 'firmware', imageOf),
      ...optional(fields['append'], 'append', textOf),
      ...optional(fields['console'], 'console', nameOf),
    }
  }
  if (protocol === 'x86') {
    const fields = fieldsOf(input, 'boot', ['protocol', 'firmware', 'files', 'kernel', 'initrd', 'append', 'start'])
    return {
      protocol,
      ...optional(fields['firmware'], 'firmware', imageOf),
      ...optional(fields['files'], 'files', filesOf),
      ...optional(fields['kernel'], 'kernel', imageOf),
      ...optional(fields['initrd'], 'initrd', imageOf),
      ...optional(fields['append'], 'append', textOf),
      ...optional(fields['start'], 'start', startOf),
    }
  }
  if (protocol !== 'raw') refuse('boot.protocol', protocol, 'is not a way to boot', "Use 'riscv', 'x86' or 'raw'.")
  const fields = fieldsOf(input, 'boot', ['protocol', 'images', 'entry', 'fdt', 'console'])
  const images: unknown = fields['images'] ?? []
  if (!Array.isArray(images)) refuse('boot.images', images, 'is not a list', 'Give a list of images.')
  return {
    protocol,
    images: images.map((each: unknown, index): RawImage => {
      const part = `boot.images[${index}]`
      const image = fieldsOf(each, part, ['name', 'at', 'bytes'])
      return { name: textOf(image['name'] ?? `image${index}`, `${part}.name`), at: parseNumber(image['at'], `${part}.at`), bytes: imageOf(image['bytes'], `${part}.bytes`) }
    }),
    entry: parseNumber(fields['entry'], 'boot.entry'),
    ...optional(fields['fdt'], 'fdt', parseNumber),
    ...optional(fields['console'], 'console', nameOf),
  }
}

function timeOf(input: unknown): TimeMode {
  if (input === undefined || input === 'real') return 'real'
  const fields = fieldsOf(input, 'time', ['instructionsPerSecond'])
  const instructionsPerSecond = parseNumber(fields['instructionsPerSecond'], 'time.instructionsPerSecond')
  if (instructionsPerSecond < 1000 || instructionsPerSecond > 1e12) {
    refuse('time.instructionsPerSecond', instructionsPerSecond, 'is out of range', 'Use 1000 to 10^12, for example 100000000.')
  }
  return { instructionsPerSecond }
}

function sourceOf<Name extends string>(input: unknown, part: string, field: Name): 'host' | Readonly<Record<Name, number>> {
  if (input === 'host') return input
  return { [field]: parseNumber(fieldsOf(input, part, [field])[field], `${part}.${field}`) } as Record<Name, number>
}

/**
 * Checks a definition from anywhere (a file, a message) and brings it to its one form: numbers as numbers, a list of
 * memory ranges, defaults left out. Configurations of parts are left to their specs.
 *
 * @throws a typed error `'definition'` that names the field, the value and the remedy
 */
export function parseDefinition(input: unknown): MachineDefinition {
  const fields = fieldsOf(input, 'machine', [
    'version', 'name', 'memory', 'cpu', 'devices', 'time', 'timeFrequency', 'interruptController', 'window', 'randomness', 'wallClock', 'boot',
  ])
  if (fields['version'] !== undefined && fields['version'] !== 1) refuse('machine.version', fields['version'], 'is not a known version', 'Use 1.')
  const cpu = fieldsOf(fields['cpu'], CPU_PART, ['kind', 'config', 'backends'])
  const devices = fields['devices'] ?? {}
  if (typeof devices !== 'object' || Array.isArray(devices)) refuse('devices', devices, 'is not an object', 'Map names to devices.')
  const parsed: Record<string, DeviceDefinition> = {}
  for (const [name, device] of Object.entries(devices)) {
    nameOf(name, `devices.${name}`)
    if (name === CPU_PART || name === 'machine') refuse(`devices.${name}`, name, 'is the name of another part', 'Choose another name.')
    parsed[name] = deviceOf(device, name)
  }
  const window = fields['window'] === undefined ? null : fieldsOf(fields['window'], 'window', ['base', 'size'])
  return {
    version: 1,
    name: fields['name'] === undefined ? 'machine' : nameOf(fields['name'], 'machine.name'),
    memory: memoryOf(fields['memory']),
    cpu: {
      kind: textOf(cpu['kind'], 'cpu.kind'),
      ...(cpu['config'] === undefined ? {} : { config: cpu['config'] }),
      ...(cpu['backends'] === undefined ? {} : { backends: backendsOf(cpu['backends'], 'cpu.backends') }),
    },
    devices: parsed,
    time: timeOf(fields['time']),
    ...(fields['timeFrequency'] === undefined ? {} : { timeFrequency: parseNumber(fields['timeFrequency'], 'timeFrequency') }),
    ...(fields['interruptController'] === undefined ? {} : { interruptController: nameOf(fields['interruptController'], 'interruptController') }),
    ...(window === null ? {} : { window: { base: parseNumber(window['base'], 'window.base'), size: parseNumber(window['size'], 'window.size') } }),
    ...(fields['randomness'] === undefined ? {} : { randomness: sourceOf(fields['randomness'], 'randomness', 'seed') }),
    ...(fields['wallClock'] === undefined ? {} : { wallClock: sourceOf(fields['wallClock'], 'wallClock', 'start') }),
    ...(fields['boot'] === undefined ? {} : { boot: bootOf(fields['boot']) }),
  }
}
