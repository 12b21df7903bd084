/** A hypervisor whose machines do nothing by themselves: tests of commands say what they do. */
import { machinistError } from '@machinist/api'
import type {
  AllocationRow, Allotment, ConsoleConnection, ConsoleListener, Hypervisor, HypervisorEvent, MachineReport, MachineSpec, PoolSpec, Resources, Terms,
} from '@machinist/hypervisor'

const NOTHING: Pick<MachineReport, 'cpu' | 'memory' | 'disk' | 'network' | 'retired'> = {
  cpu: { used: 0, ready: 0, held: 0 }, memory: { touched: 0, own: 0, shared: 0, merged: 0, ballooned: 0, compressed: 0, swapped: 0 },
  disk: { readBytes: 0, writtenBytes: 0, requests: 0 }, network: { sentBytes: 0, receivedBytes: 0, frames: 0 }, retired: 0,
}

type Counts = Partial<Pick<MachineReport, 'cpu' | 'memory' | 'disk' | 'network' | 'retired' | 'state' | 'error' | 'status' | 'processor'>>

interface Held {
  spec: MachineSpec
  report: MachineReport
  readonly listeners: Set<ConsoleListener>
  output: Uint8Array
}

/** The fake, and what tests do with it. */
export interface FakeHypervisor extends Hypervisor {
  /** Calls so far, such as `'start web-1'`. */
  readonly calls: string[]
  /** What was typed at consoles. */
  readonly typed: Record<string, string>
  /** Has a machine say something. */
  say(name: string, text: string): void
  /** Sets what the report of a machine says. */
  report(name: string, counts: Counts): void
  /** Has a machine end. */
  end(name: string, status: number, error?: string): void
  /** Refuses the next call that is called so. */
  refuse(call: string, error: Error): void
}

const cell = ({ shares = 1000, reservation = 0, limit = Infinity }: Terms = {}): Allotment => ({ shares, reservation, limit, demand: 1, used: 0.5, entitled: 0.75, lacking: 0.25 })

export function fakeHypervisor(): FakeHypervisor {
  const machines = new Map<string, Held>()
  const pools = new Map<string, PoolSpec>()
  const listeners = new Set<(event: HypervisorEvent) => void>()
  const events: HypervisorEvent[] = []
  const calls: string[] = []
  const typed: Record<string, string> = {}
  const refusals = new Map<string, Error>()
  const called = (call: string): void => {
    calls.push(call)
    const error = refusals.get(call)
    if (error === undefined) return
    refusals.delete(call)
    throw error
  }
  const of = (name: string): Held => {
    const held = machines.get(name)
    if (held === undefined) throw machinistError({ code: 'machine-unknown', part: name, value: name, remedy: 'Add it.' }, 'there is no such machine')
    return held
  }
  const tell = (kind: string, name: string, text = ''): void => {
    const event = { at: 1_000_000_000_000_000_000n + BigInt(events.length), kind, name, text }
    events.push(event)
    for (const listener of listeners) listener(event)
  }
  const update = (name: string, counts: Counts): void => {
    const held = of(name)
    held.report = { ...held.report, ...counts }
  }
  const become = (name: string, state: MachineReport['state'], kind: string): void => {
    update(name, { state })
    tell(kind, name)
  }
  const insert = (spec: MachineSpec): void => {
    if (machines.has(spec.name)) throw machinistError({ code: 'machine-known', part: spec.name, remedy: 'Choose another name.' }, 'there is such a machine')
    machines.set(spec.name, {
      spec, listeners: new Set(), output: new Uint8Array(),
      report: { name: spec.name, pool: spec.pool ?? '', group: spec.group ?? '', state: 'created', processor: -1, status: null, error: null, ...NOTHING },
    })
    tell('added', spec.name)
  }
  const rows = (resources: Resources | undefined): AllocationRow['resources'] => ({ cpu: cell(resources?.cpu), memory: cell(resources?.memory) })
  const name = (text: string): { readonly kind: 'machine'; readonly name: string } => ({ kind: 'machine', name: text })
  return {
    calls, typed,
    say(machine, text) {
      const bytes = new TextEncoder().encode(text)
      const held = of(machine)
      held.output = Buffer.concat([held.output, bytes])
      for (const listener of held.listeners) listener.output(bytes)
    },
    report: update,
    end(machine, status, error) {
      update(machine, { state: 'off', status, error: error ?? null })
      tell(error === undefined ? 'off' : 'failed', machine, error ?? '')
    },
    refuse(call, error) { refusals.set(call, error) },
    async add(spec) {
      called(`add ${spec.name}`)
      insert(spec)
    },
    async start(machine, snapshot) {
      called(`start ${machine}${snapshot === undefined ? '' : ` ${snapshot}`}`)
      of(machine)
      update(machine, { processor: 0 })
      become(machine, 'running', 'started')
    },
    async pause(machine) {
      called(`pause ${machine}`)
      become(machine, 'paused', 'paused')
    },
    async resume(machine) {
      called(`resume ${machine}`)
      become(machine, 'running', 'resumed')
    },
    async reset(machine) {
      called(`reset ${machine}`)
      of(machine)
    },
    async stop(machine, within) {
      called(`stop ${machine}${within === undefined ? '' : ` ${within}`}`)
      of(machine)
      update(machine, { status: 0 })
      become(machine, 'off', 'off')
    },
    async remove(machine) {
      called(`remove ${machine}`)
      const held = of(machine)
      machines.delete(machine)
      for (const listener of held.listeners) listener.closed()
      tell('removed', machine)
    },
    async fork(machine, copy) {
      called(`fork ${machine} ${copy.name}`)
      insert({ ...of(machine).spec, ...copy })
      become(copy.name, 'running', 'forked')
    },
    async move(machine, processor) {
      called(`move ${machine} ${processor}`)
      update(machine, { processor })
      tell('moved', machine)
    },
    async set(machine, changes) {
      called(`set ${machine}`)
      const held = of(machine)
      held.spec = { ...held.spec, ...changes }
      held.report = { ...held.report, pool: held.spec.pool ?? '' }
    },
    async save(machine, file) {
      called(`save ${machine} ${file}`)
      of(machine)
    },
    async addPool(spec) {
      called(`addPool ${spec.path}`)
      pools.set(spec.path, spec)
    },
    async setPool(path, resources) {
      called(`setPool ${path}`)
      pools.set(path, { path, resources })
    },
    async removePool(path) {
      called(`removePool ${path}`)
      pools.delete(path)
    },
    machines: async () => [...machines.values()].map(({ report }) => report),
    pools: async () => [...pools.values()],
    table: async () => ({
      at: 0,
      rows: [
        { kind: 'host', name: '', pool: '', resources: rows(undefined) },
        ...[...pools.values()].map(({ path, resources }): AllocationRow => ({ kind: 'pool', name: path, pool: path.split('/').slice(0, -1).join('/'), resources: rows(resources) })),
        ...[...machines.values()].map(({ spec }): AllocationRow => ({ ...name(spec.name), pool: spec.pool ?? '', resources: rows(spec.resources) })),
      ],
    }),
    host: async () => ({ capacity: { cpu: 2, memory: 2 ** 30 }, processors: 2 }),
    async console(machine, listener): Promise<ConsoleConnection> {
      const held = of(machine)
      if (held.output.length > 0) listener.output(held.output)
      held.listeners.add(listener)
      return {
        write(bytes) { typed[machine] = (typed[machine] ?? '') + new TextDecoder().decode(bytes) },
        close() { held.listeners.delete(listener) },
      }
    },
    events: async (machine) => events.filter((event) => machine === undefined || event.name === machine),
    on(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },
  }
}

/** A machine that is nothing. */
export const SPEC: MachineSpec['machine'] = { file: 'none.json' }
