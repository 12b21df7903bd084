import { machinistError } from '@machinist/api'
import type { Hypervisor } from '../contract/hypervisor.ts'
import { checkChanges, checkCopy, checkName, checkPool, checkResources, checkSpec, checkText, checkWhole } from './arguments.ts'

/** Something that a client may call. It checks what it is given, and answers plain data. */
export type RemoteCall = (...args: readonly unknown[]) => Promise<unknown>

const optional = <Value>(value: unknown, part: string, check: (value: unknown, part: string) => Value): Value[] => value === undefined || value === null ? [] : [check(value, part)]

/** What clients may call of a hypervisor, besides consoles and events. */
export function callsOf(hypervisor: Hypervisor): Readonly<Record<string, RemoteCall>> {
  return {
    add: (spec) => hypervisor.add(checkSpec(spec)),
    start: (name, snapshot) => hypervisor.start(checkName(name), ...optional(snapshot, 'snapshot', checkText)),
    pause: (name) => hypervisor.pause(checkName(name)),
    resume: (name) => hypervisor.resume(checkName(name)),
    reset: (name) => hypervisor.reset(checkName(name)),
    stop: (name, within) => hypervisor.stop(checkName(name), ...optional(within, 'within', checkWhole)),
    remove: (name) => hypervisor.remove(checkName(name)),
    fork: (name, copy) => hypervisor.fork(checkName(name), checkCopy(copy)),
    move: (name, processor) => hypervisor.move(checkName(name), checkWhole(processor, 'processor')),
    set: (name, changes) => hypervisor.set(checkName(name), checkChanges(changes)),
    save: (name, file) => hypervisor.save(checkName(name), checkText(file, 'file')),
    addPool: (spec) => hypervisor.addPool(checkPool(spec)),
    setPool: (path, resources) => hypervisor.setPool(checkText(path, 'path'), checkResources(resources)),
    removePool: (path) => hypervisor.removePool(checkText(path, 'path')),
    machines: () => hypervisor.machines(),
    pools: () => hypervisor.pools(),
    table: () => hypervisor.table(),
    host: () => hypervisor.host(),
    events: (name) => hypervisor.events(...optional(name, 'name', checkText)),
  }
}

/** @throws a typed error `'call-unknown'` */
export function unknownCall(name: string): never {
  throw machinistError({ code: 'call-unknown', part: 'hypervisor', value: name.slice(0, 80), remedy: 'Use the same version of machinist at both ends.' }, 'there is no such call')
}
