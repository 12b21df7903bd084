import { type Backend, type MachinistErrorFields, machinistError } from '@machinist/api'
import { type BootPlacement, planBoot } from '../booting/boot.ts'
import type { Catalogue } from '../definition/catalogue.ts'
import { parseDefinition } from '../definition/check.ts'
import type { MachineBlueprint } from '../definition/define.ts'
import type { MachineDefinition } from '../definition/definition.ts'
import { Emitter } from './emitter.ts'
import type { MachineEvents, MachineState, MachineStats } from './events.ts'
import type { MachineHost } from '../assembly/host.ts'
import type { Machine } from './machine.ts'
import { makeParts } from '../assembly/parts.ts'
import { resolve } from '../resolving/resolve.ts'
import { RunLoop, type SliceResult } from '../running/run-loop.ts'
import { Sampler } from '../running/sampler.ts'
import { restoreDevices, saveDevices } from './state.ts'
import type { TraceListener } from '../assembly/trace.ts'

/** One turn of the host's event loop, in nanoseconds. */
const HOST_TURN = 1_000_000

/** What {@link instantiate} may be given besides what it needs. */
export interface InstantiateOptions {
  /** Live backends by the names that the definition uses. */
  readonly backends?: ReadonlyMap<string, Backend<unknown>>
  /** Gets fine detail from parts. */
  readonly trace?: TraceListener
}

/** Makes the machine of a blueprint, here. See {@link instantiate}. */
export function createMachine(blueprint: MachineBlueprint, host: MachineHost, options: InstantiateOptions = {}): Machine {
  return instantiate(blueprint.definition, blueprint.catalogue, host, { ...options, backends: new Map([...blueprint.backends, ...(options.backends ?? [])]) })
}

/**
 * Makes a machine from its definition. It does not run yet, but everything that can be wrong with it is found now.
 *
 * @param input - a definition, from {@link defineMachine}, a message or a file: it is checked
 * @param catalogue - the specs that it may name
 * @throws typed errors: see `parseDefinition`, `resolve`; and for images, memory and backends
 */
export function instantiate(input: MachineDefinition, catalogue: Catalogue, host: MachineHost, options: InstantiateOptions = {}): Machine {
  const { loop } = host
  const definition = parseDefinition(input)
  const resolved = resolve(definition, catalogue)
  const emitter = new Emitter<MachineEvents>((error) => { loop.soon(() => { throw error }) })
  let state: MachineState = 'created'
  let status: number | null = null
  let failure: Error | null = null
  let failed: { readonly part: string; readonly error: Error } | null = null
  let drive: 'host' | 'caller' = 'host'
  /** Ends the wait of the event loop for the next turn. */
  let cancelTurn: (() => void) | null = null
  let idleSince: number | null = null
  let idleTime = 0
  let slicing = false
  /** When it is disposed of. */
  let lastStats: MachineStats | null = null
  /** Whether it has run before, so that there is something to clear. */
  let used = false
  /** Made at once, so that what is wrong with images is found at once. */
  let firstPlan: BootPlacement | null = null
  const waiters: (() => void)[] = []

  const fault = (part: string, thrown: unknown): void => {
    failed ??= { part, error: thrown instanceof Error ? thrown : new Error(String(thrown)) }
    engine.interrupt()
    // Within a slice, the loop settles it between turns.
    if (!slicing && state !== 'created') settle()
  }
  const power = {
    off: (code: number): void => { parts.gate.push('machine.power', () => { whenSent(() => { switchOff(code, 'guest') }) }) },
    reset: (): void => { parts.gate.push('machine.reset', () => { whenSent(() => { restart('guest') }) }) },
  }
  const parts = makeParts(resolved, host, options.backends ?? new Map(), {
    power, fault: (part, error) => { fault(part, error) }, warn: (part, message) => { emitter.emit('warn', { part, message }) },
    stall: () => { engine.interrupt() },
  }, options.trace)
  const engine = new RunLoop(parts, () => loop.now(), () => state === 'running' && failed === null, fault)
  engine.onDebug = (hart) => {
    machine.pause()
    emitter.emit('debug', { hart })
  }
  const pushed = parts.gate.onPush
  parts.gate.onPush = () => {
    pushed?.()
    wake()
  }
  const armed = parts.backendTimers.onEarlier
  parts.backendTimers.onEarlier = (at) => {
    armed?.(at)
    wake()
  }

  const change = (to: MachineState): void => {
    if (state === to) return
    const from = state
    state = to
    if (to === 'running') parts.time.run()
    else {
      parts.time.stop()
      engine.interrupt()
      cancelTurn?.()
      cancelTurn = null
      endIdle()
    }
    emitter.emit('state', { from, to })
    if (to === 'off' || to === 'disposed') for (const waiter of waiters.splice(0)) waiter()
  }
  const endIdle = (): void => {
    if (idleSince !== null) idleTime += loop.now() - idleSince
    idleSince = null
    engine.sampler?.wake()
  }
  const settle = (): void => {
    if (failed === null) return
    const { part, error } = failed
    failed = null
    failure = error
    status ??= 1
    change('off')
    emitter.emit('error', { part, error })
  }
  const contained = (part: string, work: () => void): boolean => {
    try {
      work()
      return true
    } catch (error) {
      failed ??= { part, error: error instanceof Error ? error : new Error(String(error)) }
      return false
    }
  }

  /** Harts, lines and devices as at power-on, RAM empty but for the boot images. */
  const boot = (kind: 'cold' | 'warm'): void => {
    parts.timers.clear()
    const plan = firstPlan ?? planBoot(resolved, parts.entropy, host)
    firstPlan = null
    contained('cpu', () => { parts.cpu.reset(kind, plan.entry) })
    parts.wiring.clear()
    for (const { resolved: { name }, device } of parts.devices) contained(name, () => { device.reset(kind) })
    if (used) {
      for (const region of parts.ram) {
        parts.memory.clear(region)
        contained('cpu', () => { parts.cpu.memoryChanged(region.base, region.size) })
      }
    }
    used = true
    for (const { part, address, bytes } of plan.segments) {
      if (parts.memory.write(address, bytes)) continue
      throw machinistError({ code: 'boot-outside', part, value: `0x${address.toString(16)}`, remedy: 'Give the machine more memory.' }, 'it does not lie in RAM')
    }
  }
  const switchOff = (code: number, by: 'guest' | 'host'): void => {
    if (state === 'off' || state === 'disposed') return
    status = code
    engine.leaving = null
    change('off')
    emitter.emit('power', { status: code, by })
  }
  /** Boots when no disk writes into RAM any more; until then no hart runs. */
  const bootWhenQuiet = (kind: 'cold' | 'warm', then: () => void): void => {
    if (engine.held) return
    const go = (): void => {
      engine.held = false
      if (state === 'disposed' || state === 'off') return
      contained('boot', () => { boot(kind) })
      // Devices may have begun to fill memory of their own.
      if (parts.connector.inFlight > 0) {
        engine.held = true
        parts.connector.whenDrained(() => { engine.held = false })
      }
      then()
      if (!slicing) settle()
    }
    if (parts.connector.inFlight === 0) return go()
    engine.held = true
    parts.connector.whenDrained(go)
  }
  /** What the guest said before it went leaves first. */
  const whenSent = (then: () => void): void => {
    const { output } = parts.connector
    if (!output.sending) return then()
    engine.leaving = then
    output.whenSent(() => {
      const go = engine.leaving
      engine.leaving = null
      go?.()
    })
  }
  const restart = (by: 'guest' | 'host'): void => {
    if (state !== 'running' && state !== 'paused') return
    engine.leaving = null
    engine.interrupt()
    bootWhenQuiet('warm', () => { emitter.emit('reset', { by }) })
  }

  const turn = (): void => {
    cancelTurn = null
    endIdle()
    if (state !== 'running' || drive !== 'host') return
    const result = machine.runSlice(HOST_TURN)
    // Whatever happened in the slice may have arranged the next turn already.
    if (result.kind === 'stopped' || cancelTurn !== null) return
    if (result.kind === 'runnable' || parts.gate.pending > 0) return soon()
    idleSince = loop.now()
    if (result.until === Infinity) cancelTurn = () => {}
    else cancelTurn = loop.after(Math.max(0, result.until - parts.time.sample()), turn)
  }
  const soon = (): void => {
    let cancelled = false
    cancelTurn = () => { cancelled = true }
    loop.soon(() => { if (!cancelled) turn() })
  }
  /** Something came in: a machine that waits must look at it. */
  const wake = (): void => {
    if (idleSince === null || state !== 'running' || drive !== 'host' || slicing) return
    endIdle()
    cancelTurn?.()
    soon()
  }

  const misuse = (code: string, remedy: string, problem: string, value?: MachinistErrorFields['value']): never => {
    throw machinistError({ code, part: definition.name, remedy, ...(value !== undefined && { value }) }, problem)
  }
  const beAlive = (): void => {
    if (state === 'disposed') misuse('disposed', 'Make another machine.', 'the machine was disposed of')
  }
  const statsNow = (): MachineStats => ({
    retired: engine.retired,
    runTime: engine.runTime,
    idleTime: idleTime + (idleSince === null ? 0 : loop.now() - idleSince),
    virtualTime: parts.time.now,
    exits: { ...engine.exits },
    events: parts.gate.delivered,
    touchedMemory: parts.memory.touchedPages * 4096,
    cpu: { ...parts.cpu.stats },
  })
  const end = (): void => {
    lastStats = statsNow()
    firstPlan = null
    parts.dispose()
  }

  const machine: Machine = {
    name: definition.name,
    get state() { return state },
    resolved,
    memory: parts.memory,
    vcpus: parts.cpu.vcpus,
    get status() { return status },
    get stats() { return lastStats ?? statsNow() },
    on: (name, listener) => emitter.on(name, listener),
    start(start = {}) {
      beAlive()
      if (state === 'running') {
        if ((start.drive ?? drive) !== drive) misuse('running', 'Pause it first.', 'it runs already, driven in another way', drive)
        return
      }
      drive = start.drive ?? 'host'
      if (state !== 'paused') {
        status = null
        failure = null
        failed = null
        change('running')
        bootWhenQuiet('cold', () => {})
      } else {
        change('running')
      }
      if (machine.state === 'running' && drive === 'host') soon()
    },
    pause() {
      if (state === 'running') change('paused')
    },
    resume() {
      beAlive()
      if (state === 'paused') machine.start({ drive })
    },
    reset() {
      beAlive()
      if (state === 'paused' || state === 'running') parts.gate.push('machine.reset', () => { restart('host') })
    },
    powerOff(code = 0) {
      if (state === 'created') change('off')
      else switchOff(code, 'host')
    },
    dispose() {
      if (state === 'disposed') return
      change('disposed')
      // Not beneath the very hart or device that asked for it.
      if (slicing) loop.soon(end)
      else end()
    },
    runSlice(limit): SliceResult {
      if (!(limit >= 0)) misuse('bad-limit', 'Use nanoseconds from 0, for example 1000000.', 'a slice cannot take that long', limit)
      if (state === 'created') misuse('not-started', "Call start({ drive: 'caller' }) first.", 'the machine was never started')
      if (state !== 'running' || slicing) return { kind: 'stopped' }
      slicing = true
      let result: SliceResult
      try {
        result = engine.run(limit)
      } finally {
        slicing = false
      }
      if (failed !== null) {
        settle()
        return { kind: 'stopped' }
      }
      return state === 'running' ? result : { kind: 'stopped' }
    },
    finished() {
      const outcome = (): { status: number; error: Error | null } => ({ status: status ?? 0, error: failure })
      if (state === 'off' || state === 'disposed') return Promise.resolve(outcome())
      return new Promise((resolved) => { waiters.push(() => { resolved(outcome()) }) })
    },
    record(listener) { parts.gate.onRecord = listener },
    sample(how) {
      if (how !== null) beAlive()
      engine.sampler?.end()
      engine.interrupt()
      engine.sampler = how && new Sampler(parts.cpu.vcpus, parts.time, how, (sample) => { emitter.emit('sample', sample) })
    },
    saveDevices() {
      beAlive()
      return saveDevices(parts)
    },
    restoreDevices(saved) {
      beAlive()
      restoreDevices(parts, saved)
    },
  }
  try {
    firstPlan = planBoot(resolved, parts.entropy, host)
  } catch (error) {
    parts.dispose()
    throw error
  }
  // A part's constructor has no business failing later, but a backend may have spoken too early.
  if (failed !== null) {
    parts.dispose()
    throw (failed as { readonly error: Error }).error
  }
  return machine
}
