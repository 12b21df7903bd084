import { isMachinistError } from '@machinist/api'
import { saveSnapshotFile, TERMINAL_HELP } from '@machinist/host-node'
import { type BackendDescriptor, CPU_PART, instantiateStored, type Machine, type MachineBlueprint, type MachineHost, parseDefinition, type RestoreOptions, type StoredMachine, type TapeOptions } from '@machinist/machine'
import type { SaveChoice } from '../arguments.ts'
import { checkSameParts, isOwn } from './same-parts.ts'

/** What a key does behind Ctrl-A, and how that is told. */
export interface TerminalCommand {
  readonly key: string
  readonly text: string
  readonly work: () => void
}

/** The commands of a terminal: these, and the help that tells of them too, which is shown by `show`. */
export function terminalCommands(commands: readonly TerminalCommand[], show: (help: string) => void): (key: string) => boolean {
  const help = `${commands.map(({ key, text }) => `Ctrl-A ${key.toUpperCase()}  ${text}\r\n`).join('')}${TERMINAL_HELP}`
  return (key) => {
    const found = commands.find((each) => each.key === key)
    if (found !== undefined) found.work()
    else if (key === 'h') show(help)
    else return false
    return true
  }
}

/** Saves a machine and ends it: it does nothing more, so its disks stay as they are. One that cannot be saved goes on. */
export async function saveAndEnd(machine: Machine, { path, lines }: SaveChoice): Promise<void> {
  if (machine.state !== 'running') return
  machine.pause()
  try {
    const bytes = await saveSnapshotFile(machine, path, { about: { program: 'machinist', lines } })
    process.stderr.write(`\r\nSaved into ${path} (${(bytes / 1e6).toFixed(1)} MB). It goes on with: machinist restore ${path}\r\n`)
    machine.powerOff(0)
  } catch (error) {
    process.stderr.write(`\r\nmachinist: ${isMachinistError(error) ? error.message : String(error)}\r\n`)
    if ((machine.state as string) === 'paused') machine.resume()
  }
}

/**
 * Makes the machine of a snapshot, connected to what a blueprint of the same parts is connected to.
 *
 * @throws a typed error `'restore-parts'` for one of other parts; and as `instantiateStored`
 */
export function restored(stored: StoredMachine, { definition, catalogue, backends: live }: MachineBlueprint, host: MachineHost, tape: TapeOptions = {}): Machine {
  checkSameParts(parseDefinition(stored.definition), definition)
  const backends: Record<string, NonNullable<RestoreOptions['backends']>[string]> = {}
  const take = (part: string, ports: Readonly<Record<string, BackendDescriptor>> = {}): void => {
    for (const [port, choice] of Object.entries(ports)) if (!isOwn(choice)) backends[`${part}.${port}`] = typeof choice === 'string' ? live.get(choice) ?? choice : choice
  }
  take(CPU_PART, definition.cpu.backends)
  for (const [name, device] of Object.entries(definition.devices)) take(name, device.backends)
  return instantiateStored(stored, catalogue, host, { ...tape, backends })
}
