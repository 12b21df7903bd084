import { allOffloads, type Backend, type NetPort } from '@machinist/api'
import type { Machine, MachineHost } from '@machinist/machine'
import { expect, it } from 'vitest'
import { virtualLoop } from '../../test/virtual-loop.ts'
import { networkController, type Terms } from '../index.ts'

const second = 1e9
const SIZE = 1476

/** A network that takes everything, and has as many frames as anybody takes. */
const endless = (): Backend<NetPort> => ({
  kind: 'net',
  connect: () => ({ mtu: 1500, link: true, offloads: allOffloads, accept: () => undefined, listen: () => undefined, send: () => true, receive: () => ({ bytes: new Uint8Array(SIZE) }) }),
})

it('shares out an uplink by shares, reservations and limits, whichever way the frames go', () => {
  const loop = virtualLoop()
  const host: MachineHost = { loop, linearMemory: () => { throw new Error('none') } }
  const controller = networkController({ capacity: 12e6 })
  const machines: Record<string, { readonly terms: Terms, readonly way: 'send' | 'receive' | 'both', readonly due: number }> = {
    one: { terms: { shares: 1000 }, way: 'send', due: 2e6 },
    three: { terms: { shares: 3000 }, way: 'receive', due: 6e6 },
    reserved: { terms: { shares: 1, reservation: 3e6 }, way: 'both', due: 3e6 },
    limited: { terms: { shares: 100_000, limit: 1e6 }, way: 'both', due: 1e6 },
  }
  for (const [name, { terms, way }] of Object.entries(machines)) {
    const spec = { name, machine: { file: name }, resources: { network: terms } }
    const port = (controller.host?.(spec, host).attach?.(endless(), 'net', 'net0.net') as Backend<NetPort>).connect((callback) => { loop.soon(callback) })
    let [frames, most] = [0, Infinity]
    const push = (): void => { while (way !== 'receive' && frames < most && port.send({ bytes: new Uint8Array(SIZE) })) frames++ }
    const pull = (): void => { while (way !== 'send' && frames < most && port.receive() !== null) frames++ }
    port.listen({ writable: push, readable: pull, linkChanged: () => undefined })
    controller.add(name, {} as Machine, spec)
    // Before the first look there is no limit: what a machine sends in one go ends somewhere.
    most = 100
    push()
    pull()
    most = Infinity
    loop.soon(() => { push(); pull() })
  }
  loop.runUntil(1 * second)
  for (const name of Object.keys(machines)) controller.usage(name)
  loop.runUntil(5 * second)
  for (const [name, { due }] of Object.entries(machines)) {
    const { demand, used } = controller.usage(name)
    expect(used / due, name).toBeGreaterThan(0.97)
    expect(used / due, name).toBeLessThan(1.03)
    expect(demand).toBeGreaterThanOrEqual(Math.min(used, 1e6))
  }
  const { network } = controller.report?.('one') ?? {}
  expect(network?.receivedBytes).toBe(0)
  expect(network?.sentBytes).toBe((network?.frames ?? 0) * SIZE)
  controller.dispose?.()
})
