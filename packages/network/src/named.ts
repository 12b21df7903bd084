import { type Backend, type Deliver, machinistError, type NetPort } from '@machinist/api'
import { join } from './join.ts'
import type { Port, PortOptions } from './port.ts'
import { type Switch, virtualSwitch } from './switch.ts'

/** What leads out of a switch. */
export interface Gateway extends Backend<NetPort> {
  /** Its Ethernet address, which no machine may use. */
  readonly address?: string
}

/** What {@link namedSwitches} needs. */
export interface NamedSwitchesOptions<Options> {
  /** Runs callbacks soon and in order. Never at once. */
  readonly deliver: Deliver
  /**
   * Makes what leads out of a switch, of what its machines say of it; null for nothing.
   *
   * @param part - names, in errors, what asks
   * @param machineAt - tells machines apart by their Ethernet addresses, as `machineAt` of a NAT
   */
  gateway(options: Options, part: string, machineAt: (mac: number) => unknown): Gateway | null
}

/** Switches that machines name, and what leads out of each. */
export interface NamedSwitches<Options> {
  /**
   * A port of the switch of that name. Whoever comes first says what it is like, and it is there until its last port is closed.
   *
   * @param options - plain data; the same, in any order, at all ports of one switch. `mtu` is that of all its ports
   * @param part - names, in errors, what asks
   * @param failed - told, once, that what leads out has failed: the switch has gone, and the next of that name is another
   * @throws a typed error `'backend-option'` for other options than the switch has; what `gateway` throws; `'port-option'`
   */
  port(name: string, options: Options, port: PortOptions, part: string, failed?: (error: unknown) => void): Backend<NetPort>
}

interface Named {
  readonly lan: Switch
  readonly options: string
  readonly members: Set<{ readonly failed?: ((error: unknown) => void) | undefined }>
  end(): void
}

/** Makes switches when machines name them, each with one way out, and takes them away when nobody is there any more. */
export function namedSwitches<Options extends { readonly mtu?: number }>({ deliver, gateway }: NamedSwitchesOptions<Options>): NamedSwitches<Options> {
  const all = new Map<string, Named>()

  const make = (name: string, options: Options, text: string, part: string): Named => {
    const lan = virtualSwitch({ name })
    const out = gateway(options, part, (mac) => lan.portAt(mac))
    const made: Named = { lan, options: text, members: new Set(), end: () => undefined }
    const failed = (error: unknown): void => {
      drop(name, made)
      for (const member of made.members) member.failed?.(error)
    }
    const guarded: Deliver = (callback) => {
      deliver(() => {
        try {
          callback()
        } catch (error) {
          failed(error)
        }
      })
    }
    try {
      if (out !== null) made.end = join(lan.port({ name: `${name}/gateway`, ...(out.address !== undefined && { address: out.address }), ...mtuOf(options) }), out, { deliver: guarded })
    } catch (error) {
      out?.close?.()
      throw error
    }
    return made
  }

  const drop = (name: string, named: Named): void => {
    if (all.get(name) !== named) return
    all.delete(name)
    named.end()
  }

  return {
    port(name, options, settings, part, failed) {
      const text = JSON.stringify(Object.entries(options).sort(([one], [other]) => (one < other ? -1 : 1)))
      const known = all.get(name)
      if (known !== undefined && known.options !== text) {
        throw machinistError({ code: 'backend-option', part, value: name, remedy: 'Write the same options at all machines of a switch.' }, 'the switch has other options')
      }
      const named = known ?? make(name, options, text, part)
      let end: Port
      try {
        end = named.lan.port({ ...settings, ...mtuOf(options) })
      } catch (error) {
        if (known === undefined) named.end()
        throw error
      }
      all.set(name, named)
      const member = { failed }
      named.members.add(member)
      return {
        kind: 'net',
        connect: (to, clock) => end.connect(to, clock),
        save: () => end.save?.() ?? [],
        restore: (saved, where) => end.restore?.(saved, where) ?? false,
        close() {
          end.close()
          if (named.members.delete(member) && named.members.size === 0) drop(name, named)
        },
      }
    },
  }
}

function mtuOf({ mtu }: { readonly mtu?: number }): { readonly mtu?: number } {
  return mtu === undefined ? {} : { mtu }
}
