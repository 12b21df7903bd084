import type { VcpuDebug } from '@machinist/api'
import type { Machine } from '@machinist/machine'
import type { DebugMemory } from './memory.ts'
import { programCounter } from './program-counter.ts'
import { parseHex, parseSmallHex, toHex } from './text.ts'

/** What commands of the user see of the session. */
export interface MonitorView {
  readonly machine: Machine
  readonly harts: readonly VcpuDebug[]
  readonly memory: DebugMemory
  /** The hart that the user looks at. */
  readonly hart: VcpuDebug
}

/** What a command does: it answers, or asks for something that takes time or ends the machine. */
export type MonitorResult = { readonly text: string } | { readonly then: 'reset' | 'power-off' }

interface MonitorCommand {
  readonly usage: string
  readonly help: string
  run(view: MonitorView, words: readonly string[]): MonitorResult
}

const MOST_SHOWN = 4096
const LINE = 16

const hex = (value: bigint | number): string => `0x${value.toString(16)}`
const say = (text: string): MonitorResult => ({ text: `${text}\n` })
const address = (word: string): bigint | null => parseHex(word.replace(/^0x/, ''))

function dump(from: bigint, bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += LINE) lines.push(`${hex(from + BigInt(at))}: ${toHex(bytes.subarray(at, at + LINE)).replace(/(..)(?=.)/g, '$1 ')}`)
  return lines.join('\n')
}

const information: Readonly<Record<string, (view: MonitorView) => string>> = {
  devices: ({ machine }) => machine.resolved.devices.map(({ name, spec, regions }) =>
    `${name} (${spec.kind})${regions.map(({ base, size }) => ` ${hex(base)}+${hex(size)}`).join('')}`).join('\n'),
  harts: ({ machine, harts }) => harts.map((hart, index) =>
    `hart ${index}: pc ${hex(hart.readRegister(programCounter(hart)) ?? 0n)}, ${machine.vcpus[index]?.sample?.(1).mode ?? 'unknown'} mode, ${machine.vcpus[index]?.runnable === true ? 'runs' : 'waits or is stopped'}`).join('\n'),
  memory: ({ machine }) => machine.memory.regions.map(({ name, base, size }) => `${name} ${hex(base)}+${hex(size)}`).join('\n'),
  registers: ({ hart }) => hart.registers.map(({ name, number }) => `${name.padEnd(12)} ${hex(hart.readRegister(number) ?? 0n)}`).join('\n'),
  stats: ({ machine }) => Object.entries({ ...machine.stats, ...machine.stats.cpu }).filter(([, value]) => typeof value === 'number').map(([name, value]) => `${name} ${String(value)}`).join('\n'),
}

const commands: Readonly<Record<string, MonitorCommand>> = {
  help: {
    usage: 'help', help: 'this list',
    run: () => say(Object.values(commands).map(({ usage, help }) => `${usage.padEnd(28)}${help}`).join('\n')),
  },
  info: {
    usage: 'info WHAT', help: `one of ${Object.keys(information).join(', ')}`,
    run: (view, [what = '']) => say(Object.hasOwn(information, what) ? information[what]?.(view) ?? '' : `info knows ${Object.keys(information).join(', ')}.`),
  },
  physical: {
    usage: 'physical [on|off]', help: 'whether addresses are guest-physical from now on',
    run({ memory }, [word]) {
      if (word !== undefined && word !== 'on' && word !== 'off') return say('Use on or off.')
      if (word !== undefined) memory.physical = word === 'on'
      return say(`Addresses are ${memory.physical ? 'guest-physical' : "virtual, as the thread's hart sees them"}.`)
    },
  },
  translate: {
    usage: 'translate ADDRESS', help: "the guest-physical address of a virtual one, for the thread's hart",
    run({ hart }, [word = '']) {
      const virtual = address(word)
      if (virtual === null) return say('Give an address, in hexadecimal.')
      const at = hart.translate(virtual)
      return say(at < 0 ? `${hex(virtual)} is not mapped.` : `${hex(virtual)} is ${hex(at)}.`)
    },
  },
  xp: {
    usage: 'xp ADDRESS [BYTES]', help: 'guest-physical memory; both in hexadecimal',
    run({ machine }, [word = '', size = '40']) {
      const [from, length] = [address(word), parseSmallHex(size.replace(/^0x/, ''))]
      if (from === null || length === null || length < 1 || length > MOST_SHOWN) return say(`Give an address, and 1 to ${hex(MOST_SHOWN)} bytes.`)
      const bytes = new Uint8Array(length)
      return say(from <= BigInt(Number.MAX_SAFE_INTEGER) && machine.memory.read(Number(from), bytes) ? dump(from, bytes) : `There is no RAM at ${hex(from)}.`)
    },
  },
  reset: { usage: 'reset', help: 'restart the machine, and stop before its first instruction', run: () => ({ then: 'reset' }) },
  poweroff: { usage: 'poweroff', help: 'end the machine', run: () => ({ then: 'power-off' }) },
}

/** A command that the user typed behind `monitor`. */
export function monitor(view: MonitorView, line: string): MonitorResult {
  const [name = '', ...words] = line.trim().split(/\s+/)
  const command = Object.hasOwn(commands, name === '' ? 'help' : name) ? commands[name === '' ? 'help' : name] : undefined
  return command === undefined ? say(`There is no command ${JSON.stringify(name.slice(0, 40))}; monitor help lists them.`) : command.run(view, words)
}
